"""The dialect as one adapter. It always answers in lines of JSON; a whole answer is one line."""

from __future__ import annotations

from pointsman_server.context import Attempt
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.dialects.ollama.reader import ChatReader
from pointsman_server.upstreams.dialects.ollama.refusal import read_refusal
from pointsman_server.upstreams.dialects.ollama.request import encode_body
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import AnswerDecoder
from pointsman_server.upstreams.translation.lines import LineEvents
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import JSON, post
from pointsman_server.upstreams.translation.support import is_chat

_LINES = "application/x-ndjson"


class OllamaAdapter:
    """Chat, and generate for prompts."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._chat_url = f"{settings.base_url}/api/chat"
        self._prompt_url = f"{settings.base_url}/api/generate"
        self._limits = settings.limits

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        stream = self._profile.streams(stream=attempt.stream)
        url = self._chat_url if is_chat(attempt.call, self._profile) else self._prompt_url
        body = encode_body(attempt, self._profile, stream=stream)
        return post(url, attempt, self._profile, body, accept=_LINES if stream else JSON)

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        reader = ChatReader(attempt, self._profile, status=status, headers=headers)
        decoder = AnswerDecoder(reader, self._limits, framing=LineEvents(self._limits.event_bytes))
        # One line may be a whole answer, so the label says which of the two it is.
        reader.place.streamed = headers.get("content-type", "").strip().lower().startswith(_LINES)
        return decoder

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile.answer_id_headers)
