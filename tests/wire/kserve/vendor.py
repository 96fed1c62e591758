"""Servers of the Open Inference Protocol."""

import json

from pointsman_server.domain import ProviderOptions
from tests.conformance.vendors import Vendor, whole_body


def options(intent, dialect):
    body = intent.get("provider_options")
    return {dialect: ProviderOptions(json.dumps(body))} if body else {}


def same_body(body):
    """Ids are anybody's own, inputs have no order, and which outputs are asked for is optional."""
    kept = {name: value for name, value in body.items() if name not in ("id", "outputs", "model_name")}
    return {**kept, "inputs": sorted(kept["inputs"], key=lambda tensor: tensor["name"])}


VENDOR = Vendor(
    provider="kserve",
    client="triton",
    secrets={},
    backend=lambda record: {"url": "https://api.example.com"},
    options=options,
    same_body=same_body,
    finish_end=whole_body,
    marked=False,
)
