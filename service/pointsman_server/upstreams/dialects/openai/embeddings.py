"""/embeddings of OpenAI and of those who took it over."""

from __future__ import annotations

from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import EmbedCall, Embeddings, Opened
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Reply
from pointsman_server.upstreams.dialects.openai.place import Place, deployment_place
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation import decoding
from pointsman_server.upstreams.translation.documents import as_list, as_object, loose_json
from pointsman_server.upstreams.translation.embedding import (
    map_fields,
    map_usage,
    no_vectors,
    texts_or_tokens,
    vectors_by_index,
    vectors_in_order,
)
from pointsman_server.upstreams.translation.error_objects import answered_error, read_refusal, say
from pointsman_server.upstreams.translation.faults import answer_id, bounded_word, whole_number
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile
from pointsman_server.upstreams.translation.requests import encoded, post

_OWN = frozenset(
    {"model", "input", "encoding_format", "dimensions", "output_dimension", "output_dtype", "stream"}
)
"""The dialect's; no caller's option replaces them: they decide what is embedded, and how the answer is read."""


class OpenAIEmbeddings:
    """Vectors of texts and tokens."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._embedding = profile.embeddings or EmbeddingProfile()
        self._place = Place(settings.base_url)
        if profile.deployments:
            self._place = deployment_place(settings.base_url, settings.backend.api_version)

    def request(self, attempt: Attempt[EmbedCall]) -> HTTPRequest:
        """As the protocol says."""
        call, profile, model = attempt.call, self._profile, attempt.target.model
        body: dict[str, Any] = {"model": model, "input": texts_or_tokens(call)}
        if self._embedding.base64:
            body["encoding_format"] = "base64"
        map_fields(body, call, self._embedding)
        if call.provider_options:
            add_fields(body, call, profile, self._embedding.fields, _OWN)
        return post(self._place.url(model, "/embeddings"), attempt, profile, encoded(body, ""))

    def answer(
        self, attempt: Attempt[EmbedCall], status: int, headers: Headers, body: bytes
    ) -> Reply[Embeddings]:
        """As the protocol says. Vectors say themselves which input is theirs."""
        document = as_object(loose_json(body))
        data = as_list(document.get("data"))
        if not data:
            raise self._no_answer(document, status, headers)
        usage = as_object(document.get("usage"))
        return Reply(
            Embeddings(vectors_in_order(vectors_by_index(data, "index"), len(attempt.call.inputs))),
            usage=map_usage(
                whole_number(usage.get("prompt_tokens")), whole_number(usage.get("total_tokens"))
            ),
            opened=Opened(
                response_id=bounded_word(document.get("id")),
                model=bounded_word(document.get("model")),
                upstream_request_id=answer_id(headers, self._profile.answer_id_headers),
            ),
        )

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        profile = self._profile
        return read_refusal(status, headers, body, profile.error_codes, profile.answer_id_headers)

    def _no_answer(self, document: dict[str, Any], status: int, headers: Headers) -> ServiceError:
        said = say(document)
        if said is None:
            return no_vectors()
        place = decoding.Place(status, headers, answer_id(headers, self._profile.answer_id_headers))
        fault = place.fault(stream_status=said.status)
        return answered_error(said, fault, headers, self._profile.error_codes)
