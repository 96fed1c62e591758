"""Durations, times and numbers on the border: bounded, so that no foreign value can break an encoding."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from pointsman_server.server.codec.faults import Misfit

_NANOS = 1_000_000_000
_LONGEST_S = 315_576_000_000
_I32 = 2**31 - 1
_I64 = 2**63 - 1


def decode_duration(duration: Duration, path: str) -> float:
    """Seconds. Raises Misfit for what protobuf's own rules forbid; the sign is not judged here."""
    seconds, nanos = duration.seconds, duration.nanos
    if abs(seconds) > _LONGEST_S or abs(nanos) >= _NANOS or (seconds > 0 > nanos) or (seconds < 0 < nanos):
        raise Misfit(path, "not a valid duration")
    return seconds + nanos / _NANOS


def encode_duration(duration: Duration, seconds: float) -> None:
    """Write seconds, rounded to microseconds; what is negative becomes zero, which is still set."""
    whole, micros = divmod(int(seconds * 1_000_000 + 0.5), 1_000_000) if seconds > 0 else (0, 0)
    duration.seconds = min(_LONGEST_S, whole)
    duration.nanos = micros * 1000


def encode_time(timestamp: Timestamp, wall_s: float) -> None:
    """Write seconds since the epoch, rounded to milliseconds."""
    millis = min(max(0, round(wall_s * 1000)), 253_402_300_799_999)
    timestamp.seconds, rest = divmod(millis, 1000)
    timestamp.nanos = rest * 1_000_000


def i32(number: int) -> int:
    """The number, held within a signed 32-bit field."""
    return number if -_I32 <= number <= _I32 else max(-_I32, min(_I32, number))


def i64(number: int) -> int:
    """The number, held within a signed 64-bit field."""
    return number if -_I64 <= number <= _I64 else max(-_I64, min(_I64, number))
