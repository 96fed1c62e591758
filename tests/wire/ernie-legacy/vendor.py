"""Baidu's older interface to ERNIE, and the exchange of keys for its access token."""

from __future__ import annotations

import re
from typing import Any

from pointsman_server.config.secrets import Secret
from pointsman_server.context import Attempt
from pointsman_server.domain import Delta, DeltaKind, Event
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import BodyLimits, Headers, HTTPRequest
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.contract import Adapter, Decoder
from pointsman_server.upstreams.credentials.baidu import exchange_request
from pointsman_server.upstreams.credentials.tokens import read_token
from pointsman_server.upstreams.translation.decoding import AnswerDecoder, Place
from tests.conformance.vendors import Record, Vendor, last_match


class TokenReader:
    """The answer of the token endpoint, its token as a text."""

    complete = False

    def __init__(self, status: int, headers: Headers) -> None:
        self.place = Place(status, headers)
        self.ended = False

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """It never streams."""
        self.whole(event.data, events)

    def whole(self, data: bytes, events: list[Event]) -> None:
        """The token."""
        token = read_token(self.place.status, data)
        events.append(Delta(0, 0, DeltaKind.TEXT, token.value.reveal()))
        self.ended = True


class TokenExchange:
    """What the credentials send and read, as an adapter."""

    def request(self, attempt: Attempt) -> HTTPRequest:
        """The exchange, whatever the call."""
        url = "https://aip.example.com/oauth/2.0/token"
        return exchange_request(url, Secret("ak-test"), Secret("sk-test"))

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """Of a 2xx."""
        return AnswerDecoder(TokenReader(status, headers), BodyLimits())

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """Of any other status."""
        try:
            read_token(status, body)
        except ServiceError as error:
            return error
        raise AssertionError("a token in spite of its status")


def stand_in(record: Record) -> Adapter | None:
    """For the exchange of keys."""
    return TokenExchange() if record["request"]["path"].startswith("/oauth/") else None


def without_marker(body: Any) -> Any:
    """Without what only says which client sent it."""
    extra = {
        name: value for name, value in body.get("extra_parameters", {}).items() if name != "request_source"
    }
    kept = {name: value for name, value in body.items() if name != "extra_parameters"}
    return {**kept, "extra_parameters": extra} if extra else kept


def ended(body: bytes) -> bool:
    """Whether the event that says so has come, complete."""
    return body.endswith(b"\n\n") and re.search(rb'"is_end":\s*true', body) is not None


VENDOR = Vendor(
    provider="ernie",
    client="qianfan",
    secrets={"TOKEN": "24.test0000.2592000.1793000000.282335-1"},
    backend=lambda record: {
        "url": "https://aip.example.com/rpc/2.0/ai_custom/v1/wenxinworkshop",
        "credentials": {"type": "query", "name": "access_token", "secret": {"env": "TOKEN"}},
    },
    finish_end=last_match(rb'"is_end":\s*true'),
    ended=ended,
    same_body=without_marker,
    stand_in=stand_in,
)
