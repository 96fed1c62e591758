"""The dialect as one adapter: what a call becomes on the wire, and what the wire becomes in events."""

from __future__ import annotations

from pointsman_server.context import Attempt
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.dialects.dashscope.reader import GenerationReader
from pointsman_server.upstreams.dialects.dashscope.request import encode_body, needs_multimodal
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import AnswerDecoder
from pointsman_server.upstreams.translation.error_objects import read_refusal
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import EVENTS, post

_STREAMED = {"x-accel-buffering": "no", "x-dashscope-sse": "enable"}
_JSON = "application/json; charset=utf-8"


class DashScopeAdapter:
    """Text generation, and multimodal generation for models and calls that need it."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._text_url = f"{settings.base_url}/services/aigc/text-generation/generation"
        self._multimodal_url = f"{settings.base_url}/services/aigc/multimodal-generation/generation"
        self._multimodal = settings.backend.dashscope.interface == "multimodal"
        self._limits = settings.limits

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        stream = self._profile.streams(stream=attempt.stream)
        multimodal = self._multimodal or needs_multimodal(attempt.call, self._profile, attempt.target.model)
        return post(
            self._multimodal_url if multimodal else self._text_url,
            attempt,
            self._profile,
            encode_body(attempt, self._profile, stream=stream, multimodal=multimodal),
            accept=EVENTS if stream else _JSON,
            content_type=_JSON,
            more=_STREAMED if stream else {},
        )

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        reader = GenerationReader(attempt, self._profile, status=status, headers=headers)
        return AnswerDecoder(reader, self._limits)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile.error_codes)
