"""The dialect as one adapter: what a call becomes on the wire, and what the wire becomes in events."""

from __future__ import annotations

from pointsman_server.context import Attempt
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.dialects.anthropic.reader import MessageReader
from pointsman_server.upstreams.dialects.anthropic.refusal import read_refusal
from pointsman_server.upstreams.dialects.anthropic.request import DEFAULT_LIMIT, encode_body, output_limit
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import AnswerDecoder
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import EVENTS, JSON, post

_LARGEST_WHOLE = 21_333
"""Output tokens above which Anthropic's own client refuses to wait for a whole answer: at the 128,000 an hour that it
reckons with they take more than the ten minutes after which networks drop an idle connection."""


class AnthropicAdapter:
    """Messages."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        # The official client's base URL has no version in it; most others' have.
        self._url = f"{settings.base_url.removesuffix('/v1')}/v1/messages"
        self._limits = settings.limits
        self._default_limit = settings.backend.default_max_output_tokens

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        default = self._default_limit or attempt.target.output_token_limit or DEFAULT_LIMIT
        limit = output_limit(attempt.call, self._profile, default)
        stream = self._profile.streams(stream=attempt.stream) or limit > _LARGEST_WHOLE
        return post(
            self._url,
            attempt,
            self._profile,
            encode_body(attempt, self._profile, limit, stream=stream),
            accept=EVENTS if stream else JSON,
            more={"anthropic-version": self._profile.api_version},
        )

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        reader = MessageReader(attempt, self._profile, status=status, headers=headers)
        return AnswerDecoder(reader, self._limits)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile.answer_id_headers)
