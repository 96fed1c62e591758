"""What dialects share that count the tokens of a question: the question as it would be asked, and one number back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import msgspec

from pointsman_server.context import Attempt
from pointsman_server.domain import Call, CountCall, Opened
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Adapter, Reply
from pointsman_server.upstreams.translation.documents import as_object, loose_json
from pointsman_server.upstreams.translation.faults import bounded_word, whole_number

Body = dict[str, msgspec.Raw]
_DECODE = msgspec.json.Decoder(Body).decode
_ENCODE = msgspec.json.Encoder().encode


class Counter:
    """A provider's own counter: its adapter writes the question, `rewrite` makes of it what the counter takes.

    `field` is the answer's member that holds the number, `url` the counter's address for the question's.
    """

    def __init__(
        self, adapter: Adapter[Call], *, url: Callable[[str], str], field: str,
        rewrite: Callable[[Attempt[CountCall], Body], object],
    ) -> None:  # fmt: skip
        self._adapter = adapter
        self._url = url
        self._field = field
        self._rewrite = rewrite

    def request(self, attempt: Attempt[CountCall]) -> HTTPRequest:
        """As the protocol says."""
        asked = self._adapter.request(question(attempt))
        body = self._rewrite(attempt, _DECODE(asked.body))
        headers = {**asked.headers, "accept": "application/json"}
        return replace(asked, url=self._url(asked.url), headers=headers, body=_ENCODE(body))

    def answer(self, attempt: Attempt[CountCall], status: int, headers: Headers, body: bytes) -> Reply[int]:
        """As the protocol says."""
        count = whole_number(as_object(loose_json(body)).get(self._field))
        if count is None:
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no count")
        request_id = bounded_word(headers.get("request-id", headers.get("x-request-id", "")))
        return Reply(count, opened=Opened(upstream_request_id=request_id))

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return self._adapter.refusal(status, headers, body)


def question(attempt: Attempt[CountCall]) -> Attempt[Call]:
    """The attempt at asking what is only counted."""
    return Attempt(
        call=attempt.call.asked,
        target=attempt.target,
        number=attempt.number,
        stream=False,
        upstream_id=attempt.upstream_id,
        trace_headers=attempt.trace_headers,
    )


def only(names: Collection[str]) -> Callable[[Attempt[CountCall], Body], object]:
    """A rewriting that keeps these members."""
    return lambda _, body: {name: value for name, value in body.items() if name in names}
