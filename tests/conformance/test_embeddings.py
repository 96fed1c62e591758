"""What makes vectors raises nothing but ServiceError, whatever an upstream sends; encoding is stable, and what is
reported is exactly what is not sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.config import schema
from pointsman_server.context import Attempt, Target
from pointsman_server.domain import (
    EmbedCall,
    Embeddings,
    Media,
    MediaDetail,
    MediaKind,
    RoutingOptions,
    Text,
    TokenIds,
    Usage,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import BodyLimits
from pointsman_server.upstreams.contract import Inquiry, Reply
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.registry import PROVIDERS, profile_of
from pointsman_server.upstreams.translation.embedding import Piece, split
from pointsman_server.upstreams.translation.support import INELIGIBLE_CODES, unsupported
from tests.conformance.test_properties import (
    HEADERS,
    NUMBERS,
    SHAPED,
    STATUSES,
    TEXTS,
    check_refusal,
    several,
    shape,
)

BACKENDS: Mapping[str, schema.Backend] = {
    **{
        name: schema.Backend(provider=name, url="https://api.example.com")
        for name, provider in sorted(PROVIDERS.items())
        if provider.embeddings is not None
    },
    "dashscope, multimodal": schema.Backend(
        provider="dashscope", url="https://api.example.com", dashscope={"interface": "multimodal"}
    ),
}
"""Every provider that makes vectors over HTTP, and what makes others of them."""
ROWS = pytest.mark.parametrize("row", BACKENDS)
ONE_EACH = pytest.mark.parametrize(
    "row",
    sorted({PROVIDERS[BACKENDS[row].provider].profile.dialect: row for row in reversed(BACKENDS)}.values()),
)
"""One row of each dialect: what reads is the same for all of them."""

VECTOR = st.one_of(st.lists(NUMBERS, max_size=3), st.sampled_from(["", "AAAAAA==", "AAAA", "no"]), SHAPED)
INDEX = st.one_of(st.integers(-1, 3), NUMBERS, SHAPED)
ENTRY = st.one_of(
    shape(index=INDEX, text_index=INDEX, embedding=VECTOR, values=VECTOR, type=TEXTS),
    VECTOR,
    SHAPED,
)
COUNTS = shape(
    prompt_tokens=NUMBERS, total_tokens=NUMBERS, input_tokens=NUMBERS, output_tokens=NUMBERS, image_tokens=NUMBERS,
    text_tokens=NUMBERS, promptTokenCount=NUMBERS, totalTokenCount=NUMBERS,
)  # fmt: skip
ANSWER = st.one_of(
    shape(
        data=several(ENTRY),
        embeddings=st.one_of(several(ENTRY), shape(float=several(VECTOR))),
        output=st.one_of(shape(embeddings=several(ENTRY)), SHAPED),
        usage=COUNTS,
        usageMetadata=COUNTS,
        meta=shape(billed_units=COUNTS, tokens=COUNTS),
        prompt_eval_count=NUMBERS,
        id=SHAPED,
        model=SHAPED,
        request_id=SHAPED,
        error=st.one_of(SHAPED, shape(code=NUMBERS, message=TEXTS, status=TEXTS, details=SHAPED)),
        code=SHAPED,
        message=TEXTS,
        status_code=NUMBERS,
    ),
    several(VECTOR),
    SHAPED,
)
"""Near to what each of them answers."""

PICTURES = (
    Media(MediaKind.IMAGE, data=b"x", media_type="image/png"),
    Media(MediaKind.IMAGE, url="https://a.example/x.png"),
    Media(MediaKind.IMAGE, url="https://a.example/x.png", detail=MediaDetail.HIGH),
    Media(MediaKind.IMAGE, url="https://127.0.0.1/x.png"),
    Media(MediaKind.IMAGE, url="gs://bucket/x.png"),
    Media(MediaKind.IMAGE, url="data:image/png;base64,eA=="),
    Media(MediaKind.IMAGE, url="data:image/png;base64,%%%"),
)
WORDS = st.sampled_from(["", "query", "document", "clustering", "NONE", "end", "left", "other"])
CALLS = st.builds(
    EmbedCall,
    st.just("m"),
    st.lists(
        st.one_of(
            st.builds(Text, st.text(min_size=1, max_size=8)),
            st.just(TokenIds((1, 2))),
            st.sampled_from(PICTURES),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    dimensions=st.one_of(st.none(), st.integers(1, 9)),
    task=WORDS,
    truncate=WORDS,
    routing=st.builds(RoutingOptions, priority=st.integers(-9, 9)),
    end_user_id=st.sampled_from(["", "u"]),
)


def inquiry_of(row: str) -> Inquiry[EmbedCall, Embeddings]:
    backend = BACKENDS[row]
    build = PROVIDERS[backend.provider].embeddings
    assert build is not None
    return build(profile_of(backend), Settings(backend.url, BodyLimits(), backend))


def attempt_of(call: EmbedCall) -> Attempt[EmbedCall]:
    return Attempt(call, Target("backend", "provider", "model"), 1, False, "request.1")


def pieces_of(row: str, call: EmbedCall) -> list[Piece]:
    profile = profile_of(BACKENDS[row]).embeddings
    assert profile is not None
    return list(split(call, profile))


TWO = attempt_of(EmbedCall("m", (Text("a"), Text("b"))))


def numbers_of(usage: Usage) -> Iterator[int]:
    for count in (usage.input_tokens, usage.total_tokens, usage.output_tokens):
        if count is not None:
            yield count


def read_any(row: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """What comes of it can be sent on: one finite vector for each input, counts that fit, texts that are Unicode."""
    fault: ServiceError | None = None
    try:
        reply = inquiry_of(row).answer(TWO, status, headers, body)
    except ServiceError as error:
        fault = error
    if fault is not None:
        fault.detail.encode()
        assert fault.upstream is None or len(fault.upstream.message) <= 256
        return
    assert isinstance(reply, Reply)
    assert len(reply.value.vectors) == 2
    assert all(vector and all(map(math.isfinite, vector)) for vector in reply.value.vectors)
    if reply.usage is not None:
        assert all(0 <= count < 2**64 for count in numbers_of(reply.usage))
    if reply.opened is not None:
        for text in (reply.opened.response_id, reply.opened.model, reply.opened.upstream_request_id):
            text.encode()


@ONE_EACH
@given(body=st.binary(max_size=64), headers=HEADERS)
@settings(max_examples=60, deadline=None)
def test_bytes_of_any_kind(row: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Noise is a fault, not a crash."""
    read_any(row, 200, headers, body)


