"""/v2/embed."""

from __future__ import annotations

from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import EmbedCall, Embeddings, Media, Opened, Usage
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Reply
from pointsman_server.upstreams.dialects.cohere.refusal import answered_error, read_refusal, say
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_list, as_object, loose_json
from pointsman_server.upstreams.translation.embedding import (
    images_of,
    map_fields,
    map_usage,
    no_vectors,
    texts_of,
    vector_of,
    vectors_in_order,
)
from pointsman_server.upstreams.translation.faults import answer_id, bounded_word, whole_number
from pointsman_server.upstreams.translation.media import data_url
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile
from pointsman_server.upstreams.translation.requests import encoded, post
from pointsman_server.upstreams.translation.support import takes_image
from pointsman_server.upstreams.translation.verbatim import invalid

_OWN = frozenset(
    {"model", "texts", "images", "inputs", "input_type", "embedding_types", "output_dimension", "truncate"}
)
"""The dialect's; no caller's option replaces them: they decide what is embedded, and how the answer is read."""
_TASK, _IMAGE_TASK = "search_document", "image"
"""Every request must say what its vectors are for; these are for calls that do not."""


class CohereEmbeddings:
    """Vectors of texts and images."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._embedding = profile.embeddings or EmbeddingProfile()
        self._url = f"{settings.base_url}/v2/embed"

    def request(self, attempt: Attempt[EmbedCall]) -> HTTPRequest:
        """As the protocol says."""
        call = attempt.call
        body: dict[str, Any] = {"model": attempt.target.model, "embedding_types": ["float"]}
        images = [self._map_image(image, path) for path, image in images_of(call)]
        body |= {"images": images} if images else {"texts": texts_of(call)}
        map_fields(body, call, self._embedding)
        body.setdefault("input_type", _IMAGE_TASK if images else _TASK)
        if "priority" in body:
            # 0 is the first there, and what every call has.
            body["priority"] = max(0, body["priority"])
        if call.provider_options:
            add_fields(body, call, self._profile, self._embedding.fields, _OWN)
        return post(self._url, attempt, self._profile, encoded(body, ""))

    def _map_image(self, image: Media, path: str) -> str:
        if not takes_image(image, self._embedding, self._profile.media_schemes):
            raise invalid(path, "is not taken by this provider in the way that it is given")
        return data_url(image, path)

    def answer(
        self, attempt: Attempt[EmbedCall], status: int, headers: Headers, body: bytes
    ) -> Reply[Embeddings]:
        """As the protocol says; vectors come in the order of the inputs."""
        document = as_object(loose_json(body))
        place = Place(status, headers, answer_id(headers, self._profile.answer_id_headers))
        vectors = [vector_of(one) for one in as_list(as_object(document.get("embeddings")).get("float"))]
        if not vectors:
            said = say(document)
            raise no_vectors() if said is None else answered_error(said, place)
        return Reply(
            Embeddings(vectors_in_order(vectors, len(attempt.call.inputs))),
            usage=_map_usage(as_object(document.get("meta"))),
            opened=Opened(bounded_word(document.get("id")), upstream_request_id=place.request_id),
        )

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return read_refusal(status, headers, body, self._profile.answer_id_headers)


def _map_usage(meta: dict[str, Any]) -> Usage | None:
    """All tokens, else those that are billed: some models tell them by kind, and not all tell a sum. Images that are
    billed by their number cost no tokens.
    """
    told = {**as_object(meta.get("billed_units")), **as_object(meta.get("tokens"))}
    kinds = [whole_number(told.get(name)) for name in ("text_tokens", "image_tokens")]
    known = [count for count in kinds if count is not None]
    total = whole_number(told.get("input_tokens"))
    return map_usage(max(total or 0, sum(known)) if known else total)
