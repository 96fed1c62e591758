"""What dialects share about vectors, and how the older ones use it."""

from __future__ import annotations

import base64
import struct
from array import array

import pytest

from pointsman_server.domain import Embeddings, MediaDetail, RoutingOptions, Text, TokenIds, Usage
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.contract import Reply
from pointsman_server.upstreams.registry import PROVIDERS
from pointsman_server.upstreams.translation.embedding import (
    joined,
    map_usage,
    of_the_whole,
    split,
    vector_of,
    vectors_by_index,
    vectors_in_order,
)
from pointsman_server.upstreams.translation.profile import EmbeddingProfile
from pointsman_server.upstreams.translation.support import (
    UNSUPPORTED_CONTENT,
    UNSUPPORTED_PARAMETER,
    unsupported,
)
from pointsman_server.upstreams.translation.verbatim import invalid
from tests.unit.upstreams.calls import answered, asked_for, embedding, inquiry, picture, values

MIXED = embedding("a", picture(), "b", TokenIds((1, 2)), picture(b"x"), "c").call


def test_pieces_are_of_one_kind_and_within_the_bounds():
    """No input is lost or asked for twice."""
    pieces = split(MIXED, EmbeddingProfile(max_inputs=2))
    assert [piece.positions for piece in pieces] == [(0, 2), (5,), (1,), (4,), (3,)]
    for piece in pieces:
        assert piece.call.inputs == tuple(MIXED.inputs[position] for position in piece.positions)
    wide = split(MIXED, EmbeddingProfile(max_inputs=9, max_images=2))
    assert [piece.positions for piece in wide] == [(0, 2, 5), (1, 4), (3,)]


def test_pieces_within_a_bound_on_tokens():
    """By an estimate; an input that is too large alone goes alone, for the provider to refuse."""
    call = embedding("x" * 20, "y", "z" * 200, TokenIds((1,) * 8), TokenIds((2,) * 8)).call
    pieces = split(call, EmbeddingProfile(max_tokens=15))
    assert [piece.positions for piece in pieces] == [(0, 1), (2,), (3,), (4,)]


def test_a_call_that_fits_is_one_piece():
    """The call itself."""
    call = embedding("a", "b").call
    [piece] = split(call, EmbeddingProfile())
    assert piece.call is call


def test_answers_are_joined_in_the_order_of_the_inputs():
    """Usage adds up; where a piece has none, the whole has none that is true."""
    pieces = split(MIXED, EmbeddingProfile(max_inputs=9, max_images=2))

    def reply(*numbers, usage=None):
        return Reply(Embeddings(tuple(array("f", [number]) for number in numbers)), usage=usage)

    replies = [reply(0, 2, 5, usage=Usage(3, total_tokens=3)), reply(1, 4, usage=Usage(7)), reply(3)]
    assert values(joined(pieces, replies)) == [[0], [1], [2], [3], [4], [5]]
    assert joined(pieces, replies).usage is None
    told = [*replies[:2], reply(3, usage=Usage(1, total_tokens=1))]
    assert joined(pieces, told).usage == Usage(11)


def test_a_fault_of_a_piece_names_the_callers_input():
    """By the caller's number; a fault of anything else stays as it is."""
    images = split(MIXED, EmbeddingProfile(max_images=2))[1]
    fault = of_the_whole(invalid("inputs[1].image.url", "is no good"), images)
    assert fault.fields[0].path == "inputs[4].image.url"
    assert fault.detail == "inputs[4].image.url is no good"
    assert of_the_whole(invalid("model", "is no good"), images).fields[0].path == "model"
    told = ServiceError(Reason.UPSTREAM_REJECTED, "inputs[1] is no good")
    assert of_the_whole(told, images) is told


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [2]}], [[2], [1]]),
        ([{"text_index": 1, "embedding": [1]}, {"text_index": 0, "embedding": [2]}], [[2], [1]]),
        ([{"embedding": [1]}, {"embedding": [2]}], [[1], [2]]),
        ([{"index": 7, "embedding": [1]}, {"index": -1, "embedding": [2]}], [[1], [2]]),
        ([{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}], [[2], None]),
        (["no", {"embedding": {}}], [None, None]),
    ],
    ids=["index", "text_index", "untold", "out of range", "twice", "no vectors"],
)
def test_vectors_say_which_input_is_theirs(entries, expected):
    """Where they do; one that comes twice leaves a gap."""
    found = vectors_by_index(entries, "text_index", "index")
    assert [None if one is None else list(one) for one in found] == expected


@pytest.mark.parametrize(
    "lengths", [(), (1,), (1, 0), (1, 1, 1)], ids=["none", "one", "an empty one", "three"]
)
def test_a_vector_for_each_input_or_none_at_all(lengths):
    """Whoever asked for two gets two."""
    with pytest.raises(ServiceError) as raised:
        vectors_in_order([array("f", [1.0] * length) for length in lengths], 2)
    assert raised.value.reason is Reason.UPSTREAM_BAD_RESPONSE


@pytest.mark.parametrize(
    "value",
    [None, {}, "", "AAA", "AAAA", [], ["a"], [None], [1, [2]], [float("nan")], [1, 1e400], [1e39], 7],
    ids=str,
)
def test_what_is_no_vector(value):
    """Is none; a number that no 32-bit float holds spoils it."""
    assert vector_of(value) is None