@ONE_EACH
@given(document=ANSWER, headers=HEADERS)
@settings(max_examples=200, deadline=None)
def test_json_of_any_kind(row: str, document: object, headers: Mapping[str, str]) -> None:
    """Wrong types, numbers out of range, NaN and lone surrogates are borne."""
    read_any(row, 200, headers, json.dumps(document).encode())


@ONE_EACH
@given(status=STATUSES, headers=HEADERS, body=st.one_of(st.binary(max_size=64), ANSWER))
@settings(max_examples=60, deadline=None)
def test_refusals_of_any_kind(row: str, status: int, headers: Mapping[str, str], body: object) -> None:
    """Every status with every body and every header is some ServiceError, bounded and fit to be sent."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    check_refusal(inquiry_of(row).refusal(status, headers, raw), status)


@ROWS
@given(call=CALLS)
@settings(max_examples=40, deadline=None)
def test_any_call_is_encoded_or_refused(row: str, call: EmbedCall) -> None:
    """Twice the same bytes, JSON, and no change to the call; what raises is INVALID_REQUEST for a field of an input."""
    ineligible = any(
        warning.code in INELIGIBLE_CODES for warning in unsupported(call, profile_of(BACKENDS[row]))
    )
    before = repr(call)
    for piece in pieces_of(row, call):
        fault: ServiceError | None = None
        try:
            first = inquiry_of(row).request(attempt_of(piece.call))
        except ServiceError as error:
            fault = error
        if fault is not None:
            assert fault.reason is Reason.INVALID_REQUEST
            assert ineligible or fault.fields[0].path.startswith("inputs[")
            continue
        assert first == inquiry_of(row).request(attempt_of(piece.call))
        json.loads(first.body)
    assert repr(call) == before


@ROWS
@given(call=CALLS)
@settings(max_examples=40, deadline=None)
def test_what_is_reported_is_not_sent(row: str, call: EmbedCall) -> None:
    """An option with a warning leaves the request as it is without the option; one without a warning does not."""
    profile = profile_of(BACKENDS[row])
    plain = EmbedCall(call.model, (Text("a"),))
    unlike: dict[str, dict[str, Any]] = {
        "dimensions": {"dimensions": call.dimensions},
        "task": {"task": call.task},
        "truncate": {"truncate": call.truncate},
        "end_user_id": {"end_user_id": call.end_user_id},
        "routing.priority": {"routing": RoutingOptions(priority=-abs(call.routing.priority))},
    }
    bare = inquiry_of(row).request(attempt_of(plain)).body
    for path, option in unlike.items():
        asked = EmbedCall(plain.model, plain.inputs, **option)
        told = [warning.field for warning in unsupported(asked, profile)]
        sent = inquiry_of(row).request(attempt_of(asked)).body
        assert told == [] or (told == [path] and sent == bare)
        given_ = any(option.values()) and option != {"routing": RoutingOptions(priority=0)}
        # What a request says anyway, where nothing is asked for, may be what is asked for.
        if given_ and not told and (row, call.task, path) != ("cohere", "document", "task"):
            assert sent != bare, path
