"""The providers that the suite knows, each a row: which folder, which profile, and where requests may differ."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointsman_server.context import Attempt, Target
from pointsman_server.transport.contract import BodyLimits
from pointsman_server.upstreams.contract import Adapter
from pointsman_server.upstreams.profiles import OPENAI, VLLM, Profile
from pointsman_server.upstreams.registry import DIALECTS
from tests.conformance.intent import build_call

WIRE = Path(__file__).resolve().parent.parent / "wire"
LIMITS = BodyLimits()

Json = Any


@dataclass(frozen=True)
class Vendor:
    """One folder of recorded exchanges."""

    folder: str
    profile: Profile
    secret: str
    """The key of the recordings."""
    finish_end: Callable[[bytes], int]
    """Offset in a recorded stream behind the payload that carries the last candidate's finish reason."""
    base_path: str = "/v1"
    same_fields: Mapping[str, str] = field(default_factory=dict)
    """Another name for a field of the body -> the recorded one."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Cases that cannot be expressed, with the reason why: declared, never skipped in silence."""

    def adapter(self, limits: BodyLimits = LIMITS) -> Adapter:
        """A new adapter."""
        return DIALECTS[self.profile.dialect](
            self.profile, f"https://api.example.com{self.base_path}", limits
        )


def _openai_finish(body: bytes) -> int:
    found = list(re.finditer(rb'"finish_reason":\s*"', body))
    return body.index(b"\n", found[-1].end())


VENDORS: tuple[Vendor, ...] = (
    Vendor(
        folder="openai",
        profile=OPENAI,
        secret="sk-test-0000000000000000",
        finish_end=_openai_finish,
        same_fields={"user": "safety_identifier"},
    ),
    Vendor(
        folder="openai-compatible",
        profile=VLLM,
        secret="token-vllm-test",
        finish_end=_openai_finish,
        same_fields={"max_completion_tokens": "max_tokens"},
    ),
)


@dataclass(frozen=True)
class Case:
    """One recorded exchange."""

    vendor: Vendor
    record: Mapping[str, Json]

    def __str__(self) -> str:
        return f"{self.vendor.folder}/{self.record['case']}"

    @property
    def attempt(self) -> Attempt:
        """The attempt that the recorded request was sent for."""
        intent = self.record["intent"]
        call = build_call(intent, self.vendor.profile.dialect)
        target = Target("backend", self.vendor.profile.provider, intent["model"])
        return Attempt(call, target, 1, intent["stream"], "request-0001.1")

    @property
    def status(self) -> int:
        return self.record["response"]["status"]

    @property
    def headers(self) -> Mapping[str, str]:
        return self.record["response"]["headers"]

    @property
    def body(self) -> bytes:
        """The answer's bytes."""
        response = self.record["response"]
        for name in ("sse_text", "ndjson_text", "body_text"):
            if name in response:
                return response[name].encode()
        return json.dumps(response["body"], ensure_ascii=False).encode()

    @property
    def streamed(self) -> bool:
        return "sse_text" in self.record["response"]

    @property
    def refused(self) -> bool:
        return self.status >= 300


def load_cases() -> list[Case]:
    """Every recorded exchange that a row does not declare as lacking."""
    return [
        Case(vendor, json.loads(path.read_text(encoding="utf-8")))
        for vendor in VENDORS
        for path in sorted((WIRE / vendor.folder).glob("*.json"))
        if path.stem not in vendor.lacking
    ]


CASES = load_cases()
