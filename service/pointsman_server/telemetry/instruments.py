"""Every metric once: name, kind, labels, buckets and meaning; and the registry, with a bounded number of series.

Names with `gen_ai` and `rpc` are those of the OpenTelemetry conventions in Prometheus spelling; the others are ours.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

OTHER = "_other"
"""Stands for a label value that is unknown, or one too many."""
MAX_SERIES = 2000


class Kind(enum.Enum):
    """How a metric is kept."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"
    """Asked of a source when somebody scrapes."""
    TOTAL = "counter, read at scrape"
    """A count that is kept elsewhere, asked of a source when somebody scrapes."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric."""

    name: str
    """As Prometheus shows it; a counter's ends with _total."""
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    max_children: int = 400
    """The most different label sets; what comes later is counted under `_other`."""


_SECONDS = tuple(0.01 * 2**power for power in range(14))
"""0.01 to 81.92, as the GenAI conventions have it."""
_CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_SHORT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_TOKENS = tuple(float(4**power) for power in range(14))
_GENAI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

RPC_DURATION = Instrument(
    "rpc_server_call_duration_seconds",
    Kind.HISTOGRAM,
    "Calls by method and gRPC status, from arrival to status.",
    ("rpc_method", "rpc_status_code"),
    _CALL_SECONDS,
)
OPERATION_DURATION = Instrument(
    "gen_ai_client_operation_duration_seconds",
    Kind.HISTOGRAM,
    "Attempts at backends, whole; error_type is the error reason, or empty when it was served.",
    (*_GENAI, "error_type"),
    _SECONDS,
)
FIRST_CHUNK = Instrument(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    Kind.HISTOGRAM,
    "From the start of a streaming attempt to its first content.",
    _GENAI,
    _SECONDS,
)
OUTPUT_CHUNK = Instrument(
    "gen_ai_client_operation_time_per_output_chunk_seconds",
    Kind.HISTOGRAM,
    "Between output tokens of a stream after its first content: each attempt's mean, where tokens are reported.",
    _GENAI,
    _SHORT_SECONDS,
)
TOKEN_USAGE = Instrument(
    "gen_ai_client_token_usage",
    Kind.HISTOGRAM,
    "Tokens of an attempt as the provider reported them; never an estimate.",
    (*_GENAI, "gen_ai_token_type"),
    _TOKENS,
)
CALLS = Instrument(
    "pointsman_calls_total",
    Kind.COUNTER,
    "Calls by model and outcome; reason is OK or the error reason.",
    ("model", "reason"),
)
TOKENS = Instrument(
    "pointsman_tokens_total",
    Kind.COUNTER,
    "Tokens of the answers that callers got; type is input, output, cached_input, cache_write or reasoning.",
    ("principal", "model", "type"),
)
COST = Instrument(
    "pointsman_cost_total",
    Kind.COUNTER,
    "Money that answers cost, in the currency's unit, where prices are configured.",
    ("principal", "model", "currency"),
)
ATTEMPTS = Instrument(
    "pointsman_attempts_total",
    Kind.COUNTER,
    "Attempts at backends by outcome; reason is OK or the error reason.",
    ("backend", "reason"),
)
RETRIES = Instrument(
    "pointsman_retries_total",
    Kind.COUNTER,
    "Attempts after a call's first; kind is same_backend, failover or hedge.",
    ("model", "kind"),
    max_children=100,
)
FALLBACKS = Instrument(
    "pointsman_fallbacks_total",
    Kind.COUNTER,
    "Calls that went on with another model.",
    ("model",),
    max_children=100,
)
QUEUE_WAIT = Instrument(
    "pointsman_queue_wait_seconds",
    Kind.HISTOGRAM,
    "Waits of calls for a free place at a backend; calls that found one at once are left out.",
    buckets=_SHORT_SECONDS,
)
EJECTIONS = Instrument(
    "pointsman_backend_ejections_total",
    Kind.COUNTER,
    "Times that a backend was taken out of rotation.",
    ("backend",),
)
RELOADS = Instrument(
    "pointsman_config_reloads_total",
    Kind.COUNTER,
    "Times that the configuration was read again; result: applied, unchanged or refused.",
    ("result",),
    max_children=4,
)
LOOP_LAG = Instrument(
    "pointsman_loop_lag_seconds",
    Kind.HISTOGRAM,
    "How late the event loop ran a timer, looked at four times a second.",
    buckets=_SHORT_SECONDS,
)
CALLS_IN_FLIGHT = Instrument("pointsman_calls_in_flight", Kind.GAUGE, "Calls in progress.")
ATTEMPTS_IN_FLIGHT = Instrument(
    "pointsman_attempts_in_flight",
    Kind.GAUGE,
    "Attempts in progress.",
    ("backend",),
)
BACKEND_STATE = Instrument(
    "pointsman_backend_state",
    Kind.GAUGE,
    "1 for a backend's state: HEALTHY, EJECTED, HALF_OPEN, COOLING_DOWN or DRAINING.",
    ("backend", "state"),
)
BACKEND_TOKENS = Instrument(
    "pointsman_backend_tokens_in_flight",
    Kind.GAUGE,
    "Tokens, estimated, of the attempts in progress.",
    ("backend",),
)
CONFIG_INFO = Instrument("pointsman_config_info", Kind.GAUGE, "1 for the configuration in force.", ("hash",))
BUILD_INFO = Instrument("pointsman_build_info", Kind.GAUGE, "1 for the version that runs.", ("version",))
SERIES = Instrument(
    "pointsman_metric_series", Kind.GAUGE, "Time series that are kept here, of the most that are allowed."
)
SPANS = Instrument(
    "pointsman_spans_total",
    Kind.TOTAL,
    "Spans by what became of them: exported, queue_full or export_failed; the last two are lost.",
    ("result",),
)
LINES_DROPPED = Instrument(
    "pointsman_log_lines_dropped_total",
    Kind.TOTAL,
    "Log lines lost because they could not be written fast enough.",
)

