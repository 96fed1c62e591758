"""The dialect as one adapter: what a call becomes on the wire, and what the wire becomes in events."""

from __future__ import annotations

from urllib.parse import quote

from pointsman_server.context import Attempt
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.dialects.bedrock.frames import FRAMES, Frames
from pointsman_server.upstreams.dialects.bedrock.reader import ConverseReader
from pointsman_server.upstreams.dialects.bedrock.refusal import read_refusal
from pointsman_server.upstreams.dialects.bedrock.request import encode_body
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import AnswerDecoder
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import JSON, post


class BedrockAdapter:
    """Converse."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._base_url = settings.base_url
        self._limits = settings.limits

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        stream = self._profile.streams(stream=attempt.stream)
        # Ids of models hold colons, and those of inference profiles slashes: they are one step of the path.
        model = quote(attempt.target.model, safe="")
        url = f"{self._base_url}/model/{model}/converse{'-stream' if stream else ''}"
        body = encode_body(attempt, self._profile)
        return post(url, attempt, self._profile, body, accept=FRAMES if stream else JSON)

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        reader = ConverseReader(attempt, self._profile, status=status, headers=headers)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        framing = Frames(self._limits.event_bytes) if kind == FRAMES else None
        return AnswerDecoder(reader, self._limits, framing=framing, at_end=reader.at_end)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile.answer_id_headers)
