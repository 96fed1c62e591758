"""An adapter raises nothing but ServiceError, whatever an upstream sends; encoding is stable, whatever is asked."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.config import schema
from pointsman_server.context import Attempt, Target
from pointsman_server.domain import (
    Answer,
    Call,
    Choice,
    Conversation,
    Generation,
    Grammar,
    JsonObject,
    JsonSchema,
    Media,
    MediaKind,
    Message,
    Part,
    Prompt,
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    ReasoningEffort,
    ReasoningMode,
    Refusal,
    Regex,
    Role,
    RoutingOptions,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import BodyLimits
from pointsman_server.upstreams.contract import Adapter
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.registry import PROVIDERS, profile_of
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import INELIGIBLE_CODES, unsupported
from tests.conformance.result import Outcome, decode
from tests.conformance.vendors import CASES, VENDORS, Case, Vendor

ONE_EACH = list(
    {(vendor.profile.dialect, vendor.profile.late_ratings): vendor for vendor in VENDORS}.values()
)
FIRST = {case.vendor.folder: case for case in reversed(CASES)}
"""One row of each dialect: its code is the same for all of them, but for readers that hold endings back."""
RECORDED: dict[str, list[Case]] = {}
for _case in CASES:
    RECORDED.setdefault(_case.vendor.profile.dialect, []).append(_case)

NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([1e400, -1, 2**31, 2**63, 2**64, 0.5]))
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["\ud800", "a\udc00", "\udc00\ud800", "\ud83d\ude00", "\x00", "\u2028"]),
)
"""Lone surrogates among them; only what comes from an upstream may hold these."""
CALLER_TEXTS = st.text(max_size=12)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
KEYS = (
    "id", "model", "created", "choices", "usage", "error", "detail", "message", "index", "delta", "content",
    "tool_calls", "function", "name", "arguments", "finish_reason", "stop_reason", "logprobs", "refusal", "reasoning",
    "prompt_tokens", "prompt_tokens_details", "cached_tokens", "code", "type", "text", "annotations", "tokens",
    "token_logprobs", "top_logprobs", "bytes", "function_call", "service_tier", "reasoning_content", "url_citation",
    "input_tokens", "output_tokens", "cache_read_input_tokens", "output_tokens_details", "thinking_tokens",
    "__type", "Message", "originalStatusCode",
    "details", "error_code", "request_id", "category", "explanation", "url", "title", "document_index", "source",
    "done", "done_reason", "thinking", "response", "created_at", "prompt_eval_count", "eval_count", "token", "logprob",
    "content_filter_results", "prompt_filter_results", "filtered", "detected", "severity", "flag", "ban_round",
    "need_clear_history", "signature", "reference_ids", "error_type", "request_id",
    "generated_text", "details", "special", "top_tokens", "generated_tokens", "input_length",
    "text_output", "model_name", "outputs", "data", "datatype", "shape", "parameters", "binary_data_size",
    "output", "search_info", "search_results", "status_code", "input_tokens", "output_tokens", "title", "url",
    "error_code", "error_msg", "result", "is_end", "is_truncated", "thoughts",
)  # fmt: skip
WORDS = st.sampled_from(
    ["stop", "length", "tool_calls", "error", "abort", "content_filter", "null", "hi", "{}", ""]
)
SHAPED = st.recursive(
    st.one_of(SCALARS, WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=12,
)
CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "id": SHAPED,
        "choices": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": st.one_of(st.integers(-1, 3), SHAPED),
                    "delta": SHAPED,
                    "message": SHAPED,
                    "finish_reason": st.one_of(WORDS, SHAPED),
                    "logprobs": SHAPED,
                    "stop_reason": SHAPED,
                },
            ),
            max_size=2,
        ),
        "usage": SHAPED,
        "error": SHAPED,
    },
)
LEAF = st.one_of(SCALARS, st.just({}), st.just([{"url": 1, "title": "t"}]))
INNER = st.one_of(
    LEAF,
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                ["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "message", "error",
                 "text_delta", "thinking_delta", "signature_delta", "citations_delta", "input_json_delta", "new"]
            )
        },
        optional=dict.fromkeys(
            ("id", "name", "text", "thinking", "signature", "input", "partial_json", "citation", "citations", "data",
             "stop_reason", "stop_sequence", "stop_details", "model", "usage", "content", "message"), LEAF
        ),
    ),
)  # fmt: skip
TYPED = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
             "message_stop", "message", "error", "ping"]
        )
    },
    optional={
        "index": st.one_of(st.integers(-1, 2), LEAF), "delta": INNER, "content_block": INNER, "message": INNER,
        "content": st.lists(INNER, max_size=2), "usage": SHAPED, "error": INNER, "stop_reason": LEAF,
    },
)  # fmt: skip
"""Events and blocks that tell their kind."""


def shape(**members: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """An object with some of these members, or anything else in its place."""
    return st.one_of(st.fixed_dictionaries({}, optional=members), SCALARS)


def several(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """A short list of them, or anything else in its place."""
    return st.one_of(st.lists(inner, max_size=2), SCALARS)


OFFSETS = st.one_of(st.integers(-2, 9), NUMBERS)
SEGMENT = shape(startIndex=OFFSETS, endIndex=OFFSETS, partIndex=OFFSETS, uri=TEXTS, title=TEXTS)
STEP = shape(token=TEXTS, logProbability=NUMBERS)
CANDIDATES = shape(
    candidates=several(
        shape(
            index=st.one_of(st.integers(-1, 2), SCALARS),
            content=shape(
                parts=several(
                    shape(
                        text=TEXTS, thought=SCALARS, thoughtSignature=TEXTS, executableCode=SHAPED,
                        functionCall=shape(name=TEXTS, id=SCALARS, args=SHAPED),
                        inlineData=shape(mimeType=st.sampled_from(["image/png", "x"]), data=TEXTS),
                        fileData=shape(mimeType=TEXTS, fileUri=TEXTS),
                    )
                )
            ),
            finishReason=st.one_of(st.sampled_from(["STOP", "SAFETY", "OTHER", "MALFORMED_FUNCTION_CALL"]), SCALARS),
            finishMessage=SCALARS,
            safetyRatings=several(shape(category=TEXTS, probability=TEXTS, blocked=SCALARS)),
            citationMetadata=shape(citationSources=several(SEGMENT)),
            groundingMetadata=shape(
                groundingChunks=several(shape(web=shape(uri=TEXTS, title=TEXTS))),
                groundingSupports=several(shape(segment=SEGMENT, groundingChunkIndices=several(OFFSETS))),
            ),
            logprobsResult=shape(
                chosenCandidates=several(STEP), topCandidates=several(shape(candidates=several(STEP)))
            ),
        )
    ),
    promptFeedback=shape(blockReason=SCALARS, safetyRatings=SHAPED),
    usageMetadata=shape(promptTokenCount=NUMBERS, candidatesTokenCount=NUMBERS, thoughtsTokenCount=NUMBERS),
    responseId=SCALARS, modelVersion=SCALARS,
    error=shape(code=SCALARS, message=SCALARS, status=SCALARS, details=several(SHAPED)),
)  # fmt: skip
"""Gemini's documents."""
PIECE = shape(
    type=st.sampled_from(["output_text", "refusal", "summary_text", "new"]), text=TEXTS, refusal=TEXTS, logprobs=SHAPED,
    annotations=several(shape(start_index=OFFSETS, index=OFFSETS, url=TEXTS, title=TEXTS, file_id=TEXTS)),
)  # fmt: skip
ITEM = shape(
    type=st.one_of(st.sampled_from(["message", "function_call", "reasoning", "web_search_call"]), SCALARS),
    call_id=SCALARS, name=TEXTS, arguments=st.one_of(TEXTS, SHAPED), content=several(PIECE), summary=several(PIECE),
    encrypted_content=SCALARS,
)  # fmt: skip
RESPONSE = {
    "id": SCALARS, "model": SCALARS, "created_at": NUMBERS, "output": several(ITEM), "error": SHAPED, "usage": SHAPED,
    "status": st.one_of(st.sampled_from(["completed", "incomplete", "failed", "cancelled", "queued"]), SCALARS),
    "incomplete_details": shape(reason=SCALARS),
}  # fmt: skip
RESPONSES = shape(
    **RESPONSE,
    type=st.sampled_from([
        *(f"response.{name}" for name in (
            "created", "output_item.added", "output_item.done", "output_text.delta", "output_text.done",
            "refusal.delta", "function_call_arguments.delta", "function_call_arguments.done", "incomplete",
            "reasoning_summary_text.delta", "reasoning_text.done", "output_text.annotation.added", "completed",
        )), "error",
    ]),
    output_index=st.one_of(st.integers(-1, 2), SCALARS), content_index=OFFSETS, summary_index=OFFSETS,
    delta=st.one_of(TEXTS, SHAPED), text=TEXTS, item=ITEM, annotation=SHAPED, logprobs=SHAPED,
    response=shape(**RESPONSE),
)  # fmt: skip
"""Events of the Responses API, and responses."""
CITED = shape(
    start=OFFSETS, end=OFFSETS, content_index=st.one_of(st.integers(0, 2), SCALARS),
    type=st.sampled_from(["TEXT_CONTENT", "THINKING_CONTENT", "PLAN", "new"]),
    sources=several(shape(id=SCALARS, document=shape(url=TEXTS, title=TEXTS), tool_output=SHAPED)),
)  # fmt: skip
CALLED = shape(id=SCALARS, function=shape(name=TEXTS, arguments=st.one_of(TEXTS, SHAPED)))
SPOKEN = st.one_of(shape(text=TEXTS, thinking=TEXTS), TEXTS)
PROBABLE = shape(text=TEXTS, token_ids=SHAPED, logprobs=several(NUMBERS))
ANSWERED = {
    "finish_reason": st.one_of(st.sampled_from(["COMPLETE", "MAX_TOKENS", "ERROR", "TIMEOUT"]), SCALARS),
    "usage": shape(tokens=shape(input_tokens=NUMBERS, output_tokens=NUMBERS), cached_tokens=NUMBERS),
    "message": shape(
        content=st.one_of(SPOKEN, several(SPOKEN)), tool_plan=TEXTS, tool_calls=st.one_of(CALLED, several(CALLED)),
        citations=st.one_of(CITED, several(CITED)),
    ),
}  # fmt: skip
ANSWERS = shape(
    **ANSWERED,
    type=st.sampled_from([
        "message-start", "content-start", "content-delta", "tool-plan-delta", "tool-call-start", "tool-call-delta",
        "citation-start", "message-end", "error", "",
    ]),
    id=SCALARS, index=st.one_of(st.integers(0, 2), SCALARS), delta=shape(**ANSWERED, error=SCALARS),
    logprobs=st.one_of(PROBABLE, several(PROBABLE)), error=SHAPED,
)  # fmt: skip
"""Events of Cohere, and answers."""
OWN = {"gemini": CANDIDATES, "openai_responses": RESPONSES, "cohere": ANSWERS}
DOCUMENTS = {
    vendor.profile.dialect: st.lists(
        st.one_of(SHAPED, OWN.get(vendor.profile.dialect, st.one_of(CHUNKS, TYPED))), max_size=3
    )
    for vendor in ONE_EACH
}
"""Of a dialect's own shape, and of any."""
STATUSES = st.one_of(
    st.sampled_from([301, 400, 401, 403, 404, 408, 413, 429, 500, 503, 529]), st.integers(300, 599)
)
HEADERS = st.dictionaries(
    st.sampled_from([
        "retry-after", "retry-after-ms", "date", "x-should-retry", "x-request-id", "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens", "x-ratelimit-reset", "x-debug-trace-id", "x-ratelimit-remaining-tokens",
        "content-type",
        "x-ratelimit-limit-req-minute", "apim-request-id", "x-bce-request-id", "request-id", "x-amzn-errortype",
        "x-amzn-requestid",
    ]),
    TEXTS,
)  # fmt: skip


