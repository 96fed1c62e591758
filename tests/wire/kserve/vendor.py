"""Servers of the Open Inference Protocol."""

import json

from pointsman_server.domain import ProviderOptions
from tests.conformance.vendors import WIRE, Vendor, load_row, whole_body


def options(intent, dialect):
    body = intent.get("provider_options")
    return {dialect: ProviderOptions(json.dumps(body))} if body else {}


VENDOR = Vendor(
    provider="kserve",
    client="triton",
    secrets={},
    backend=lambda record: {"url": "https://api.example.com"},
    options=options,
    same_body=load_row(WIRE / "triton").same_body,
    finish_end=whole_body,
    marked=False,
)
