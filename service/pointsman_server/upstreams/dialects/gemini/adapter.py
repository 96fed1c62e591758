"""The dialect as one adapter. Model and method stand in the path; a stream asks for server-sent events."""

from __future__ import annotations

from pointsman_server.context import Attempt
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.dialects.gemini.place import resource
from pointsman_server.upstreams.dialects.gemini.reader import GeminiReader
from pointsman_server.upstreams.dialects.gemini.refusal import read_refusal
from pointsman_server.upstreams.dialects.gemini.request import encode_body
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import AnswerDecoder
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import EVENTS, JSON, post


class GeminiAdapter:
    """generateContent, and streamGenerateContent."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._url = f"{settings.base_url}/{profile.api_version}"
        self._limits = settings.limits

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        stream = self._profile.streams(stream=attempt.stream)
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        url = f"{self._url}/{resource(attempt.target.model)}:{method}"
        body = encode_body(attempt, self._profile)
        return post(url, attempt, self._profile, body, accept=EVENTS if stream else JSON)

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        reader = GeminiReader(attempt, self._profile, status=status, headers=headers)
        # An error in a stream may be told as JSON without `data:`.
        return AnswerDecoder(reader, self._limits, bare_json=True, at_end=reader.at_end)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body)
