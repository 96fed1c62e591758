"""DashScope's own interface to Alibaba's Model Studio."""

from collections.abc import Mapping

from pointsman_server.domain import ProviderOptions
from tests.conformance.vendors import Json, Record, Vendor, last_match, plain_options

CONFIGURED = {"multimodal"}
"""What of the recorded options belongs to the backend."""


def backend(record: Record) -> Mapping[str, Json]:
    """With the interface that the recording names."""
    multimodal = record["intent"].get("provider_options", {}).get("multimodal", False)
    return {
        "url": "https://dashscope.example.com/api/v1",
        "credentials": {"secret": {"env": "KEY"}},
        "dashscope": {"interface": "multimodal" if multimodal else "auto"},
    }


def options(intent: Record, dialect: str) -> Mapping[str, ProviderOptions]:
    """Those that a caller sets: a body and headers, or the fields of a body as they are."""
    written = intent.get("provider_options", {})
    fields = {name: value for name, value in written.items() if name not in {*CONFIGURED, "body", "headers"}}
    body = {**written.get("body", {}), **fields}
    if not (body or "headers" in written):
        return {}
    return plain_options({"provider_options": {"body": body, "headers": written.get("headers", {})}}, dialect)


VENDOR = Vendor(
    provider="dashscope",
    client="dashscope",
    secrets={"KEY": "sk-dash-test-0000"},
    backend=backend,
    options=options,
    finish_end=last_match(rb'"finish_reason":\s*"(?!null)'),
)