TABLE: tuple[Instrument, ...] = (
    RPC_DURATION,
    OPERATION_DURATION,
    FIRST_CHUNK,
    OUTPUT_CHUNK,
    TOKEN_USAGE,
    CALLS,
    TOKENS,
    COST,
    ATTEMPTS,
    RETRIES,
    FALLBACKS,
    QUEUE_WAIT,
    EJECTIONS,
    RELOADS,
    LOOP_LAG,
    CALLS_IN_FLIGHT,
    ATTEMPTS_IN_FLIGHT,
    BACKEND_STATE,
    BACKEND_TOKENS,
    CONFIG_INFO,
    BUILD_INFO,
    SERIES,
    SPANS,
    LINES_DROPPED,
)

Source = Callable[[], Iterable[tuple[tuple[str, ...], float]]]
"""Label values and the number, asked for at each scrape; must not block."""


class _Budget:
    """How many more series there may be."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, count: int) -> bool:
        if count > self.left:
            return False
        self.left -= count
        return True


class CounterFamily:
    """A counter with all its label sets. Counted by one thread; a scrape may read from another."""

    def __init__(self, instrument: Instrument, budget: _Budget) -> None:
        self._instrument = instrument
        self._budget = budget
        self._cells: dict[tuple[str, ...], list[float]] = {}
        self._other: list[float] = [0.0]
        budget.take(1)
        if not instrument.labels:
            self._cells[()] = [0.0]

    def add(self, labels: tuple[str, ...], amount: float = 1) -> None:
        """Count."""
        cell = self._cells.get(labels)
        if cell is None:
            cell = self._cell(labels)
        cell[0] += amount

    def _cell(self, labels: tuple[str, ...]) -> list[float]:
        if len(self._cells) >= self._instrument.max_children or not self._budget.take(1):
            return self._other
        cell = self._cells[labels] = [0.0]
        return cell

    def collect(self) -> Metric:
        """All label sets, for a scrape."""
        name, labels = self._instrument.name.removesuffix("_total"), self._instrument.labels
        family = CounterMetricFamily(name, self._instrument.meaning, labels=labels)
        for values, cell in tuple(self._cells.items()):
            family.add_metric(values, cell[0])
        if self._other[0]:
            family.add_metric([OTHER] * len(labels), self._other[0])
        return family


class _Cell:
    """One label set of a histogram."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class HistogramFamily:
    """A histogram with all its label sets. Counted by one thread; a scrape may read from another."""

    def __init__(self, instrument: Instrument, budget: _Budget) -> None:
        self._instrument = instrument
        self._budget = budget
        self._buckets = instrument.buckets
        self._bounds = (*(f"{bound:g}" for bound in instrument.buckets), "+Inf")
        self._series = len(instrument.buckets) + 3
        self._cells: dict[tuple[str, ...], _Cell] = {}
        self._other = _Cell(len(instrument.buckets))
        budget.take(self._series)
        if not instrument.labels:
            self._cells[()] = _Cell(len(instrument.buckets))

    def observe(self, labels: tuple[str, ...], value: float) -> None:
        """Take one measurement in."""
        cell = self._cells.get(labels)
        if cell is None:
            cell = self._cell(labels)
        cell.counts[bisect_left(self._buckets, value)] += 1
        cell.total += value

    def _cell(self, labels: tuple[str, ...]) -> _Cell:
        if len(self._cells) >= self._instrument.max_children or not self._budget.take(self._series):
            return self._other
        cell = self._cells[labels] = _Cell(len(self._buckets))
        return cell

    def collect(self) -> Metric:
        """All label sets, for a scrape."""
        labels = self._instrument.labels
        family = HistogramMetricFamily(self._instrument.name, self._instrument.meaning, labels=labels)
        for values, cell in tuple(self._cells.items()):
            family.add_metric(values, self._cumulative(cell), cell.total)
        if any(self._other.counts):
            family.add_metric([OTHER] * len(labels), self._cumulative(self._other), self._other.total)
        return family

    def _cumulative(self, cell: _Cell) -> list[tuple[str, float]]:
        counts = (float(count) for count in accumulate(cell.counts))
        return list(zip(self._bounds, counts, strict=True))


