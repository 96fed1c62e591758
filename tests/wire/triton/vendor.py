"""Triton: the generate extension in two styles, and tensors."""

import json
import struct

from pointsman_server.domain import ProviderOptions
from tests.conformance.vendors import Vendor, whole_body

_OURS = {"style", "version", "parameters_as", "cumulative"}
"""Of a recording's `provider_options`: what a backend is configured with. The rest are fields of the body."""


def backend(record):
    options, infer = (
        record["intent"].get("provider_options") or {},
        record["request"]["path"].endswith("/infer"),
    )
    written = {"api": "infer" if infer else "generate"}
    for name, key in (("style", "style"), ("version", "model_version"), ("cumulative", "cumulative")):
        if name in options:
            written[key] = options[name]
    return {"url": "https://api.example.com", "open_inference": written}


def options(intent, dialect):
    body = {
        name: value for name, value in (intent.get("provider_options") or {}).items() if name not in _OURS
    }
    return {dialect: ProviderOptions(json.dumps(body))} if body else {}


def held(tensor):
    """With numbers as the tensor's type holds them."""
    if tensor["datatype"] != "FP32":
        return tensor
    return {**tensor, "data": [struct.unpack("f", struct.pack("f", number))[0] for number in tensor["data"]]}


def same_body(body):
    """Ids are anybody's own, inputs have no order, and which outputs are asked for is optional."""
    kept = {name: value for name, value in body.items() if name not in ("id", "outputs", "model_name")}
    if "inputs" in kept:
        kept["inputs"] = sorted(map(held, kept["inputs"]), key=lambda tensor: tensor["name"])
    return kept


VENDOR = Vendor(
    provider="triton",
    client="triton",
    secrets={},
    backend=backend,
    options=options,
    same_body=same_body,
    finish_end=whole_body,
    marked=False,
)
