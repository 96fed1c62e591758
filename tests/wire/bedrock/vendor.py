"""AWS Bedrock, Converse: signed requests, or a key as a bearer token; answers in Amazon's event stream."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pointsman_server.clock import SystemClock
from pointsman_server.domain import ProviderOptions
from pointsman_server.transport.eventstream import EventStreamFraming
from tests.conformance.vendors import Vendor


class RecordedClock(SystemClock):
    """The time of the recordings, which is part of their signatures."""

    def wall(self) -> float:
        return datetime(2026, 11, 22, 10, tzinfo=UTC).timestamp()


def backend(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Signed, unless the recording says otherwise."""
    options = record["intent"].get("provider_options") or {}
    keys = {"access_key_id": {"env": "ID"}, "secret_access_key": {"env": "SECRET"}, "region": "us-east-1"}
    return {
        "url": f"https://{record['request']['headers']['host']}",
        "credentials": {"secret": {"env": "BEARER"}} if options.get("bearer") else {"type": "sigv4", **keys},
    }


def options(intent: Mapping[str, Any], dialect: str) -> Mapping[str, ProviderOptions]:
    """Fields of the body, as they stand or under `body`; how the request is signed is the backend's."""
    given = {
        name: value for name, value in (intent.get("provider_options") or {}).items() if name != "bearer"
    }
    headers = given.pop("headers", {})
    body = {**given.pop("body", {}), **given}
    return {dialect: ProviderOptions(json.dumps(body) if body else "", headers)} if body or headers else {}


def same_body(body: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer is a text inside of the text."""
    copy = json.loads(json.dumps(body))
    wanted = copy.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema")
    if wanted:
        wanted["schema"] = json.loads(wanted["schema"])
    return copy


def messages(body: bytes) -> list[tuple[str, int]]:
    """The kinds of the events in these bytes, and where each ends."""
    found, at = [], 0
    while len(body) - at >= 4 and at + (size := struct.unpack_from("!I", body, at)[0]) <= len(body):
        (message,) = EventStreamFraming(len(body)).feed(body[at : at + size])
        at += size
        found.append((message.word(":event-type"), at))
    return found


def finish_end(body: bytes) -> int:
    """Behind the event that tells why it ended."""
    return next(end for kind, end in messages(body) if kind == "messageStop")


VENDOR = Vendor(
    provider="bedrock",
    client="bedrock",
    secrets={
        "ID": "AKIDEXAMPLE",
        "SECRET": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "BEARER": "bedrock-api-key-test0000",
    },
    backend=backend,
    finish_end=finish_end,
    ended=lambda body: "metadata" in [kind for kind, _ in messages(body)],
    options=options,
    same_body=same_body,
    clock=RecordedClock(),
)