class Metrics(Collector):
    """The registry of one process."""

    def __init__(self, *, max_series: int = MAX_SERIES, process: bool = True) -> None:
        self._registry = CollectorRegistry()
        self._max_series = max_series
        # A quarter is for gauges, whose sources name backends; they are cut off there.
        self._read_series = max_series // 4
        self._budget = _Budget(max_series - self._read_series)
        self._sources: dict[str, tuple[Instrument, Source]] = {}
        self._counters = {
            row.name: CounterFamily(row, self._budget) for row in TABLE if row.kind is Kind.COUNTER
        }
        self._histograms = {
            row.name: HistogramFamily(row, self._budget) for row in TABLE if row.kind is Kind.HISTOGRAM
        }
        self._registry.register(self)
        if process:
            ProcessCollector(registry=self._registry)
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

    def collect(self) -> Iterator[Metric]:
        """Everything, for a scrape."""
        yield from (family.collect() for family in self._counters.values())
        yield from (family.collect() for family in self._histograms.values())
        left = self._read_series
        for instrument, source in tuple(self._sources.values()):
            read = _family(instrument)
            for labels, value in islice(source(), left):
                read.add_metric(labels, value)
            left -= len(read.samples)
            yield read

    def exposition(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text form, with its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4


def _family(instrument: Instrument) -> GaugeMetricFamily | CounterMetricFamily:
    labels = instrument.labels
    if instrument.kind is Kind.TOTAL:
        return CounterMetricFamily(instrument.name.removesuffix("_total"), instrument.meaning, labels=labels)
    return GaugeMetricFamily(instrument.name, instrument.meaning, labels=labels)
