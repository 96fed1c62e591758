"""The providers that the suite knows. A folder of `tests/wire` holds a provider's recorded exchanges and `vendor.py`,
which says how a backend of it is configured, where its requests may differ, and how its streams end.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pointsman_server.clock import Clock, SystemClock
from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.context import Attempt, Target
from pointsman_server.domain import ProviderOptions
from pointsman_server.upstreams.contract import Adapter
from pointsman_server.upstreams.http import HttpUpstream
from pointsman_server.upstreams.registry import PROVIDERS, build_upstream
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import origin
from tests.conformance.intent import build_call, plain_options

WIRE = Path(__file__).resolve().parent.parent / "wire"

Json = Any
Record = Mapping[str, Json]


def last_match(pattern: bytes) -> Callable[[bytes], int]:
    """Offset of the end of the line that holds the pattern's last match."""

    def find(body: bytes) -> int:
        found = list(re.finditer(pattern, body))
        line = re.compile(rb"[^\r\n]*").match(body, found[-1].end())
        assert line is not None
        return line.end()

    return find


def done_event(body: bytes) -> bool:
    """Whether `data: [DONE]` has come, complete."""
    return body.endswith(b"\n\n") and body.rstrip(b"\n").endswith(b"[DONE]")


def no_reports(_intent: Record) -> Sequence[str]:
    """What the provider's own client can send, its profile takes."""
    return ()


def no_signal(_body: bytes) -> bool:
    """A protocol without an end signal: the end of the body is all there is."""
    return False


def whole_body(body: bytes) -> int:
    """A protocol that tells no finish reason either."""
    return len(body)


class NoTransport:
    """Stands for the network, which nothing here reaches."""


@dataclass(frozen=True)
class Vendor:
    """One folder of recorded exchanges."""

    provider: str
    """Its name in the registry."""
    secrets: Mapping[str, str]
    """The secrets of the recordings, by the names that `backend` refers to as `env`."""
    finish_end: Callable[[bytes], int]
    """Offset in a recorded stream behind the payload that carries the last candidate's finish reason."""
    backend: Callable[[Record], Mapping[str, Json]]
    """Keys of the backend's configuration for a recording, `provider` apart."""
    ended: Callable[[bytes], bool] = no_signal
    """Whether the provider's own end signal stands at the end of these bytes of a stream."""
    options: Callable[[Record, str], Mapping[str, ProviderOptions]] = plain_options
    """A recording's intent and the dialect's name -> `provider_options` of the call."""
    reported: Callable[[Record], Sequence[str]] = no_reports
    """A recording's intent -> the fields of the call that the profile reports as unsupported."""
    same_fields: Mapping[str, str] = field(default_factory=dict)
    """Another name for a field of the body -> the recorded one."""
    same_body: Callable[[Json], Json] = lambda body: body
    """A body in the form in which two that mean the same, by the rules of the recordings, are equal."""
    same_headers: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda headers: headers
    """Recorded headers without those that may be left out."""
    clock: Clock = field(default_factory=SystemClock)
    """For credentials that tell the time."""
    stand_in: Callable[[Record], Adapter | None] = lambda record: None
    """An adapter for an exchange that is none with the provider's models, such as that of keys for a token."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Cases that cannot be expressed, with the reason why: declared, never skipped in silence."""
    marked: bool = True
    """Whether an answer tells where it ends; else only the end of its body does."""
    client: str = ""
    """Who speaks for the provider in `tests/sdks`: a module of its `clients`, with `-older` behind it where the current
    version of the client speaks another API. Empty where there is no client to ask.
    """
    folder: str = ""
    """Set where it is loaded."""

    @property
    def profile(self) -> Profile:
        return PROVIDERS[self.provider].profile

    def upstream(self, record: Record, **more: Json) -> HttpUpstream:
        """The backend that the recording was made with, from its configuration."""
        written = {"provider": self.provider, **self.backend(record), **more}
        upstream = build_upstream(
            "backend",
            schema.Backend.model_validate(written),
            lambda ref: Secret(self.secrets[ref.env]),
            self.clock,
            lambda options: NoTransport(),
        )
        assert isinstance(upstream, HttpUpstream)
        if (adapter := self.stand_in(record)) is not None:
            upstream.adapter, upstream.credentials = adapter, None
        return upstream


