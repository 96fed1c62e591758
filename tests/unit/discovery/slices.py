"""EndpointSlices as an API server writes them."""

from __future__ import annotations

import json
from typing import Any

Object = dict[str, Any]


def endpoint(address: str, *, uid: str = "", **conditions: bool | None) -> Object:
    made: Object = {"addresses": [address], "conditions": conditions or {"ready": True, "serving": True}}
    if uid:
        made["targetRef"] = {"kind": "Pod", "name": f"pod-{uid}", "namespace": "models", "uid": uid}
    return made


def slice_of(
    name: str,
    *endpoints: Object,
    version: str = "1",
    family: str = "IPv4",
    ports: list[Object] | None = None,
) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "models",
            "uid": f"uid-{name}",
            "resourceVersion": version,
            "generation": 3,
            "labels": {"kubernetes.io/service-name": "vllm"},
        },
        "addressType": family,
        # The API server writes null for no endpoints.
        "endpoints": list(endpoints) or None,
        "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}] if ports is None else ports,
    }


def list_of(*slices: Object, version: str = "7", rest: str = "") -> bytes:
    metadata = {"resourceVersion": version, **({"continue": rest} if rest else {})}
    return json.dumps({"kind": "EndpointSliceList", "metadata": metadata, "items": list(slices)}).encode()


def event(kind: str, about: Object) -> bytes:
    return json.dumps({"type": kind, "object": about}).encode()


def bookmark(version: str) -> bytes:
    # As a real one: most fields are there, and empty.
    about = {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"resourceVersion": version, "creationTimestamp": None},
        "addressType": "",
        "endpoints": None,
        "ports": None,
    }
    return event("BOOKMARK", about)


def status(code: int, reason: str = "") -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"as scripted: {code}",
        "reason": reason,
        "code": code,
    }
