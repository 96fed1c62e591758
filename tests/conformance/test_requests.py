"""What the adapters send, against what the providers' own clients send."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conformance.equality import FREE_HEADERS, comparable
from tests.conformance.vendors import CASES, VENDORS, WIRE, Case


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_request_is_the_official_clients(case: Case) -> None:
    """The same method, path, query, headers and body, but for what the rules leave open."""
    recorded = case.record["request"]
    upstream = case.upstream
    request = upstream.adapter.request(case.attempt)
    if upstream.credentials is not None:
        request = await upstream.credentials.authorize(request)
    url = urlsplit(request.url)
    assert (request.method, url.path) == (recorded["method"], recorded["path"])
    assert parse_qs(url.query) == {name: [value] for name, value in recorded["query"].items()}
    headers = case.vendor.same_headers(recorded["headers"])
    wanted = {name: value for name, value in headers.items() if name not in FREE_HEADERS}
    # The transport takes the host from the URL where no header names it.
    sent = case.vendor.same_headers({"host": url.netloc, **request.headers})
    assert {name: sent.get(name) for name in wanted} == wanted
    same, same_body = case.vendor.same_fields, case.vendor.same_body
    found, expected = (
        same_body(comparable(body, same)) for body in (json.loads(request.body), recorded["body"])
    )
    assert found == expected


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_of_a_recorded_call_is_reported_as_unsupported(case: Case) -> None:
    """What the provider's own client can send, its profile takes, but for what the recording shows to be refused."""
    attempt = case.attempt
    found = case.upstream.unsupported(attempt.call, attempt.target.model)
    assert [warning.field for warning in found] == list(case.vendor.reported(case.record["intent"]))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_encoding_is_repeatable(case: Case) -> None:
    """A retry or a hedge sends the same bytes, and the call is what it was."""
    attempt, again = case.attempt, case.attempt
    adapter = case.adapter
    first, second = adapter.request(attempt), adapter.request(attempt)
    assert first == second
    assert attempt == again


def test_every_row_has_its_recordings() -> None:
    """No recording is left out without a word."""
    for vendor in VENDORS:
        names = {path.stem for path in (WIRE / vendor.folder).glob("*.json")}
        assert names
        assert set(vendor.lacking) <= names