@dataclass(frozen=True)
class Case:
    """One recorded exchange."""

    vendor: Vendor
    record: Record

    def __str__(self) -> str:
        return f"{self.vendor.folder}/{self.record['case']}"

    @property
    def upstream(self) -> HttpUpstream:
        return self.vendor.upstream(self.record)

    @property
    def adapter(self) -> Adapter:
        return self.upstream.adapter

    @property
    def attempt(self) -> Attempt:
        """The attempt that the recorded request was sent for."""
        intent = self.record["intent"]
        profile = self.vendor.profile
        call = build_call(
            intent,
            self.vendor.options(intent, profile.dialect),
            origin=origin(profile, intent["model"]),
        )
        target = Target("backend", profile.provider, intent["model"])
        return Attempt(call, target, 1, intent["stream"], "request-0001.1")

    @property
    def status(self) -> int:
        return self.record["response"]["status"]

    @property
    def headers(self) -> Mapping[str, str]:
        """With names in lower case, as the transport tells them."""
        return {name.lower(): value for name, value in self.record["response"]["headers"].items()}

    @property
    def chunks(self) -> list[bytes]:
        """The answer's bytes as they were read."""
        response = self.record["response"]
        if "raw_chunks_base64" in response:
            return [base64.b64decode(chunk) for chunk in response["raw_chunks_base64"]]
        for name in ("sse_text", "ndjson_text", "body_text"):
            if name in response:
                return [response[name].encode()]
        return [json.dumps(response["body"], ensure_ascii=False).encode()]

    @property
    def body(self) -> bytes:
        """The answer's bytes."""
        return b"".join(self.chunks)

    @property
    def dropped(self) -> bool:
        """Whether the peer went without ending the body."""
        return bool(self.record["response"].get("connection_dropped"))

    @property
    def sse(self) -> bool:
        """Whether the answer is an event stream."""
        response = self.record["response"]
        kind = self.headers.get("content-type", "")
        return "sse_text" in response or (
            "raw_chunks_base64" in response and "event-stream" in kind and "amazon" not in kind
        )

    @property
    def streamed(self) -> bool:
        """Whether the answer comes in more than one document."""
        response = self.record["response"]
        return any(name in response for name in ("sse_text", "ndjson_text", "raw_chunks_base64"))

    @property
    def refused(self) -> bool:
        return self.status >= 300

    @property
    def failed(self) -> bool:
        return self.record["expect"]["error"] is not None


def load_row(folder: Path) -> ModuleType:
    """A folder's `vendor.py`."""
    spec = importlib.util.spec_from_file_location(f"tests.wire.{folder.name}.vendor", folder / "vendor.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load_vendor(folder: Path) -> Vendor:
    vendor: Vendor = load_row(folder).VENDOR
    return Vendor(
        **{**{name: getattr(vendor, name) for name in vendor.__dataclass_fields__}, "folder": folder.name}
    )


def load_vendors() -> list[Vendor]:
    """Every folder's row. A folder without one is a failure, not a gap."""
    return [
        _load_vendor(folder)
        for folder in sorted(WIRE.iterdir())
        if folder.is_dir() and folder.name != "__pycache__"
    ]


def load_cases() -> list[Case]:
    """Every recorded exchange that a row does not declare as lacking."""
    return [
        Case(vendor, json.loads(path.read_text(encoding="utf-8")))
        for vendor in VENDORS
        for path in sorted((WIRE / vendor.folder).glob("*.json"))
        if path.stem not in vendor.lacking
    ]


VENDORS = load_vendors()
CASES = load_cases()
