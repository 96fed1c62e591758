"""The dialect as one adapter."""

from __future__ import annotations

from pointsman_server.context import Attempt
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.dialects.cohere.reader import ChatReader
from pointsman_server.upstreams.dialects.cohere.refusal import read_refusal
from pointsman_server.upstreams.dialects.cohere.request import encode_body
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import AnswerDecoder
from pointsman_server.upstreams.translation.options import caller_headers
from pointsman_server.upstreams.translation.profile import Profile, UnaryUpstream


class CohereAdapter:
    """Chat."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._url = f"{settings.base_url}/v2/chat"
        self._limits = settings.limits

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        stream = attempt.stream or self._profile.unary_upstream is UnaryUpstream.STREAM
        return HTTPRequest(
            method="POST",
            url=self._url,
            headers={
                "content-type": "application/json",
                "accept": "text/event-stream" if stream else "application/json",
                self._profile.request_id_header: attempt.upstream_id,
                **attempt.trace_headers,
                **caller_headers(attempt.call, self._profile),
            },
            body=encode_body(attempt, self._profile, stream=stream),
        )

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        return AnswerDecoder(ChatReader(attempt, self._profile, status=status, headers=headers), self._limits)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile.answer_id_headers)
