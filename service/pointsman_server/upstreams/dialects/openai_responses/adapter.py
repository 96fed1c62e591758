"""The dialect as one adapter. Nothing is kept by the provider: what a model must see again travels with the call."""

from __future__ import annotations

from pointsman_server.context import Attempt
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.dialects.openai_responses.reader import ResponsesReader
from pointsman_server.upstreams.dialects.openai_responses.request import encode_body
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import AnswerDecoder
from pointsman_server.upstreams.translation.error_objects import read_refusal
from pointsman_server.upstreams.translation.options import caller_headers
from pointsman_server.upstreams.translation.profile import Profile, UnaryUpstream


class ResponsesAdapter:
    """Responses."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._url = f"{settings.base_url}/responses"
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
        reader = ResponsesReader(attempt, self._profile, status=status, headers=headers)
        return AnswerDecoder(reader, self._limits)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile.error_codes, self._profile.answer_id_headers)
