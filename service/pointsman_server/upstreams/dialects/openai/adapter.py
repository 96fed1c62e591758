"""The dialect as one adapter: what a call becomes on the wire, and what the wire becomes in events."""

from __future__ import annotations

from pointsman_server.context import Attempt
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.dialects.openai.place import Place, deployment_place
from pointsman_server.upstreams.dialects.openai.reader import ChatReader
from pointsman_server.upstreams.dialects.openai.request import encode_body
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import AnswerDecoder
from pointsman_server.upstreams.translation.error_objects import read_refusal
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import EVENTS, JSON, post
from pointsman_server.upstreams.translation.support import is_chat


class OpenAIAdapter:
    """Chat completions, and completions for prompts and tokens."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._limits = settings.limits
        self._place = Place(settings.base_url)
        if profile.deployments:
            self._place = deployment_place(settings.base_url, settings.backend.api_version)

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        stream = self._profile.streams(stream=attempt.stream)
        chat = is_chat(attempt.call, self._profile)
        url = self._place.url(attempt.target.model, "/chat/completions" if chat else "/completions")
        body = encode_body(attempt, self._profile, stream=stream)
        return post(url, attempt, self._profile, body, accept=EVENTS if stream else JSON)

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        reader = ChatReader(attempt, self._profile, status=status, headers=headers)
        return AnswerDecoder(reader, self._limits, at_end=reader.at_end)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        profile = self._profile
        return read_refusal(status, headers, body, profile.error_codes, profile.answer_id_headers)
