"""text-embedding, and multimodal-embedding for models that answer there."""

from __future__ import annotations

from functools import partial
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import EmbedCall, Embeddings, Opened, Usage
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Reply
from pointsman_server.upstreams.dialects.dashscope.refusal import answered_error
from pointsman_server.upstreams.dialects.dashscope.request import map_media, with_flat_options
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_list, as_object, loose_json
from pointsman_server.upstreams.translation.embedding import (
    map_fields,
    map_inputs,
    map_usage,
    no_vectors,
    texts_of,
    vectors_by_index,
    vectors_in_order,
)
from pointsman_server.upstreams.translation.error_objects import read_refusal
from pointsman_server.upstreams.translation.faults import answer_id, bounded_word, whole_number
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile
from pointsman_server.upstreams.translation.requests import encoded, post

_OWN = frozenset(
    {"model", "input", "texts", "contents", "url", "text_type", "dimension", "output_type", "enable_fusion"}
)
"""The dialect's; no caller's option replaces them: they decide what is embedded, and how the answer is read."""


class DashScopeEmbeddings:
    """Vectors of texts; of images as well where the backend is one of multimodal models."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._embedding = profile.embeddings or EmbeddingProfile()
        self._multimodal = settings.backend.dashscope.interface == "multimodal"
        kind = "multimodal-embedding" if self._multimodal else "text-embedding"
        self._url = f"{settings.base_url}/services/embeddings/{kind}/{kind}"

    def request(self, attempt: Attempt[EmbedCall]) -> HTTPRequest:
        """As the protocol says."""
        call, profile = attempt.call, self._profile
        parameters: dict[str, Any] = {}
        map_fields(parameters, call, self._embedding)
        if call.provider_options:
            add_fields(parameters, with_flat_options(call, profile), profile, self._embedding.fields, _OWN)
        body = {"model": attempt.target.model, "input": self._map_inputs(call), "parameters": parameters}
        return post(self._url, attempt, profile, encoded(body, ""))

    def _map_inputs(self, call: EmbedCall) -> dict[str, Any]:
        if self._multimodal:
            return {"contents": map_inputs(call, partial(map_media, profile=self._profile))}
        return {"texts": texts_of(call)}

    def answer(
        self, attempt: Attempt[EmbedCall], status: int, headers: Headers, body: bytes
    ) -> Reply[Embeddings]:
        """As the protocol says. Vectors say themselves which input is theirs, in a word of each interface."""
        document = as_object(loose_json(body))
        request_id = bounded_word(document.get("request_id")) or answer_id(
            headers, self._profile.answer_id_headers
        )
        if document.get("code"):
            raise answered_error(document, Place(status, headers, request_id))
        entries = as_list(as_object(document.get("output")).get("embeddings"))
        if not entries:
            raise no_vectors()
        vectors = vectors_by_index(entries, "text_index", "index")
        return Reply(
            Embeddings(vectors_in_order(vectors, len(attempt.call.inputs))),
            usage=_map_usage(as_object(document.get("usage"))),
            opened=Opened(request_id, upstream_request_id=request_id),
        )

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile.error_codes)


def _map_usage(told: dict[str, Any]) -> Usage | None:
    """Some models count images among the input's tokens and some beside them; a sum, where one is told, holds both, and
    what some call the output's.
    """
    total, outputs = whole_number(told.get("total_tokens")), whole_number(told.get("output_tokens")) or 0
    if total is not None:
        return map_usage(max(0, total - outputs), total)
    kinds = [whole_number(told.get(name)) for name in ("input_tokens", "image_tokens")]
    known = [count for count in kinds if count is not None]
    return map_usage(sum(known) if known else None)
