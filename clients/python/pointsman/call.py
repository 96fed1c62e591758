"""What is decided about a call before it is made: deadline, metadata, span. The same for both clients, without I/O but
for a key that lives in a file.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pointsman.channel import is_local
from pointsman.errors import PointsmanError
from pointsman.status import FailedCall, restore
from pointsman.tracing import CallSpan, start_span

ApiKey: TypeAlias = "str | Path | Callable[[], str]"
"""The key itself, a file that holds it, or a function that gives it; file and function are asked for each call."""
Metadata: TypeAlias = "Mapping[str, str] | Iterable[tuple[str, str]]"

INFERENCE = "pointsman.v1.InferenceService"
MODELS = "pointsman.v1.ModelService"

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what goes for all of its calls."""

    target: str
    api_key: ApiKey | None
    timeout_s: float | None
    stream_timeout_s: float | None
    metadata: tuple[tuple[str, str], ...]
    wait_for_ready: bool

    def __repr__(self) -> str:
        return f"Caller(target={self.target!r}, api_key={'set' if self.api_key else 'none'})"

    def prepare(
        self,
        service: str,
        method: str,
        *,
        model: str = "",
        timeout_s: float | None = None,
        request_id: str = "",
        metadata: Metadata = (),
    ) -> PreparedCall:
        """Starts the call's span; whoever asks must end it."""
        known_id = check_request_id(request_id) if request_id else uuid.uuid4().hex
        default = self.stream_timeout_s if method in ("StreamGenerate", "BatchGenerate") else self.timeout_s
        own = {"x-request-id": known_id}
        if self.api_key is not None:
            own["authorization"] = f"Bearer {read_key(self.api_key)}"
        span = start_span(service, method, target=self.target, model=model)
        extra = tuple(metadata.items() if isinstance(metadata, Mapping) else metadata)
        if not any(key == "traceparent" for key, _ in (*self.metadata, *extra)):
            # A context that the caller passes itself is its decision; two would be none.
            span.inject(own)
        return PreparedCall(
            request_id=known_id,
            timeout_s=default if timeout_s is None else timeout_s,
            metadata=(*self.metadata, *extra, *own.items()),
            wait_for_ready=self.wait_for_ready,
            span=span,
        )


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """One call, ready to be made."""

    request_id: str
    timeout_s: float | None
    metadata: tuple[tuple[str, str], ...]
    wait_for_ready: bool
    span: CallSpan

    def failed(self, call: FailedCall, *, content_delivered: bool = False) -> PointsmanError:
        """The exception for it; ends the span."""
        error = restore(call, self.request_id, content_delivered=content_delivered)
        self.span.end(error)
        return error


def check_request_id(request_id: str) -> str:
    """Refuses what the server would replace: the id would then lead nowhere."""
    if not _REQUEST_ID.fullmatch(request_id):
        raise ValueError("request_id: 1 to 128 printable ASCII characters without spaces")
    return request_id


def check_key_may_travel(api_key: ApiKey | None, target: str, *, secure: bool, allowed: bool) -> None:
    """Refuses to send a key where anybody on the way can read it."""
    if api_key is None or secure or allowed or is_local(target):
        return
    raise ValueError(
        f"an API key would cross the network to {target} in plain text: use tls=True, or say allow_insecure_key=True "
        "where something else protects the connection"
    )


def read_key(api_key: ApiKey) -> str:
    """The key as it is now."""
    if isinstance(api_key, Path):
        key = api_key.read_text(encoding="utf-8").strip()
    else:
        key = api_key if isinstance(api_key, str) else api_key()
    if not key.isascii() or not key.isprintable() or not key:
        raise ValueError("the API key is empty, or holds characters that cannot be sent")
    return key
