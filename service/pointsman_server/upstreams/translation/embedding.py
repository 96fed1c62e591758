"""What dialects share about vectors: how a call is split for a provider's bounds, and how answers are read. Pure."""

from __future__ import annotations

import base64
import binascii
import math
import re
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, assert_never

from pointsman_server.domain import EmbedCall, Embeddings, EmbedInput, Media, Text, TokenIds, Usage
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.contract import Reply
from pointsman_server.upstreams.translation.bodies import put_field
from pointsman_server.upstreams.translation.documents import as_object
from pointsman_server.upstreams.translation.faults import whole_number
from pointsman_server.upstreams.translation.profile import EmbeddingProfile
from pointsman_server.upstreams.translation.verbatim import invalid

_BYTES_PER_TOKEN = 2
"""For bounds on the tokens of a request; hardly any text has more."""
_IMAGE_TOKENS = 1024
_POSITION = re.compile(r"inputs\[(\d{1,9})\]", re.ASCII)


class Piece(NamedTuple):
    """Some of a call's inputs."""

    positions: tuple[int, ...]
    call: EmbedCall


def split(call: EmbedCall, profile: EmbeddingProfile) -> Sequence[Piece]:
    """The call in pieces that the provider takes: inputs of one kind each, as many as one request may hold."""
    groups = list(_groups(call.inputs, profile))
    if len(groups) == 1:
        return [Piece(tuple(groups[0]), call)]
    return [
        Piece(tuple(group), replace(call, inputs=tuple(call.inputs[position] for position in group)))
        for group in groups
    ]


def _groups(inputs: Sequence[EmbedInput], profile: EmbeddingProfile) -> Iterator[list[int]]:
    kinds: dict[type[EmbedInput], list[int]] = {}
    for position, one in enumerate(inputs):
        kinds.setdefault(type(one), []).append(position)
    for kind, positions in kinds.items():
        most = profile.max_images if kind is Media else profile.max_inputs
        group: list[int] = []
        tokens = 0
        for position in positions:
            weight = _tokens(inputs[position]) if profile.max_tokens else 0
            if group and (len(group) >= most or tokens + weight > (profile.max_tokens or weight)):
                yield group
                group, tokens = [], 0
            group.append(position)
            tokens += weight
        yield group


def _tokens(one: EmbedInput) -> int:
    match one:
        case Text(text):
            return len(text.encode(errors="replace")) // _BYTES_PER_TOKEN + 1
        case TokenIds(ids):
            return len(ids)
        case Media():
            return _IMAGE_TOKENS


def of_the_whole(fault: ServiceError, piece: Piece) -> ServiceError:
    """The failure of a piece as one of the call: its fields name the inputs as the caller numbers them."""

    def rename(path: str) -> str:
        return _POSITION.sub(lambda found: f"inputs[{piece.positions[int(found[1])]}]", path, count=1)

    return fault.with_fields(rename) if fault.fields else fault


def joined(pieces: Sequence[Piece], replies: Sequence[Reply[Embeddings]]) -> Reply[Embeddings]:
    """One answer out of those to the pieces: vectors in the order of the inputs, usage added up."""
    found: dict[int, array[float]] = {}
    for piece, reply in zip(pieces, replies, strict=True):
        found.update(zip(piece.positions, reply.value.vectors, strict=True))
    usages = [reply.usage for reply in replies]
    return replace(
        replies[0],
        value=Embeddings(tuple(found[position] for position in range(len(found)))),
        usage=_sum([usage for usage in usages if usage is not None]) if None not in usages else None,
    )


def _sum(usages: Sequence[Usage]) -> Usage:
    def total(counts: Iterable[int | None]) -> int | None:
        known = list(counts)
        return None if None in known else sum(count for count in known if count is not None)

    return Usage(
        input_tokens=total(usage.input_tokens for usage in usages),
        total_tokens=total(usage.total_tokens for usage in usages),
    )


def texts_or_tokens(call: EmbedCall) -> list[str] | list[tuple[int, ...]]:
    """The inputs of a piece that holds no images, as most wires want them."""
    texts = [one.text for one in call.inputs if isinstance(one, Text)]
    return texts or [one.ids for one in call.inputs if isinstance(one, TokenIds)]