def attempt_of(call: Call) -> Attempt:
    return Attempt(call, Target("backend", "provider", "model"), 1, True, "request.1")


def texts_of(answer: Answer) -> Iterator[str]:
    """Every text that would go into a protobuf message."""
    yield from (answer.response_id, answer.model, answer.service_tier, answer.upstream_request_id)
    for candidate in answer.candidates:
        yield from (candidate.finish_reason_raw, candidate.stop_sequence)
        for rating in candidate.safety:
            yield from (rating.category, rating.severity, rating.explanation)
        for token in candidate.logprobs:
            yield from (token.token, *(other.token for other in token.top))
        for part in candidate.parts:
            yield from (text for citation in part.citations for text in (citation.url, citation.title))
            yield part.origin
            if isinstance(part.content, Media):
                yield from (part.content.url, part.content.media_type)
            elif isinstance(part.content, ProviderPart):
                yield part.content.json
            elif isinstance(part.content, ToolCall):
                yield from (part.content.id, part.content.name, part.content.arguments_json)
            elif isinstance(part.content, Text | Reasoning | Refusal):
                yield part.content.text
            elif isinstance(part.content, ProviderPart):
                yield part.content.json


def decode_any(vendor: Vendor, *pieces: bytes) -> None:
    """Feed it; ServiceError is kept by `decode`, anything else fails the test. What came can be sent on."""
    case = FIRST[vendor.folder]
    for headers in ({}, {"content-type": case.headers.get("content-type", "")}):
        check_any(decode(case.adapter.decoder(case.attempt, 200, headers), pieces))


