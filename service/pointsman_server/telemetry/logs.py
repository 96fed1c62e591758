"""Log lines as JSON: only fields of the table pass, and of foreign log records only their fixed text."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from pointsman_server.clock import Clock
from pointsman_server.telemetry.redaction import Redactor, failure_fields

FIELDS = frozenset((
    "address", "attempts", "backend", "backends", "cached_tokens", "calls", "cause", "code", "config_hash",
    "cost_nanos", "count", "credential", "currency", "days_left", "decision", "detail", "draining", "duration_ms",
    "endpoint", "error_at", "error_causes", "error_type", "event", "exit_code", "failures", "fallback_used", "fault",
    "faults", "file", "first_token_ms", "for_s", "grace_s", "hash", "http_status", "in_flight", "input_tokens",
    "item", "lag_ms", "level", "line", "listen", "logger", "message", "messages_sent", "method", "model", "models",
    "name", "needs_restart", "output_tokens", "path", "peer", "pid", "policy", "port", "principal", "provider",
    "purpose", "queue_ms", "ready", "reason", "repeated", "request_bytes", "request_id", "rest_s", "result",
    "signal", "source", "state", "stream", "time", "trace_id", "unready", "until_s", "upstream_model",
    "upstream_request_id", "usage_source", "version", "warnings", "worker", "workers",
))  # fmt: skip
"""Every name that a line may carry; another one is left out, and counted in `dropped_fields`."""

MAX_TEXT = 512
REPEAT_S = 10.0
"""A foreign log record comes at most once in this time; what is left out is counted in `repeated`."""
_MAX_REMEMBERED = 256
_FREE_TEXT = ("message", "detail", "cause")

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_NAMES = {number: name for name, number in LEVELS.items()}

_encode = msgspec.json.Encoder().encode


class Log:
    """The one writer of lines."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        clock: Clock,
        redactor: Redactor,
        *,
        level: str = "info",
        common: Mapping[str, object] | None = None,
    ) -> None:
        """`common` fields, of the table, are in every line."""
        self._write = write
        self._common = dict(common or {})
        self._clock = clock
        self._redactor = redactor
        self._logger = self._at(level)
        self._least = LEVELS[level]
        self._second = -1
        self._stamp = ""

    def _at(self, level: str) -> structlog.typing.FilteringBoundLogger:
        logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            _Lines(self._write),
            processors=[self._finish],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            context_class=dict,
        )
        # Bound here: the lazy proxy that wrap_logger returns binds anew for every line.
        return logger.bind()

    def set_level(self, level: str) -> None:
        """The least that is written from now on."""
        self._logger = self._at(level)
        self._least = LEVELS[level]

    def line(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Write one line; None values are left out."""
        getattr(self._logger, level)(event, **fields)

    def access(self, level: str, fields: Mapping[str, object]) -> None:
        """Write the line of a call: the same form, straight to the sink, since every call writes one.

        `fields` MUST be those of `records.access_fields`: names of the table, values that are bounded where they
        are made and hold no free text, nothing that is None.
        """
        if LEVELS[level] >= self._least:
            line = {"time": self._time(), "level": level, "event": "call", **self._common, **fields}
            self._write(render(line))

    def _finish(self, logger: object, level: str, fields: MutableMapping[str, Any]) -> bytes:
        line: dict[str, Any] = {"time": self._time(), "level": level, "event": fields.pop("event")}
        line.update(self._common)
        dropped = 0
        for name, value in fields.items():
            if name not in FIELDS:
                dropped += 1
            elif value is not None:
                line[name] = self._clean(name, value) if isinstance(value, str) else value
        if dropped:
            line["dropped_fields"] = dropped
        return render(line)

    def _clean(self, name: str, value: str) -> str:
        if name in _FREE_TEXT:
            value = self._redactor.clean(value)
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "..."

    def _time(self) -> str:
        wall = self._clock.wall()
        second = int(wall)
        if second != self._second:
            self._second = second
            self._stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._stamp}.{int((wall - second) * 1000):03d}Z"


class _Lines:
    """What structlog hands its finished line to."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.debug = self.info = self.warning = self.error = write


def render(line: Mapping[str, Any]) -> bytes:
    """JSON in one line; text that is not Unicode is escaped, whatever else it costs."""
    try:
        return _encode(line)
    except UnicodeEncodeError:
        return json.dumps(line, default=str).encode("ascii")


class LoggingBridge(logging.Handler):
    """Takes what libraries log. Arguments may quote a prompt or a key: only the fixed part is told."""

    def __init__(self, log: Log, clock: Clock, *, mute: tuple[str, ...] = ()) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._clock = clock
        self._mute = mute
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(self._mute):
            return
        message = _fixed_text(record)
        repeated = self._repeated((record.name, message))
        if repeated is None:
            return
        fields: dict[str, object] = {"logger": record.name, "message": message}
        if repeated:
            fields["repeated"] = repeated
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields.update(failure_fields(error))
        self._log.line(_level(record.levelno), "library", fields)

    def _repeated(self, key: tuple[str, str]) -> int | None:
        """How many like this were left out since the last one; None when this one is left out, too."""
        now = self._clock.now()
        until, left_out = self._last.get(key, (float("-inf"), 0))
        if now < until:
            self._last[key] = (until, left_out + 1)
            return None
        if len(self._last) >= _MAX_REMEMBERED:
            self._last.clear()
        self._last[key] = (now + REPEAT_S, 0)
        return left_out


def _fixed_text(record: logging.LogRecord) -> str:
    """The first line of the unformatted message, up to the first thing that looks like a value put into it."""
    text = str(record.msg) if isinstance(record.msg, str) else type(record.msg).__name__
    first = text.partition("\n")[0]
    for opening in ("<", "'", '"', "{"):
        first = first.partition(opening)[0]
    return first.strip()[:200]


def _level(number: int) -> str:
    return _NAMES.get(number, "error" if number >= logging.ERROR else "warning")
