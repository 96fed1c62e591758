"""A provider's own client against the fake provider: one job, and what was sent and heard."""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pointsman_server.transport.contract import HTTPRequest
from tests.conformance.equality import FREE_HEADERS, comparable
from tests.conformance.vendors import Case
from tests.fakes.provider import Provider, Request
from tests.fakes.replies import BodyFraming, Close, Reply
from tests.sdks.differences import EXTRA

Ask = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Authority:
    """Whose certificate a fake provider shows to a client that speaks over TLS alone."""

    context: ssl.SSLContext
    path: str
    """A file with the authority's own certificate."""


@dataclass(frozen=True)
class Exchange:
    """What went over the wire."""

    ours: HTTPRequest
    """What the adapter sends."""
    sent: Request | None
    """What the client sent for the same; None where it sent nothing."""
    heard: Mapping[str, Any]
    """What it made of the answer: see `clients/heard.py`."""


def recorded(case: Case) -> Reply:
    """The recorded answer, in the reads it came in."""
    steps = (*case.chunks, *([Close()] if case.dropped else []))
    framing = BodyFraming.CHUNKED if case.streamed else BodyFraming.LENGTH
    return Reply(case.status, case.headers, steps, framing=framing)


async def own_request(case: Case) -> HTTPRequest:
    """What the adapter sends, with its proof of who calls."""
    upstream = case.upstream
    ours = upstream.adapter.request(case.attempt)
    return ours if upstream.credentials is None else await upstream.credentials.authorize(ours)


async def exchange(ask: Ask, case: Case, provider: Provider, authority: Authority) -> Exchange:
    """The client is given the adapter's body to send to this provider, and hears its answer."""
    ours = await own_request(case)
    before = len(provider.requests)
    heard = await ask(case.vendor.client, {**job(case, ours, provider.url), "authority": authority.path})
    return Exchange(ours, next(iter(provider.requests[before:]), None), heard)


def job(case: Case, ours: HTTPRequest, url: str) -> dict[str, Any]:
    """What a client is asked to send, to this address."""
    place = urlsplit(ours.url)
    options = case.attempt.call.provider_options.get(case.vendor.profile.dialect)
    return {
        "url": url,
        "path": place.path,
        "query": {name: values[0] for name, values in parse_qs(place.query).items()},
        "headers": dict(ours.headers),
        "more_headers": dict(options.headers) if options else {},
        "body": json.loads(ours.body) if ours.body else {},
        "verb": "stream" if case.attempt.stream else "call",
        "extra": sorted(EXTRA.get(case.vendor.folder, (frozenset(), ""))[0]),
        "secrets": dict(case.vendor.secrets),
    }


_TOLD = ("id", "text", "reasoning", "tool_plan", "refusal", "finish_reason_raw", "stop_sequence")
_OF_ERRORS = ("http_status", "code", "type", "message", "request_id")
_OF_USAGE = (
    "input_tokens", "output_tokens", "total_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip


def _flat(told: Mapping[str, Any]) -> dict[str, Any]:
    """By dotted names; what says nothing is not there."""
    usage, error = told.get("usage") or {}, dict(told.get("error") or {})
    # What is told within a stream, or within a success, has a status of its own or none.
    error["http_status"] = error.get("stream_status") or error.get("http_status")
    if error["http_status"] == 200:
        del error["http_status"]
    words = {
        **{name: told.get(name) for name in _TOLD},
        **{f"usage.{name}": usage.get(name) for name in _OF_USAGE},
        **{f"error.{name}": error.get(name) for name in _OF_ERRORS},
        "tool_calls": [(call["name"], call["arguments"]) for call in told.get("tool_calls", ())],
        "error": bool(told.get("error")),
    }
    return {name: value for name, value in words.items() if value not in (None, "", [])}


def misheard(told: Mapping[str, Any], expect: Mapping[str, Any]) -> dict[str, str]:
    """Dotted name -> what the client heard in place of what is expected. What is not expected anywhere is free."""
    heard, wanted = _flat(told), _flat(expect)
    names = {name: None for name in (*wanted, *heard) if name in wanted or name.partition(".")[0] in expect}
    found = {
        name: f"{heard.get(name)!r}, not {wanted.get(name)!r}"
        for name in names
        if heard.get(name) != wanted.get(name)
    }
    ids = [call["id"] for call in told["tool_calls"]]
    for one, other in zip(ids, expect.get("tool_calls", ()), strict=False):
        if other.get("id") and one != other["id"]:
            found["tool_calls.id"] = f"{one!r}, not {other['id']!r}"
    return found


_FREE_HEADERS = {*FREE_HEADERS, "content-length", "host", "user-agent"}


def _headers(case: Case, raw: Mapping[str, str]) -> dict[str, str]:
    """Those that are compared: a signature by whose it is, since it varies with the clock; no ids of requests."""
    kept = {name.lower(): value for name, value in raw.items() if value != case.attempt.upstream_id}
    kept = dict(case.vendor.same_headers(kept))
    if (proof := kept.get("authorization", "")).startswith("AWS4-"):
        kept["authorization"] = proof.partition("/")[0]
    if "content-type" in kept:
        kept["content-type"] = kept["content-type"].partition(";")[0]
    return {
        name: value
        for name, value in kept.items()
        if name not in _FREE_HEADERS and not name.startswith("x-amz-")
    }


def _body(case: Case, raw: bytes) -> Any:
    """In the form in which two that mean the same are equal."""
    return case.vendor.same_body(comparable(json.loads(raw), case.vendor.same_fields)) if raw else None


def unlike(case: Case, spoken: Exchange, *, same: Callable[[Any], Any] = lambda body: body) -> dict[str, str]:
    """Part of the request -> how the client sent something else, seen through `same`."""
    ours, sent = spoken.ours, spoken.sent
    if sent is None:
        return {"sent": f"nothing: {spoken.heard['error']}"}
    place, there = urlsplit(ours.url), urlsplit(sent.path)
    mine, theirs = _headers(case, ours.headers), _headers(case, sent.headers)
    pairs = {
        "method": (sent.method, ours.method),
        "path": (unquote(there.path), unquote(place.path)),
        "query": (parse_qs(there.query), parse_qs(place.query)),
        "body": (same(_body(case, sent.body)), same(_body(case, ours.body))),
        **{name: (theirs.get(name), mine[name]) for name in mine},
    }
    return {name: f"{found!r}, not {wanted!r}" for name, (found, wanted) in pairs.items() if found != wanted}