def check_any(result: Outcome) -> None:
    """What came can be sent on, and what failed tells where."""
    for text in texts_of(result.answer):
        text.encode()
    if result.error is not None:
        result.error.detail.encode()
        assert result.error.upstream is not None
        assert len(result.error.upstream.message) <= 256


@pytest.mark.parametrize("vendor", ONE_EACH, ids=lambda vendor: vendor.profile.dialect)
@given(pieces=st.lists(st.binary(max_size=64), max_size=4))
@settings(max_examples=150, deadline=None)
def test_bytes_of_any_kind(vendor: Vendor, pieces: list[bytes]) -> None:
    """Noise is a fault, not a crash."""
    decode_any(vendor, *pieces)


@pytest.mark.parametrize("vendor", ONE_EACH, ids=lambda vendor: vendor.profile.dialect)
@given(data=st.data(), form=st.sampled_from(["events", "lines", "document"]))
@settings(max_examples=150, deadline=None)
def test_json_of_any_kind(vendor: Vendor, data: st.DataObject, form: str) -> None:
    """Numbers out of range, NaN, lone surrogates and wrong types are borne, in streams and in documents."""
    documents = data.draw(DOCUMENTS[vendor.profile.dialect])
    texts = [json.dumps(document) for document in documents]
    match form:
        case "events":
            decode_any(vendor, *(f"data: {text}\n\n".encode() for text in texts), b"data: [DONE]\n\n")
        case "lines":
            decode_any(vendor, *(f"{text}\n".encode() for text in texts))
        case _:
            decode_any(vendor, "".join(texts).encode())


