"""The dialect over HTTP as one adapter: Triton's generate extension, and tensors as the protocol has them."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from pointsman_server.context import Attempt
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.dialects.triton.reader import GenerateReader, InferReader
from pointsman_server.upstreams.dialects.triton.refusal import read_refusal
from pointsman_server.upstreams.dialects.triton.request import generate_body, infer_body
from pointsman_server.upstreams.dialects.triton.styles import setup_of
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import AnswerDecoder
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import EVENTS, JSON, post


class TritonAdapter:
    """One backend; which of the two it is, its configuration says."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._models_url = f"{settings.base_url}/v2/models"
        self._limits = settings.limits
        self._setup = setup_of(profile.dialect, settings.backend.open_inference, http=True)

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        profile, setup = self._profile, self._setup
        stream = profile.streams(stream=attempt.stream)
        request = post(
            self._url(attempt, stream=stream), attempt, profile, b"", accept=EVENTS if stream else JSON
        )
        if setup.generate:
            return replace(request, body=generate_body(attempt, profile, setup, stream=stream))
        request_id = request.headers[profile.request_id_header]
        return replace(request, body=infer_body(attempt, profile, setup, request_id, stream=stream))

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        kind = GenerateReader if self._setup.generate else InferReader
        reader = kind(
            self._setup,
            status=status,
            headers=headers,
            may_be_empty=self._profile.streams(stream=attempt.stream),
        )
        return AnswerDecoder(reader, self._limits, at_end=reader.at_end, unmarked=True)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, vague_400=self._setup.vague_400)

    def _url(self, attempt: Attempt, *, stream: bool) -> str:
        version = self._setup.written.model_version
        model = f"{self._models_url}/{quote(attempt.target.model, safe='')}"
        versioned = f"{model}/versions/{version}" if version else model
        asked = "generate" if self._setup.generate else "infer"
        return f"{versioned}/{asked}{'_stream' if stream else ''}"
