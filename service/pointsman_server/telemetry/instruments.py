"""Every metric once: name, kind, labels, buckets and meaning.

Names with `gen_ai` and `rpc` are those of the OpenTelemetry conventions in Prometheus spelling; the others are ours.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

OTHER = "_other"
"""Stands for a label value that is unknown, or one too many."""


class Merge(enum.Enum):
    """What the values of several worker processes come to."""

    SUM = "sum"
    MEAN = "mean"
    """For what each sees of the same thing: the mean of what they see."""
    MAX = "max"
    """For what is the same in all."""


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
    merge: Merge = Merge.SUM
    """Of gauges; counts are always added up."""


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
    "Money that attempts cost, those that failed included, in the currency's unit, where there is a price.",
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
    "1 for a backend's state: HEALTHY, EJECTED, HALF_OPEN, COOLING_DOWN, DRAINING or UNREACHABLE; of a discovered "
    "backend the number of its endpoints in each. With several workers the mean of what they see.",
    ("backend", "state"),
    merge=Merge.MEAN,
)
BACKEND_TOKENS = Instrument(
    "pointsman_backend_tokens_in_flight",
    Kind.GAUGE,
    "Tokens, estimated, of the attempts in progress.",
    ("backend",),
)
DISCOVERY_ENDPOINTS = Instrument(
    "pointsman_discovery_endpoints",
    Kind.GAUGE,
    "Endpoints of a discovered backend; condition is ready, draining or unready. With several workers the mean.",
    ("backend", "condition"),
    merge=Merge.MEAN,
)
DISCOVERY_AGE = Instrument(
    "pointsman_discovery_age_seconds",
    Kind.GAUGE,
    "Since the source of a backend's endpoints was last heard: a live watch is heard about once a minute, DNS once per "
    "lifetime of its answers. Of fixed lists there is none.",
    ("backend",),
    merge=Merge.MAX,
)
DISCOVERY_FAILURES = Instrument(
    "pointsman_discovery_failures_total",
    Kind.COUNTER,
    "Times that the source of a backend's endpoints could not be asked or followed; the last known ones stay in use.",
    ("backend", "reason"),
)
CREDENTIAL_RESTS = Instrument(
    "pointsman_credential_rests_total",
    Kind.COUNTER,
    "Times that one of a backend's several credentials was refused and put to rest.",
    ("backend", "reason"),
)
CONFIG_INFO = Instrument(
    "pointsman_config_info", Kind.GAUGE, "1 for the configuration in force.", ("hash",), merge=Merge.MAX
)
BUILD_INFO = Instrument(
    "pointsman_build_info", Kind.GAUGE, "1 for the version that runs.", ("version",), merge=Merge.MAX
)
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

WORKERS = Instrument(
    "pointsman_workers",
    Kind.GAUGE,
    "Worker processes that are starting, ready, draining or down. This and the following: only with several workers.",
    ("state",),
)
WORKER_RESTARTS = Instrument(
    "pointsman_worker_restarts_total",
    Kind.TOTAL,
    "Times that a worker ended by itself and was started again.",
    ("worker",),
)
WORKER_CALLS = Instrument(
    "pointsman_worker_calls_in_flight", Kind.GAUGE, "Calls in progress, by worker.", ("worker",)
)
WORKER_CPU = Instrument(
    "pointsman_worker_cpu_seconds_total",
    Kind.TOTAL,
    "CPU time of a worker since its last start.",
    ("worker",),
)
WORKER_MEMORY = Instrument(
    "pointsman_worker_resident_memory_bytes", Kind.GAUGE, "Resident memory of a worker.", ("worker",)
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
    DISCOVERY_ENDPOINTS,
    DISCOVERY_AGE,
    DISCOVERY_FAILURES,
    CREDENTIAL_RESTS,
    CONFIG_INFO,
    BUILD_INFO,
    SERIES,
    SPANS,
    LINES_DROPPED,
    WORKERS,
    WORKER_RESTARTS,
    WORKER_CALLS,
    WORKER_CPU,
    WORKER_MEMORY,
)
