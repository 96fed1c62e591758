"""The metrics of several processes as those of one: snapshots enter, one exposition leaves. Never asks a process.

What a process had counted stays in the sums when it has gone, or each end of a process would look to Prometheus like a
reset of the sum, and to `rate` like a burst.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from pointsman_server.telemetry.instruments import TABLE, Instrument, Kind, Merge
from pointsman_server.telemetry.registry import (
    MAX_SERIES,
    Budget,
    Cell,
    CounterFamily,
    HistogramFamily,
    Labels,
    Snapshot,
    family,
)

_CPU = "process_cpu_seconds_total"
_START = "process_start_time_seconds"


class MergedMetrics:
    """Adds up what lives and what has gone."""

    def __init__(self, *, max_series: int = MAX_SERIES) -> None:
        """`max_series` bounds what is kept of processes that have gone."""
        budget = Budget(max_series)
        self._counts = {
            row.name: CounterFamily(row, budget)
            for row in TABLE
            if row.kind in (Kind.COUNTER, Kind.TOTAL) and row.merge is Merge.SUM
        }
        self._histograms = {
            row.name: HistogramFamily(row, budget) for row in TABLE if row.kind is Kind.HISTOGRAM
        }
        self._gone: set[str] = set()
        """Names of the metrics of which something is kept."""
        self._cpu_s = 0.0

    def depart(self, last: Snapshot) -> None:
        """A process has gone; keep its counts as they were last seen."""
        for name, cells in last.cells.items():
            for labels, numbers in cells:
                if name in self._counts:
                    self._counts[name].add(tuple(labels), numbers[0])
                elif name in self._histograms:
                    self._histograms[name].absorb(tuple(labels), numbers)
            self._gone.add(name)
        self._cpu_s += last.process.get(_CPU, 0.0)

    def exposition(self, own: Snapshot, others: Sequence[Snapshot]) -> tuple[bytes, str]:
        """All of it in Prometheus' text form, with its content type; `own` is of the process that is asked."""
        return generate_latest(_Collected(self._collect(own, others))), CONTENT_TYPE_PLAIN_0_0_4

    def _collect(self, own: Snapshot, others: Sequence[Snapshot]) -> Iterator[Metric]:
        living = (own, *others)
        for row in TABLE:
            known = [snapshot.cells[row.name] for snapshot in living if row.name in snapshot.cells]
            gone = self._of_gone(row.name)
            if known or gone:
                yield family(row, merged(row, [*known, *gone], of=len(known)))
        yield from _process_metrics(self._process(own, others))

    def _of_gone(self, name: str) -> list[Iterable[Cell]]:
        if name not in self._gone:
            return []
        kept = self._counts.get(name) or self._histograms.get(name)
        return [] if kept is None else [kept.cells()]

    def _process(self, own: Snapshot, others: Sequence[Snapshot]) -> Mapping[str, float]:
        """Sums, but for the start, which is that of the process that is asked."""
        sums: dict[str, float] = {}
        for snapshot in (own, *others):
            for name, value in snapshot.process.items():
                sums[name] = sums.get(name, 0.0) + value
        if _CPU in sums:
            sums[_CPU] += self._cpu_s
        if _START in own.process:
            sums[_START] = own.process[_START]
        return sums


def merged(row: Instrument, parts: Iterable[Iterable[Cell]], *, of: int) -> list[Cell]:
    """The cells of one metric in several processes as one; `of` is how many have it now."""
    sums: dict[Labels, list[float]] = {}
    for part in parts:
        for labels, numbers in part:
            key = tuple(labels)
            known = sums.get(key)
            if known is None:
                sums[key] = list(numbers)
            elif row.merge is Merge.MAX:
                known[:] = [max(pair) for pair in zip(known, numbers, strict=True)]
            else:
                known[:] = [sum(pair) for pair in zip(known, numbers, strict=True)]
    if row.merge is Merge.MEAN:
        return [(labels, tuple(number / of for number in numbers)) for labels, numbers in sums.items()]
    return [(labels, tuple(numbers)) for labels, numbers in sums.items()]


def _process_metrics(samples: Mapping[str, float]) -> Iterator[Metric]:
    """As this process would tell of itself, with these numbers."""
    for metric in ProcessCollector(registry=None).collect():
        metric.samples = [
            sample._replace(value=samples[sample.name]) for sample in metric.samples if sample.name in samples
        ]
        if metric.samples:
            yield metric


class _Collected(Collector):
    """Metrics that are there already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