def test_vectors_as_numbers_and_as_bytes():
    """Both forms of the same vector."""
    packed = base64.b64encode(struct.pack("<3f", 1.5, -2.0, 0.0)).decode()
    assert vector_of([1.5, -2, 0]) == vector_of(packed) == array("f", [1.5, -2.0, 0.0])


def test_a_count_stands_for_both():
    """Vectors cost tokens of their inputs alone."""
    assert map_usage(None) is None
    assert map_usage(3) == map_usage(None, 3) == Usage(3, total_tokens=3)
    assert map_usage(3, 5) == Usage(3, total_tokens=5)


EMBEDDING = [name for name, provider in PROVIDERS.items() if provider.profile.embeddings]
OPTIONS = {
    "dimensions": {"dimensions": 8},
    "task": {"task": "query"},
    "truncate": {"truncate": "end"},
    "end_user_id": {"end_user_id": "u"},
    "routing.priority": {"routing": RoutingOptions(priority=-1)},
}


@pytest.mark.parametrize("name", EMBEDDING)
@pytest.mark.parametrize("path", OPTIONS)
def test_an_option_is_taken_or_reported(name, path):
    """Under its own name, and as what is only left out."""
    profile = PROVIDERS[name].profile
    found = unsupported(embedding(**OPTIONS[path]).call, profile)
    assert [(warning.code, warning.field) for warning in found] == (
        [] if path in profile.embeddings.fields else [(UNSUPPORTED_PARAMETER, path)]
    )


@pytest.mark.parametrize("name", EMBEDDING)
def test_an_input_is_taken_or_makes_the_provider_ineligible(name):
    """Tokens, images in either form, and what no provider fetches."""
    profile = PROVIDERS[name].profile
    taken = profile.embeddings
    inputs = (
        TokenIds((1,)),
        picture(),
        picture(url="https://a.example/x.png"),
        picture(url="s3://bucket/x.png"),
    )
    found = unsupported(embedding(Text("a"), *inputs).call, profile)
    expected = [
        path
        for path, fine in (
            ("inputs[1].token_ids", taken.token_ids),
            ("inputs[2].image", taken.images_inline),
            ("inputs[3].image", taken.images_by_url),
            ("inputs[4].image", taken.images_by_url and "s3" in profile.media_schemes),
        )
        if not fine
    ]
    assert [warning.field for warning in found] == expected
    assert {warning.code for warning in found} <= {UNSUPPORTED_CONTENT}


def test_how_closely_an_image_is_looked_at_is_reported():
    """Nobody has a word for it where vectors are made."""
    call = embedding(picture(detail=MediaDetail.HIGH)).call
    [warning] = unsupported(call, PROVIDERS["gemini"].profile)
    assert (warning.code, warning.field) == (UNSUPPORTED_PARAMETER, "inputs[0].image.detail")


def test_openai():
    """Bytes are asked for; vectors come in any order."""
    one = inquiry("openai")
    call = embedding("a", "b", dimensions=2, end_user_id="u")
    assert one.request(call).url == "http://backend.example/embeddings"
    assert asked_for(one, call) == {
        "model": "upstream-model",
        "input": ["a", "b"],
        "encoding_format": "base64",
        "dimensions": 2,
        "user": "u",
    }
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": "AAAAQA=="}]
    reply = answered(one, call, {"data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}})
    assert values(reply) == [[2.0], [1.0]]
    assert reply.usage == Usage(4, total_tokens=4)


def test_ollama():
    """Vectors come in the order of the inputs."""
    one = inquiry("ollama")
    call = embedding("a", truncate="none")
    assert asked_for(one, call) == {"model": "upstream-model", "input": ["a"], "truncate": False}
    reply = answered(one, call, {"embeddings": [[1.0]], "prompt_eval_count": 3})
    assert (values(reply), reply.usage) == ([[1.0]], Usage(3, total_tokens=3))


def test_text_embeddings_inference():
    """A bare list; tokens are told in a header."""
    one = inquiry("tei")
    call = embedding("a", truncate="start", task="query")
    sent = asked_for(one, call)
    assert sent == {"inputs": ["a"], "truncate": True, "truncation_direction": "Left", "prompt_name": "query"}
    reply = answered(one, call, [[1.0]], x_compute_tokens="5")
    assert (values(reply), reply.usage) == ([[1.0]], Usage(5, total_tokens=5))
    assert answered(one, call, [[1.0]], x_compute_tokens="five").usage is None
    with pytest.raises(ServiceError, match="does not pool"):
        answered(one, call, [[[1.0], [2.0]]])


@pytest.mark.parametrize("name", ["openai", "ollama", "tei", "gemini", "cohere", "dashscope"])
@pytest.mark.parametrize(
    "document", [{}, [], None, "no", {"data": [], "embeddings": [], "output": {"embeddings": []}}], ids=str
)
def test_an_answer_without_vectors(name, document):
    """Is none."""
    with pytest.raises(ServiceError) as raised:
        answered(inquiry(name), embedding("a"), document)
    assert raised.value.reason is Reason.UPSTREAM_BAD_RESPONSE
