"""What one process counts and measures, with a bounded number of series; shown to a scraper, or handed on whole."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from pointsman_server.telemetry.instruments import OTHER, SERIES, TABLE, Instrument, Kind

MAX_SERIES = 2000

Labels = tuple[str, ...]
Cell = tuple[Labels, tuple[float, ...]]
"""One label set and its numbers: a counter's or gauge's one; a histogram's count in each bucket, then the sum."""
Source = Callable[[], Iterable[tuple[Labels, float]]]
"""Label values and the number, asked for at each scrape; must not block."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one process had counted at one moment."""

    cells: Mapping[str, Sequence[Cell]]
    """By the instrument's name."""
    process: Mapping[str, float]
    """The usual `process_` samples; empty where they are left out."""


class Budget:
    """How many more series there may be."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, count: int) -> bool:
        """Take so many, if there are as many left."""
        if count > self.left:
            return False
        self.left -= count
        return True


class CounterFamily:
    """A counter with all its label sets. Counted by one thread; a scrape may read from another."""

    def __init__(self, instrument: Instrument, budget: Budget) -> None:
        self._instrument = instrument
        self._budget = budget
        self._cells: dict[Labels, list[float]] = {}
        self._other: list[float] = [0.0]
        budget.take(1)
        if not instrument.labels:
            self._cells[()] = [0.0]

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Count."""
        cell = self._cells.get(labels)
        if cell is None:
            cell = self._cell(labels)
        cell[0] += amount

    def _cell(self, labels: Labels) -> list[float]:
        if len(self._cells) >= self._instrument.max_children or not self._budget.take(1):
            return self._other
        cell = self._cells[labels] = [0.0]
        return cell

    def cells(self) -> Iterator[Cell]:
        """All label sets."""
        for labels, cell in tuple(self._cells.items()):
            yield labels, (cell[0],)
        if self._other[0]:
            yield (OTHER,) * len(self._instrument.labels), (self._other[0],)


class _Cell:
    """One label set of a histogram."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class HistogramFamily:
    """A histogram with all its label sets. Counted by one thread; a scrape may read from another."""

    def __init__(self, instrument: Instrument, budget: Budget) -> None:
        self._instrument = instrument
        self._budget = budget
        self._buckets = instrument.buckets
        self._series = len(instrument.buckets) + 3
        self._cells: dict[Labels, _Cell] = {}
        self._other = _Cell(len(instrument.buckets))
        budget.take(self._series)
        if not instrument.labels:
            self._cells[()] = _Cell(len(instrument.buckets))

    def observe(self, labels: Labels, value: float) -> None:
        """Take one measurement in."""
        cell = self._cells.get(labels)
        if cell is None:
            cell = self._cell(labels)
        cell.counts[bisect_left(self._buckets, value)] += 1
        cell.total += value

    def absorb(self, labels: Labels, numbers: Sequence[float]) -> None:
        """Take in what another process has measured; `numbers` as its `cells` told them."""
        cell = self._cells.get(labels) or self._cell(labels)
        for position, count in enumerate(numbers[:-1]):
            cell.counts[position] += int(count)
        cell.total += numbers[-1]

    def _cell(self, labels: Labels) -> _Cell:
        if len(self._cells) >= self._instrument.max_children or not self._budget.take(self._series):
            return self._other
        cell = self._cells[labels] = _Cell(len(self._buckets))
        return cell

    def cells(self) -> Iterator[Cell]:
        """All label sets."""
        for labels, cell in tuple(self._cells.items()):
            yield labels, (*cell.counts, cell.total)
        if any(self._other.counts):
            yield (OTHER,) * len(self._instrument.labels), (*self._other.counts, self._other.total)


class Metrics(Collector):
    """The registry of one process."""

    def __init__(self, *, max_series: int = MAX_SERIES, process: bool = True) -> None:
        self._registry = CollectorRegistry()
        self._max_series = max_series
        # A quarter is for gauges, whose sources name backends; they are cut off there.
        self._read_series = max_series // 4
        self._budget = Budget(max_series - self._read_series)
        self._sources: dict[str, tuple[Instrument, Source]] = {}
        self._counters = {
            row.name: CounterFamily(row, self._budget) for row in TABLE if row.kind is Kind.COUNTER
        }
        self._histograms = {
            row.name: HistogramFamily(row, self._budget) for row in TABLE if row.kind is Kind.HISTOGRAM
        }
        self._process = ProcessCollector(registry=None) if process else None
        self._registry.register(self)
        self.read(SERIES, lambda: [((), float(self._max_series - self._read_series - self._budget.left))])

    def counter(self, instrument: Instrument) -> CounterFamily:
        """The family of a counter of the table."""
        return self._counters[instrument.name]

    def histogram(self, instrument: Instrument) -> HistogramFamily:
        """The family of a histogram of the table."""
        return self._histograms[instrument.name]

    def read(self, instrument: Instrument, source: Source) -> None:
        """Have a gauge or total of the table asked of a source at each scrape; a later source takes its place."""
        self._sources[instrument.name] = (instrument, source)

    def _cells(self) -> Iterator[tuple[Instrument, Iterable[Cell]]]:
        for row in TABLE:
            if row.kind is Kind.COUNTER:
                yield row, self._counters[row.name].cells()
            elif row.kind is Kind.HISTOGRAM:
                yield row, self._histograms[row.name].cells()
        left = self._read_series
        for instrument, source in tuple(self._sources.values()):
            read = [(labels, (value,)) for labels, value in islice(source(), left)]
            left -= len(read)
            yield instrument, read

    def collect(self) -> Iterator[Metric]:
        """Everything, for a scrape."""
        for instrument, cells in self._cells():
            yield family(instrument, cells)
        if self._process is not None:
            yield from self._process.collect()

    def exposition(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text form, with its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def snapshot(self) -> Snapshot:
        """Everything as it is now, to be handed to another process."""
        process = {} if self._process is None else process_samples(self._process.collect())
        return Snapshot({instrument.name: tuple(cells) for instrument, cells in self._cells()}, process)


def process_samples(metrics: Iterable[Metric]) -> dict[str, float]:
    """The samples of a process by name; they have no labels."""
    return {sample.name: sample.value for metric in metrics for sample in metric.samples}


def family(instrument: Instrument, cells: Iterable[Cell]) -> Metric:
    """One metric with all its label sets, for a scrape."""
    name, labels = instrument.name, instrument.labels
    if instrument.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, instrument.meaning, labels=labels)
        bounds = (*(f"{bound:g}" for bound in instrument.buckets), "+Inf")
        for values, (*counts, total) in cells:
            cumulative = (float(count) for count in accumulate(counts))
            histogram.add_metric(values, list(zip(bounds, cumulative, strict=True)), total)
        return histogram
    found: CounterMetricFamily | GaugeMetricFamily
    if instrument.kind is Kind.GAUGE:
        found = GaugeMetricFamily(name, instrument.meaning, labels=labels)
    else:
        found = CounterMetricFamily(name.removesuffix("_total"), instrument.meaning, labels=labels)
    for values, (value,) in cells:
        found.add_metric(values, value)
    return found