def texts_of(call: EmbedCall) -> list[str]:
    """The inputs of a piece that holds texts. Raises ServiceError INVALID_REQUEST for anything else."""
    texts = []
    for position, one in enumerate(call.inputs):
        if not isinstance(one, Text):
            raise invalid(f"inputs[{position}]", "is no text, and nothing else can be sent to this provider")
        texts.append(one.text)
    return texts


def map_inputs(call: EmbedCall, map_image: Callable[[Media, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """The inputs as objects: texts under `text`, images as they are mapped beside their path.

    Raises ServiceError INVALID_REQUEST for tokens.
    """

    def mapped(one: EmbedInput, path: str) -> dict[str, Any]:
        match one:
            case Text(text):
                return {"text": text}
            case Media():
                return map_image(one, f"{path}.image")
            case TokenIds():
                raise invalid(f"{path}.token_ids", "cannot be sent to this provider")
            case _:
                assert_never(one)

    return [mapped(one, f"inputs[{position}]") for position, one in enumerate(call.inputs)]


def map_fields(body: dict[str, Any], call: EmbedCall, profile: EmbeddingProfile) -> None:
    """Write what of the call's options the profile takes, under the wire's names; a dot leads into an object."""
    fields = profile.fields
    for path, value in (
        ("dimensions", call.dimensions),
        ("task", profile.tasks.get(call.task.lower(), call.task) or None),
        ("truncate", profile.truncation(call.truncate)),
        ("end_user_id", call.end_user_id or None),
        # Ours is higher for what matters more, the wire's lower for what runs sooner.
        ("routing.priority", -call.routing.priority or None),
    ):
        if value is not None and (wire := fields.get(path)):
            put_field(body, wire, value)


def images_of(call: EmbedCall) -> Iterator[tuple[str, Media]]:
    """The images of a piece, each under its path."""
    for position, one in enumerate(call.inputs):
        if isinstance(one, Media):
            yield f"inputs[{position}].image", one


def no_vectors() -> ServiceError:
    """What an answer is that holds none, and tells no error either."""
    return ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no vectors")


def map_usage(inputs: int | None, total: int | None = None) -> Usage | None:
    """Of vectors, which cost tokens of their inputs: where only one count is told, it stands for both."""
    if inputs is None and total is None:
        return None
    return Usage(
        input_tokens=total if inputs is None else inputs, total_tokens=inputs if total is None else total
    )


def vectors_by_index(entries: Sequence[object], *names: str) -> Sequence[array[float] | None]:
    """Vectors of entries that say which input is theirs, under one of these names; one that does not stands for its own
    place.
    """
    vectors: list[array[float] | None] = [None] * len(entries)
    for position, entry in enumerate(entries):
        told = as_object(entry)
        indexes = (whole_number(told.get(name), len(entries) - 1) for name in names)
        index = next((index for index in indexes if index is not None), position)
        vectors[index] = vector_of(told.get("embedding"))
    return vectors


def vectors_in_order(vectors: Sequence[array[float] | None], count: int) -> tuple[array[float], ...]:
    """One vector for each input. Raises UPSTREAM_BAD_RESPONSE where one is missing, or one too many."""
    found = tuple(vector for vector in vectors if vector)
    if len(found) != count or len(vectors) != count:
        raise ServiceError(
            Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer does not hold one vector for each input"
        )
    return found


def vector_of(value: object) -> array[float] | None:
    """A list of numbers, or the base64 text of little-endian 32-bit floats; None for anything else."""
    vector = _decoded(value) if isinstance(value, str) else _listed(value)
    # One number that is none spoils the sum; no sum of 32-bit floats is too large for a 64-bit one.
    return vector if vector and math.isfinite(sum(vector)) else None


def _listed(value: object) -> array[float] | None:
    try:
        return array("f", value) if isinstance(value, list) else None
    except (TypeError, OverflowError):
        return None


def _decoded(text: str) -> array[float] | None:
    vector = array("f")
    try:
        vector.frombytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None
    if sys.byteorder == "big":
        vector.byteswap()
    return vector