@pytest.mark.parametrize("vendor", ONE_EACH, ids=lambda vendor: vendor.profile.dialect)
@given(case=st.sampled_from([case for case in CASES if not case.refused]), data=st.data())
@settings(max_examples=150, deadline=None)
def test_recordings_with_a_damaged_spot(vendor: Vendor, case: object, data: st.DataObject) -> None:
    """A few bytes overwritten anywhere in a true answer."""
    body = bytearray(case.body)
    at = data.draw(st.integers(0, len(body) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=6))
    body[at : at + len(noise)] = noise
    decode_any(vendor, bytes(body))


ODD = st.one_of(SCALARS, WORDS, st.sampled_from([[], {}, [[]], [None], {"": None}, -1, 10**400, "\ud800"]))
"""What a document may hold in any place instead of what belongs there."""
DELETED = object()


def places_in(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where its values are, the whole of it included."""
    yield path
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, inner in members:
        yield from places_in(inner, (*path, name))


def changed(document: object, path: tuple[str | int, ...], value: object) -> object:
    """The same with another value, or none, in that place."""
    if not path:
        return None if value is DELETED else value
    first, *rest = path
    inner = copy.copy(document)
    if rest or value is not DELETED:
        inner[first] = changed(inner[first], tuple(rest), value)
    else:
        del inner[first]
    return inner


_DOCUMENT = re.compile(r"\s*(?:data:)?\s*(?=[{\[])")


def split_line(line: str) -> tuple[str, object]:
    """What stands ahead of a line's document, and the document; None without one."""
    head = _DOCUMENT.match(line)
    if head is None:
        return line, None
    try:
        return head[0], json.loads(line[head.end() :])
    except ValueError:
        return line, None


@pytest.mark.parametrize("vendor", ONE_EACH, ids=lambda vendor: vendor.profile.dialect)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_recordings_with_other_values(vendor: Vendor, data: st.DataObject) -> None:
    """A true answer or refusal of the dialect in which any values are others, or missing; no list of words is kept."""
    case = data.draw(st.sampled_from(RECORDED[vendor.profile.dialect]))
    lines = [split_line(line) for line in case.body.decode("utf-8", "replace").split("\n")]
    filled = [number for number, (_, document) in enumerate(lines) if document]
    for _ in range(data.draw(st.integers(1, 3)) if filled else 0):
        number = data.draw(st.sampled_from(filled))
        head, document = lines[number]
        path = data.draw(st.sampled_from(list(places_in(document))))
        lines[number] = head, changed(document, path, data.draw(st.one_of(ODD, st.just(DELETED))))
    texts = (f"{head}{'' if document is None else json.dumps(document)}" for head, document in lines)
    body = "\n".join(texts).encode()
    if case.refused:
        check_refusal(case.adapter.refusal(case.status, case.headers, body), case.status)
    else:
        check_any(decode(case.adapter.decoder(case.attempt, 200, case.headers), [body]))


@pytest.mark.parametrize("vendor", ONE_EACH, ids=lambda vendor: vendor.profile.dialect)
@given(status=STATUSES, headers=HEADERS, body=st.one_of(st.binary(max_size=64), SHAPED))
@settings(max_examples=150, deadline=None)
def test_refusals_of_any_kind(vendor: Vendor, status: int, headers: dict[str, str], body: object) -> None:
    """Every status with every body and every header is some ServiceError, bounded and fit to be sent."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    check_refusal(FIRST[vendor.folder].adapter.refusal(status, headers, raw), status)


def check_refusal(error: object, status: int) -> None:
    """It is bounded, and fit to be sent."""
    assert isinstance(error, ServiceError)
    assert error.upstream is not None
    assert error.upstream.http_status == status
    for text in (error.detail, error.upstream.message, error.upstream.code, error.upstream.type):
        text.encode()
        assert len(text) <= 400
    assert error.retry_after_s is None or 0 <= error.retry_after_s <= 1e9


NAMES = st.sampled_from(["a", "b", "get_weather"])
MEDIA = st.one_of(
    st.builds(Media, st.sampled_from(MediaKind), url=st.just("https://a.example/x")),
    st.builds(Media, st.sampled_from(MediaKind), data=st.just(b"x"), media_type=st.just("audio/wav")),
)
LEAVES = st.one_of(st.builds(Text, CALLER_TEXTS), MEDIA)
PARTS = st.builds(
    Part,
    st.one_of(
        LEAVES,
        st.builds(Reasoning, CALLER_TEXTS),
        st.builds(Refusal, CALLER_TEXTS),
        st.builds(ToolCall, NAMES, NAMES, st.just('{"x":1}')),
        st.builds(
            ToolResult, NAMES, NAMES, st.lists(st.builds(Part, LEAVES), max_size=2).map(tuple), st.booleans()
        ),
        st.builds(
            ProviderPart,
            st.sampled_from(
                [*sorted({provider.profile.dialect for provider in PROVIDERS.values()}), "other"]
            ),
            st.just('{"type":"x"}'),
        ),
    ),
    signature=st.sampled_from([b"", b"s"]),
)
PART_LISTS = st.lists(PARTS, min_size=1, max_size=3).map(tuple)
MESSAGES = st.builds(Message, st.sampled_from(Role), PART_LISTS, st.sampled_from(["", "n"]))
FLAGS = st.one_of(st.none(), st.booleans())
TOOLS = st.builds(Tool, NAMES, CALLER_TEXTS, st.sampled_from(["", "{}"]), FLAGS)
OPTIONAL = st.one_of(st.none(), st.floats(0, 1))
COUNTS = st.one_of(st.none(), st.integers(1, 8))
CALLS = st.builds(
    Call,
    model=st.just("m"),
    input=st.one_of(
        st.builds(Conversation, st.lists(MESSAGES, min_size=1, max_size=3).map(tuple)),
        st.builds(Prompt, CALLER_TEXTS),
        st.builds(TokenIds, st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple)),
    ),
    generation=st.builds(
        Generation,
        max_output_tokens=COUNTS, temperature=OPTIONAL, top_p=OPTIONAL, seed=COUNTS, n=COUNTS, top_k=COUNTS,
        min_p=OPTIONAL, top_logprobs=COUNTS, stop_sequences=st.lists(CALLER_TEXTS, max_size=6).map(tuple),
        logit_bias=st.dictionaries(st.integers(0, 9), st.floats(-1, 1), max_size=2),
        reasoning=st.one_of(st.none(), st.builds(
            ReasoningConfig, st.one_of(st.none(), st.sampled_from(ReasoningMode)),
            st.one_of(st.none(), st.sampled_from(ReasoningEffort)), COUNTS, st.one_of(st.none(), st.booleans()),
        )),
    ),
    tools=st.lists(TOOLS, max_size=2).map(tuple),
    tool_choice=st.one_of(st.none(), st.builds(
        ToolChoice, st.one_of(st.none(), st.sampled_from(ToolChoiceMode)), st.lists(NAMES, max_size=2).map(tuple),
        st.one_of(st.none(), st.booleans()),
    )),
    output_format=st.one_of(
        st.none(), st.just(JsonObject()), st.just(JsonSchema("n", "{}", True)), st.just(Regex("a")),
        st.just(Grammar("g")), st.just(Choice(("a", "b"))),
    ),
    routing=st.builds(RoutingOptions, priority=st.integers(-100, 100)),
    end_user_id=st.sampled_from(["", "u"]),
    provider_metadata=st.sampled_from([{}, {"k": "v"}]),
)  # fmt: skip


OVER_HTTP = sorted(
    (name, version)
    for name, provider in PROVIDERS.items()
    if provider.adapter is not None
    for version in provider.versions or ("",)
)
"""Providers, each with every version of its API."""


def backend_of(row: tuple[str, str]) -> schema.Backend:
    """Any backend of this provider, as a file of nothing but its address configures it."""
    name, version = row
    return schema.Backend(provider=name, url="https://api.example.com", api_version=version)


def profile_in(row: tuple[str, str]) -> Profile:
    return profile_of(backend_of(row))


def adapter_of(row: tuple[str, str]) -> Adapter:
    build, backend = PROVIDERS[row[0]].adapter, backend_of(row)
    assert build is not None
    return build(profile_in(row), Settings(backend.url, BodyLimits(), backend))


@pytest.mark.parametrize("row", OVER_HTTP, ids=str)
@given(call=CALLS)
@settings(max_examples=60, deadline=None)
def test_any_call_is_encoded_or_refused(row: tuple[str, str], call: Call) -> None:
    """Twice the same bytes, JSON, and no change to the call; what raises is INVALID_REQUEST or ineligible."""
    profile, adapter = profile_in(row), adapter_of(row)
    before, attempt = repr(call), attempt_of(call)
    ineligible = any(warning.code in INELIGIBLE_CODES for warning in unsupported(call, profile))
    fault: ServiceError | None = None
    try:
        first, second = adapter.request(attempt), adapter_of(row).request(attempt)
    except ServiceError as error:
        fault = error
    if fault is not None:
        assert fault.fields or ineligible
        return
    assert first == second
    assert repr(call) == before
    json.loads(first.body)


@pytest.mark.parametrize("row", OVER_HTTP, ids=str)
@given(call=CALLS)
@settings(max_examples=60, deadline=None)
def test_what_is_reported_is_not_sent(row: tuple[str, str], call: Call) -> None:
    """A parameter with a warning leaves no trace in the body, but for stop sequences, of which the first are sent."""
    profile = profile_in(row)
    found = unsupported(call, profile)
    assert {warning.field for warning in found if not warning.message} == set()
    if any(warning.code in INELIGIBLE_CODES for warning in found):
        return
    try:
        body = json.loads(adapter_of(row).request(attempt_of(call)).body)
    except ServiceError:
        return
    names = {"generation.top_k": "top_k", "generation.min_p": "min_p", "generation.n": "n",
             "generation.logit_bias": "logit_bias", "provider_metadata": "metadata", "routing.priority": "priority",
             "tool_choice.parallel_calls": "parallel_tool_calls", "tools": "tools", "generation.seed": "seed",
             "output_format.json_schema": "response_format", "output_format.regex": "regex",
             "output_format.choice": "structured_outputs",
             "generation.reasoning.budget_tokens": "thinking_token_budget", "generation.temperature": "temperature",
             "generation.top_p": "top_p",
             "generation.reasoning.effort": "reasoning_effort"}  # fmt: skip
    reported = {warning.field for warning in found}
    mode = call.generation.reasoning is not None and call.generation.reasoning.mode is not None
    for path, name in names.items():
        if path in reported and not (name == "reasoning_effort" and mode):
            # Where the user's id stands there, it stands alone.
            assert body.get(name) in (None, {"user_id": call.end_user_id}), path
