"""/api/embed."""

from __future__ import annotations

from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import EmbedCall, Embeddings, Opened
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Reply
from pointsman_server.upstreams.dialects.ollama.refusal import answered_error, read_refusal
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_list, as_object, loose_json
from pointsman_server.upstreams.translation.embedding import (
    map_fields,
    map_usage,
    no_vectors,
    texts_or_tokens,
    vector_of,
    vectors_in_order,
)
from pointsman_server.upstreams.translation.faults import answer_id, bounded_word, whole_number
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile
from pointsman_server.upstreams.translation.requests import encoded, post

_OWN = frozenset({"model", "input", "dimensions", "truncate"})
"""The dialect's; no caller's option replaces them."""


class OllamaEmbeddings:
    """Vectors of texts."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._embedding = profile.embeddings or EmbeddingProfile()
        self._url = f"{settings.base_url}/api/embed"

    def request(self, attempt: Attempt[EmbedCall]) -> HTTPRequest:
        """As the protocol says."""
        call = attempt.call
        body: dict[str, Any] = {"model": attempt.target.model, "input": texts_or_tokens(call)}
        map_fields(body, call, self._embedding)
        if call.provider_options:
            add_fields(body, call, self._profile, self._embedding.fields, _OWN)
        return post(self._url, attempt, self._profile, encoded(body, ""))

    def answer(
        self, attempt: Attempt[EmbedCall], status: int, headers: Headers, body: bytes
    ) -> Reply[Embeddings]:
        """As the protocol says; vectors come in the order of the inputs."""
        document = as_object(loose_json(body))
        place = Place(status, headers, answer_id(headers, self._profile.answer_id_headers))
        if document.get("error"):
            raise answered_error(document, place)
        vectors = [vector_of(one) for one in as_list(document.get("embeddings"))]
        if not vectors:
            raise no_vectors()
        return Reply(
            Embeddings(vectors_in_order(vectors, len(attempt.call.inputs))),
            usage=map_usage(whole_number(document.get("prompt_eval_count"))),
            opened=Opened(model=bounded_word(document.get("model")), upstream_request_id=place.request_id),
        )

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile.answer_id_headers)
