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
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import EVENTS, JSON, post


class CohereAdapter:
    """Chat."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._url = f"{settings.base_url}/v2/chat"
        self._limits = settings.limits

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        stream = self._profile.streams(stream=attempt.stream)
        body = encode_body(attempt, self._profile, stream=stream)
        return post(self._url, attempt, self._profile, body, accept=EVENTS if stream else JSON)

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        return AnswerDecoder(ChatReader(attempt, self._profile, status=status, headers=headers), self._limits)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile.answer_id_headers)
