"""batchEmbedContents: a request in itself for each input."""

from __future__ import annotations

from functools import partial
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import EmbedCall, Embeddings
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Reply
from pointsman_server.upstreams.dialects.gemini.contents import map_media
from pointsman_server.upstreams.dialects.gemini.place import full_name, resource
from pointsman_server.upstreams.dialects.gemini.refusal import answered_error, read_refusal
from pointsman_server.upstreams.dialects.gemini.request import camel
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_list, as_object, loose_json
from pointsman_server.upstreams.translation.embedding import (
    map_fields,
    map_inputs,
    map_usage,
    no_vectors,
    vector_of,
    vectors_in_order,
)
from pointsman_server.upstreams.translation.faults import whole_number
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile
from pointsman_server.upstreams.translation.requests import encoded, post

_OWN = frozenset({"model", "content", "requests", "taskType", "outputDimensionality"})
"""The dialect's; no caller's option replaces them."""


class GeminiEmbeddings:
    """Vectors of texts and images."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._embedding = profile.embeddings or EmbeddingProfile()
        self._url = f"{settings.base_url}/{profile.api_version}"

    def request(self, attempt: Attempt[EmbedCall]) -> HTTPRequest:
        """As the protocol says. What a caller adds goes into the request of every input."""
        call, model = attempt.call, attempt.target.model
        url = f"{self._url}/{resource(model)}:batchEmbedContents"
        alike: dict[str, Any] = {"model": full_name(model)}
        map_fields(alike, call, self._embedding)
        if call.provider_options:
            add_fields(alike, call, self._profile, self._embedding.fields, _OWN, canonical=camel)
        parts = map_inputs(call, partial(map_media, profile=self._profile))
        body = {"requests": [{"content": {"role": "user", "parts": [part]}, **alike} for part in parts]}
        return post(url, attempt, self._profile, encoded(body, ""))

    def answer(
        self, attempt: Attempt[EmbedCall], status: int, headers: Headers, body: bytes
    ) -> Reply[Embeddings]:
        """As the protocol says; vectors come in the order of the inputs. Not every model tells what it read."""
        document = as_object(loose_json(body))
        if document.get("error"):
            raise answered_error(document, Place(status, headers))
        vectors = [vector_of(as_object(one).get("values")) for one in as_list(document.get("embeddings"))]
        if not vectors:
            raise no_vectors()
        usage = as_object(document.get("usageMetadata"))
        return Reply(
            Embeddings(vectors_in_order(vectors, len(attempt.call.inputs))),
            usage=map_usage(
                whole_number(usage.get("promptTokenCount")), whole_number(usage.get("totalTokenCount"))
            ),
        )

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body)
