"""Hugging Face's servers for vectors: Text Embeddings Inference (/embed), and the hosted task feature-extraction.

Facts: https://huggingface.co/docs/text-embeddings-inference and its router's source, as of November 2026.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import EmbedCall, Embeddings, Opened, Usage
from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.contract import Reply
from pointsman_server.upstreams.provider import Provider, Settings
from pointsman_server.upstreams.translation import error_objects
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import loose_json, parse
from pointsman_server.upstreams.translation.embedding import (
    map_fields,
    map_usage,
    no_vectors,
    texts_or_tokens,
    vector_of,
    vectors_in_order,
)
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    provider_error,
    retry_after_s,
    should_retry,
)
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile
from pointsman_server.upstreams.translation.requests import encoded, in_path, post

_DIRECTIONS: Mapping[str, str] = {"end": "Right", "start": "Left", "right": "Right", "left": "Left"}
_EMBEDDINGS = EmbeddingProfile(
    fields={"dimensions": "dimensions", "task": "prompt_name", "truncate": "truncate"},
    truncations={"none": False, "false": False, "true": True, **dict.fromkeys(_DIRECTIONS, True)},
    max_inputs=32,
    token_ids=True,
)
PROFILE = Profile(
    provider="tei",
    dialect="tei",
    default_url="http://127.0.0.1:3000",
    fields={},
    images_by_url=False,
    images_inline=False,
    generates=False,
    embeddings=_EMBEDDINGS,
)
HOSTED = replace(
    PROFILE,
    provider="huggingface_embeddings",
    default_url="https://router.huggingface.co/hf-inference",
    embeddings=replace(
        _EMBEDDINGS,
        fields={"task": "prompt_name", "truncate": "truncate"},
        token_ids=False,
    ),
    model_in_path=True,
)

_OWN = frozenset({"inputs", "dimensions", "truncate", "truncation_direction"})
"""The dialect's; no caller's option replaces them."""
_WORDS: Mapping[str, Reason] = {
    "validation": Reason.UPSTREAM_REJECTED,
    "tokenizer": Reason.UPSTREAM_REJECTED,
    "empty": Reason.UPSTREAM_REJECTED,
    "backend": Reason.UPSTREAM_ERROR,
    "overloaded": Reason.UPSTREAM_OVERLOADED,
    "unhealthy": Reason.UPSTREAM_UNAVAILABLE,
}
"""Its `error_type`, in lower case."""
_TOO_LONG = re.compile(r"must have less than \d+ tokens|input is too long", re.IGNORECASE)
_TOO_MANY = re.compile(r"batch size", re.IGNORECASE)


class TeiEmbeddings:
    """Vectors of texts and tokens."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._embedding = profile.embeddings or EmbeddingProfile()
        self._base_url = settings.base_url

    def request(self, attempt: Attempt[EmbedCall]) -> HTTPRequest:
        """As the protocol says."""
        call = attempt.call
        body: dict[str, Any] = {"inputs": texts_or_tokens(call)}
        map_fields(body, call, self._embedding)
        if direction := _DIRECTIONS.get(call.truncate.lower()):
            body["truncation_direction"] = direction
        if call.provider_options:
            add_fields(body, call, self._profile, self._embedding.fields, _OWN)
        return post(self._url(attempt.target.model), attempt, self._profile, encoded(body, ""))

    def _url(self, model: str) -> str:
        if not self._profile.model_in_path:
            return f"{self._base_url}/embed"
        return f"{self._base_url}/models/{in_path(model)}/pipeline/feature-extraction"

    def answer(
        self, attempt: Attempt[EmbedCall], status: int, headers: Headers, body: bytes
    ) -> Reply[Embeddings]:
        """As the protocol says: a bare list of vectors, in the order of the inputs; tokens are told in a header."""
        document = loose_json(body)
        if not isinstance(document, list):
            said = error_objects.say(document)
            if said is None:
                raise no_vectors()
            raise _map_error(
                said,
                said.status,
                headers,
                Place(status, headers, answer_id(headers, self._profile.answer_id_headers)).fault(),
            )
        return Reply(
            Embeddings(vectors_in_order([_vector(one) for one in document], len(attempt.call.inputs))),
            usage=_map_usage(headers),
            opened=Opened(upstream_request_id=answer_id(headers, self._profile.answer_id_headers)),
        )

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        said = error_objects.say(parse(body)) or Said()
        upstream = UpstreamFault(
            http_status=status,
            request_id=answer_id(headers, self._profile.answer_id_headers),
            retryable=should_retry(headers),
        )
        return _map_error(said, status, headers, upstream)


def _vector(value: object) -> array[float] | None:
    """One vector; some models answer with one for each token, of which none stands for the input."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        text = "the model gives a vector for each token, not one for the input: it does not pool"
        raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, text)
    return vector_of(value)


def _map_usage(headers: Headers) -> Usage | None:
    text = headers.get("x-compute-tokens", "")
    return map_usage(int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None)


def _map_error(said: Said, status: int, headers: Headers, upstream: UpstreamFault) -> ServiceError:
    """By the error's own type; else as the hosted service and proxies say it."""
    reason = _WORDS.get(said.type.lower())
    if reason in (Reason.UPSTREAM_REJECTED, None) and _TOO_LONG.search(said.message):
        reason = Reason.CONTEXT_LENGTH_EXCEEDED
    elif reason is Reason.UPSTREAM_REJECTED and _TOO_MANY.search(said.message):
        reason = Reason.REQUEST_TOO_LARGE
    if reason is None:
        told = status == 0 or 400 <= status < 600
        reason = error_objects.reason_of(status, said) if told else Reason.UPSTREAM_BAD_RESPONSE
    wait_s = retry_after_s(headers)
    return provider_error(
        reason, said, upstream, retry_after=said.retry_after_s if wait_s is None else wait_s
    )


TEI = Provider(PROFILE, embeddings=TeiEmbeddings)
HUGGINGFACE_EMBEDDINGS = Provider(HOSTED, embeddings=TeiEmbeddings)
