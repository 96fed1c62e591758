"""The dialect as one adapter: what a call becomes on the wire, and what the wire becomes in events."""

from __future__ import annotations

from urllib.parse import quote

from pointsman_server.context import Attempt
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.dialects.ernie.reader import ErnieReader
from pointsman_server.upstreams.dialects.ernie.refusal import read_refusal
from pointsman_server.upstreams.dialects.ernie.request import encode_body
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import AnswerDecoder
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import EVENTS, JSON, post


class ErnieAdapter:
    """Chat; a model's name is the end of its path."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._url = f"{settings.base_url}/chat"
        self._limits = settings.limits

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        stream = self._profile.streams(stream=attempt.stream)
        url = f"{self._url}/{quote(attempt.target.model, safe='')}"
        body = encode_body(attempt, self._profile, stream=stream)
        return post(url, attempt, self._profile, body, accept=EVENTS if stream else JSON)

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        reader = ErnieReader(attempt, self._profile, status=status, headers=headers)
        # An error in a stream comes as a bare line.
        return AnswerDecoder(reader, self._limits, bare_json=True)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile)
