"""What the adapters send, against what the providers' own clients send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pointsman_server.config.secrets import Secret
from pointsman_server.upstreams.credentials.header import bearer
from pointsman_server.upstreams.support import unsupported
from tests.conformance.vendors import CASES, VENDORS, WIRE, Case

FREE_HEADERS = {"accept"}


def comparable(value: Any, same: Mapping[str, str], key: str = "") -> Any:
    """A body in the form in which two that mean the same are equal."""
    if isinstance(value, dict):
        pairs = ((same.get(name, name), inner) for name, inner in value.items())
        kept = {name: comparable(inner, same, name) for name, inner in pairs}
        return {name: inner for name, inner in kept.items() if not (name == "stream" and inner is False)}
    if isinstance(value, list):
        return [comparable(item, same) for item in value]
    if key == "arguments" and isinstance(value, str):
        return json.loads(value)
    return value


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_request_is_the_official_clients(case: Case) -> None:
    """The same method, path, query, headers and body, but for what the rules leave open."""
    recorded = case.record["request"]
    request = await bearer(Secret(case.vendor.secret)).authorize(case.vendor.adapter().request(case.attempt))
    url = urlsplit(request.url)
    assert (request.method, url.path) == (recorded["method"], recorded["path"])
    assert parse_qs(url.query) == {name: [value] for name, value in recorded["query"].items()}
    wanted = {name: value for name, value in recorded["headers"].items() if name not in FREE_HEADERS}
    assert {name: request.headers.get(name) for name in wanted} == wanted
    same = case.vendor.same_fields
    assert comparable(json.loads(request.body), same) == comparable(recorded["body"], same)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_of_a_recorded_call_is_reported_as_unsupported(case: Case) -> None:
    """What the provider's own client can send, its profile takes."""
    assert unsupported(case.attempt.call, case.vendor.profile) == ()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_encoding_is_repeatable(case: Case) -> None:
    """A retry or a hedge sends the same bytes, and the call is what it was."""
    attempt, again = case.attempt, case.attempt
    adapter = case.vendor.adapter()
    first, second = adapter.request(attempt), adapter.request(attempt)
    assert first == second
    assert attempt == again


def test_every_folder_has_a_row_and_every_row_a_folder() -> None:
    """No recording is left out without a word."""
    folders = {path.name for path in WIRE.iterdir() if path.is_dir()}
    assert folders == {vendor.folder for vendor in VENDORS}
    for vendor in VENDORS:
        names = {path.stem for path in (WIRE / vendor.folder).glob("*.json")}
        assert names
        assert set(vendor.lacking) <= names
