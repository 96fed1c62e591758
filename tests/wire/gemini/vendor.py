"""Gemini, generateContent and streamGenerateContent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pointsman_server.domain import ProviderOptions
from tests.conformance.vendors import Vendor, last_match

_TOP_LEVEL = {"cachedContent", "safetySettings", "labels", "serviceTier", "store", "toolConfig", "tools"}
"""What the official client's `config` holds beside the generation's own configuration."""


def camel(name: str) -> str:
    """The other spelling that the wire takes of a field's name."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def one_form(value: Any, key: str = "") -> Any:
    """Field names in lowerCamelCase, base64 in the standard alphabet, no empty configuration."""
    if isinstance(value, dict):
        kept = {camel(name): one_form(inner, camel(name)) for name, inner in value.items()}
        return {
            name: inner for name, inner in kept.items() if not (name == "generationConfig" and inner == {})
        }
    if isinstance(value, list):
        return [one_form(item) for item in value]
    if key in ("data", "thoughtSignature") and isinstance(value, str):
        return value.replace("-", "+").replace("_", "/")
    return value


def options(intent: Mapping[str, Any], dialect: str) -> Mapping[str, ProviderOptions]:
    """The official client's `config`, or fields of the body and headers."""
    recorded = intent.get("provider_options")
    if recorded is None:
        return {}
    assert set(recorded) <= {"config", "body", "headers"}, recorded
    body = dict(recorded.get("body", {}))
    for name, value in one_form(recorded.get("config", {})).items():
        place = body if name in _TOP_LEVEL else body.setdefault("generationConfig", {})
        place[name] = value
    return {dialect: ProviderOptions(json.dumps(body), recorded.get("headers", {}))}


VENDOR = Vendor(
    provider="gemini",
    client="gemini",
    secrets={"KEY": "AIza-test-0000"},
    backend=lambda record: {
        "url": "https://generativelanguage.example.com",
        "api_version": record["request"]["path"].split("/")[1],
        "credentials": {"secret": {"env": "KEY"}},
    },
    finish_end=last_match(rb'"finishReason":\s*"'),
    options=options,
    same_body=one_form,
)
