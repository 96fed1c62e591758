"""Answers and errors of Gemini, beyond what is recorded."""

from __future__ import annotations

import json

import pytest

from pointsman_server.domain import (
    Citation,
    Delta,
    DeltaKind,
    Finished,
    FinishReason,
    Generation,
    Media,
    MediaKind,
    Part,
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    ReasoningKind,
    Role,
    SafetyRating,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)
from pointsman_server.errors import Reason
from pointsman_server.upstreams.dialects.gemini.adapter import GeminiAdapter
from pointsman_server.upstreams.dialects.gemini.profiles import GEMINI
from pointsman_server.upstreams.translation.support import origin, unsupported
from tests.conformance.result import decode
from tests.unit.upstreams.calls import asked, attempt, said, settings

SSE = {"content-type": "text/event-stream"}
OURS = origin(GEMINI, "upstream-model")
HIDDEN = asked(generation=Generation(reasoning=ReasoningConfig(include=False)))


def share(*parts, **fields):
    """One candidate's share of a document; a text stands for a part."""
    content = [{"text": part} if isinstance(part, str) else part for part in parts]
    return {"content": {"role": "model", "parts": content}, **fields}


def doc(*candidates, **fields):
    return {"candidates": list(candidates), **fields}


def event(document):
    return f"data: {json.dumps(document)}\r\n\r\n".encode()


def adapter():
    return GeminiAdapter(GEMINI, settings())


def outcome(*pieces, call=None, headers=SSE, end=True):
    return decode(adapter().decoder(attempt(call), 200, headers), pieces, end=end)


def streamed(*documents, call=None):
    result = outcome(*(event(document) for document in documents), call=call)
    assert result.error is None, result.error
    return result.answer


def whole(document, call=None):
    result = outcome(json.dumps(document).encode(), call=call, headers={"content-type": "application/json"})
    assert result.error is None, result.error
    return result.answer


def parts(*documents, call=None):
    (only,) = streamed(*documents, call=call).candidates
    return only.parts


def test_pieces_of_one_kind_are_one_part():
    """And thoughts between texts stand between them."""
    stream = (
        doc(share({"text": "h", "thought": True})), doc(share({"text": "m", "thought": True}, "a")), doc(share("b")),
        doc(share({"text": "oh", "thought": True}, "c"), finishReason="STOP"), doc(share(finishReason="STOP")),
    )  # fmt: skip
    assert parts(*stream) == (
        Part(Reasoning("hm", ReasoningKind.SUMMARY)), Part(Text("ab")),
        Part(Reasoning("oh", ReasoningKind.SUMMARY)), Part(Text("c")),
    )  # fmt: skip
    assert parts(*stream, call=HIDDEN) == (Part(Text("abc")),)


def test_a_signature_stays_with_its_text():
    """A text that has one is a part of its own, also an empty one, as streams end with; it goes back the same way."""
    stream = (
        doc(share("a")),
        doc(share({"text": "b", "thoughtSignature": "QQ=="}, "c")),
        doc(share({"text": "", "thoughtSignature": "Qg-_"}, finishReason="STOP")),
    )
    found = parts(*stream)
    assert found == (
        Part(Text("a")), Part(Text("b"), signature=b"QQ==", origin=OURS), Part(Text("c")),
        Part(Reasoning(""), signature=b"Qg-_", origin=OURS),
    )  # fmt: skip
    call = asked("hi", said(*found, role=Role.ASSISTANT), "go on")
    assert unsupported(call, GEMINI, "upstream-model") == ()
    sent = json.loads(adapter().request(attempt(call)).body)["contents"][1]["parts"]
    assert sent == [
        {"text": "a"}, {"text": "b", "thoughtSignature": "QQ=="}, {"text": "c"},
        {"text": "", "thoughtSignature": "Qg-_"},
    ]  # fmt: skip


def test_a_signature_without_a_text():
    """Of a part that holds nothing else, or of thoughts that are not shown."""
    lone = share("a", {"thoughtSignature": "QQ=="}, finishReason="STOP")
    assert parts(doc(lone)) == (Part(Text("a")), Part(Reasoning(""), signature=b"QQ==", origin=OURS))
    thought = share({"text": "hm", "thought": True, "thoughtSignature": "QQ=="}, "a", finishReason="STOP")
    assert parts(doc(thought), call=HIDDEN) == (
        Part(Reasoning(""), signature=b"QQ==", origin=OURS), Part(Text("a")),
    )  # fmt: skip


def test_calls_come_whole():
    """In their order, with ids that are made where they are absent; a finish of STOP means them."""
    call = {"functionCall": {"name": "a", "args": {"x": 1.5}}}
    signed = {"functionCall": {"name": "b", "id": "fc-1"}, "thoughtSignature": "QQ=="}
    answer = streamed(doc(share("so", call, signed)), doc(share(call, finishReason="STOP")))
    (one,) = answer.candidates
    text, first, second, third = one.parts
    assert text == Part(Text("so"))
    assert second == Part(ToolCall("fc-1", "b", "{}"), signature=b"QQ==", origin=OURS)
    assert (first.content.name, json.loads(first.content.arguments_json)) == ("a", {"x": 1.5})
    ids = {first.content.id, third.content.id}
    assert len(ids) == 2
    assert "" not in ids
    assert one.finish_reason is FinishReason.TOOL_CALLS
    assert one.finish_reason_raw == "STOP"


def test_media_and_what_only_gemini_knows():
    """Pictures are pictures, with their signatures; drafts of them and code are parts of the dialect."""
    picture = {"inlineData": {"mimeType": "image/png", "data": "-_8="}, "thoughtSignature": "QQ=="}
    draft = {"inlineData": {"mimeType": "image/png", "data": "eA=="}, "thought": True}
    code = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "Qg=="}
    file = {"fileData": {"mimeType": "audio/ogg", "fileUri": "https://a.example/x"}}
    broken = {"inlineData": {"mimeType": "image/png", "data": "?"}}
    found = parts(doc(share(draft, picture, code, file, broken, "done", finishReason="STOP")))
    assert found[1] == Part(
        Media(MediaKind.IMAGE, data=b"\xfb\xff", media_type="image/png"), signature=b"QQ==", origin=OURS
    )
    assert found[3] == Part(Media(MediaKind.AUDIO, url="https://a.example/x", media_type="audio/ogg"))
    assert found[5] == Part(Text("done"))
    for part, wire in ((found[0], draft), (found[2], code), (found[4], broken)):
        assert isinstance(part.content, ProviderPart)
        assert (part.content.dialect, json.loads(part.content.json)) == ("gemini", wire)
    assert found[2].origin == OURS
    shown = parts(doc(share(draft, "a", finishReason="STOP")), call=HIDDEN)
    assert shown == (Part(Text("a")),)


def test_what_code_made_goes_back_to_this_model_alone():
    """It may be signed inside."""
    code = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "Qg=="}
    found = parts(doc(share(code, finishReason="STOP")))
    call = asked("hi", said(*found, role=Role.ASSISTANT), "go on")
    assert unsupported(call, GEMINI, "upstream-model") == ()
    assert json.loads(adapter().request(attempt(call)).body)["contents"][1]["parts"] == [code]
    assert [w.field for w in unsupported(call, GEMINI, "other")] == [
        "conversation.messages[1].parts[0].provider_part"
    ]


FINISHES = [
    ("STOP", FinishReason.STOP),
    ("MAX_TOKENS", FinishReason.MAX_TOKENS),
    ("CONTINUATION", FinishReason.MAX_TOKENS),
    *((word, FinishReason.CONTENT_FILTER) for word in (
        "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "ESCALATION", "MODEL_ARMOR",
    )),
    ("SOMETHING_NEW", FinishReason.OTHER),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "reason"), FINISHES)
def test_finish_reasons(raw, reason):
    """In a stream and in a document, with or without a content."""
    for answer in (streamed(doc(share("a")), doc({"finishReason": raw})), whole(doc({"finishReason": raw}))):
        (one,) = answer.candidates
        assert (one.finish_reason, one.finish_reason_raw) == (reason, raw)


FAILURES = [
    *((word, Reason.UPSTREAM_ERROR) for word in (
        "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "OTHER",
        "NO_IMAGE",
    )),
    ("MISSING_THOUGHT_SIGNATURE", Reason.UPSTREAM_REJECTED),
    ("PUP_LIMITED_DISABLED", Reason.UPSTREAM_PERMISSION_DENIED),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "reason"), FAILURES)
def test_endings_that_are_failures(raw, reason):
    """Are told as an ending and then as a failure, with what the provider says of it."""
    share_of_it = {"finishReason": raw, "finishMessage": "Malformed: print("}
    document = doc(share_of_it, usageMetadata={"promptTokenCount": 3}, responseId="r")
    for result in (
        outcome(event(document)),
        outcome(json.dumps(document).encode(), headers={"content-type": "application/json"}),
    ):
        assert result.error.reason is reason
        assert raw in result.error.detail
        assert result.error.upstream.message == "Malformed: print("
        assert result.error.upstream.response_id == "r"
        (one,) = result.answer.candidates
        assert (one.finish_reason, one.finish_reason_raw) == (FinishReason.ERROR, raw)
        assert result.answer.usage.input_tokens == 3


def test_one_candidate_of_several_may_fail():
    """The others are an answer."""
    call = asked(generation=Generation(n=2))
    bad, good = {"index": 1, "finishReason": "OTHER"}, share("a", finishReason="STOP")
    for answer in (whole(doc(good, bad), call), streamed(doc(bad), doc(good), call=call)):
        assert [one.finish_reason for one in answer.candidates] == [FinishReason.STOP, FinishReason.ERROR]
    both = outcome(event(doc({"finishReason": "OTHER"}, bad)), call=call)
    assert both.error.reason is Reason.UPSTREAM_ERROR


def test_the_last_finish_reason_counts():
    """Some servers tell one with every piece; nothing is told of it before the body ends."""
    stream = [doc(share("a", finishReason="STOP")), doc(share("b", finishReason="MAX_TOKENS"))]
    decoder = adapter().decoder(attempt(), 200, SSE)
    events = [one for document in stream for one in decoder.feed(event(document))]
    assert not any(isinstance(one, Finished) for one in events)
    assert decoder.close() == [Finished(0, FinishReason.MAX_TOKENS, raw="MAX_TOKENS")]
    assert decoder.close() == []
    (one,) = streamed(*stream).candidates
    assert one.parts == (Part(Text("ab")),)


def test_an_unspecified_reason_is_none():
    """It is the wire's word for nothing yet."""
    running = share("a", finishReason="FINISH_REASON_UNSPECIFIED")
    assert outcome(event(doc(running))).error.reason is Reason.UPSTREAM_TRUNCATED
    assert streamed(doc(running), doc({"finishReason": "STOP"})).candidates[0].finish_reason_raw == "STOP"


def test_every_candidate_must_end():
    """Those that were seen, and as many as were asked for."""
    call = asked(generation=Generation(n=2))
    first, second = share("a", finishReason="STOP"), share("b", index=1)
    for documents in ([doc(first)], [doc(first), doc(second)]):
        result = outcome(*map(event, documents), call=call)
        assert result.error.reason is Reason.UPSTREAM_TRUNCATED
    ended = streamed(doc(first), doc(second), doc({"index": 1, "finishReason": "STOP"}), call=call)
    assert [one.parts for one in ended.candidates] == [(Part(Text("a")),), (Part(Text("b")),)]


def test_a_document_needs_no_finish_reason():
    """It is whole; an answer without a candidate is none, and so is one with an impossible one."""
    (one,) = whole(doc(share("a"))).candidates
    assert (one.parts, one.finish_reason) == ((Part(Text("a")),), FinishReason.OTHER)
    for document in (
        {},
        [],
        doc(),
        {"usageMetadata": {"promptTokenCount": 1}},
        doc({"index": -1}),
        doc({"index": 128}),
    ):
        result = outcome(json.dumps(document).encode(), headers={})
        assert result.error.reason in (Reason.UPSTREAM_BAD_RESPONSE, Reason.UPSTREAM_TRUNCATED), document


def test_prompts_that_are_refused():
    """No candidate, but an answer: with the provider's word and its ratings, in a stream as in a document."""
    feedback = {
        "blockReason": "SAFETY",
        "safetyRatings": [
            {"category": "HARM_CATEGORY_HARASSMENT", "probability": "HIGH", "blocked": True},
            {"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "LOW", "severity": "HARM_SEVERITY_LOW"},
        ],
    }
    document = {"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 7}}
    for answer in (whole(document), streamed(document)):
        (one,) = answer.candidates
        assert (one.finish_reason, one.finish_reason_raw) == (FinishReason.CONTENT_FILTER, "SAFETY")
        assert one.safety == (
            SafetyRating("HARM_CATEGORY_HARASSMENT", "HIGH", blocked=True),
            SafetyRating("HARM_CATEGORY_HATE_SPEECH", "HARM_SEVERITY_LOW"),
        )
        assert answer.usage == Usage(input_tokens=7)
    mere = {"promptFeedback": {"safetyRatings": []}, **doc(share("a", finishReason="STOP"))}
    assert streamed(mere).candidates[0].finish_reason is FinishReason.STOP


def test_ratings_of_an_answer():
    """The last ones that were told."""
    low, high = ([{"category": "c", "probability": word}] for word in ("LOW", "HIGH"))
    stream = doc(share("a", safetyRatings=low)), doc(share(finishReason="SAFETY", safetyRatings=high))
    assert streamed(*stream).candidates[0].safety == (SafetyRating("c", "HIGH"),)


def test_usage():
    """Thoughts are part of the output, what tools of the server read part of the input; the last total counts."""
    said_of_it = {
        "promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 7,
        "toolUsePromptTokenCount": 3, "totalTokenCount": 25,
    }  # fmt: skip
    stream = (
        doc(share("a"), usageMetadata={"promptTokenCount": 10, "totalTokenCount": 10}),
        doc(share(finishReason="STOP"), usageMetadata=said_of_it),
        {"usageMetadata": said_of_it},
    )
    answer = streamed(*stream)
    assert answer.usage == Usage(13, 12, 25, cached_input_tokens=4, reasoning_tokens=7)
    only_thoughts = {"promptTokenCount": 2, "thoughtsTokenCount": 9, "totalTokenCount": 11}
    assert whole(doc({"finishReason": "MAX_TOKENS"}, usageMetadata=only_thoughts)).usage == Usage(
        2, 9, 11, reasoning_tokens=9
    )
    assert whole(doc(share("a"))).usage is None


def test_logprobs():
    """Of the chosen tokens, with what else stood to choose from."""
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.1}, {"token": "b", "logProbability": "?"}],
        "topCandidates": [{"candidates": [{"token": "a", "logProbability": -0.1}, {"token": "c"}]}],
    }
    (one,) = whole(doc(share("ab", logprobsResult=result, finishReason="STOP"))).candidates
    assert [(token.token, round(token.logprob, 3)) for token in one.logprobs[:1]] == [("a", -0.1)]
    assert [other.token for other in one.logprobs[0].top] == ["a", "c"]
    assert one.logprobs[1].top == ()
    assert one.logprobs[1].logprob < -1e30
    assert isinstance(one.logprobs[1], TokenLogprob)
    assert one.parts == (Part(Text("ab")),)


def test_sources_of_a_text():
    """Offsets count bytes on the wire and characters here; a source that a stream repeats is told once."""
    grounding = {
        "groundingChunks": [
            {"web": {"uri": "https://a.example", "title": "A"}},
            {"retrievedContext": {"uri": "gs://b/c", "title": "B"}},
            {"other": {}},
        ],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 9}, "groundingChunkIndices": [0, 1, 7]},
            {"segment": {"endIndex": 3, "partIndex": 0}, "groundingChunkIndices": [0]},
        ],
    }
    stream = (
        doc(share({"text": "hm", "thought": True}, "ābc", groundingMetadata=grounding)),
        doc(share(" ēd", groundingMetadata=grounding, finishReason="STOP")),
        doc(
            share(
                citationMetadata={
                    "citationSources": [{"startIndex": 0, "endIndex": 99, "uri": "https://c.example"}]
                }
            )
        ),
    )
    _, text = parts(*stream)
    assert text == Part(Text("ābc ēd"), citations=(
        Citation(2, 6, "https://a.example", "A"), Citation(2, 6, "gs://b/c", "B"),
        Citation(0, 2, "https://a.example", "A"), Citation(0, 6, "https://c.example"),
    ))  # fmt: skip


def test_sources_without_a_place():
    """Are those of the whole text; without a text there is nothing to cite."""
    grounding = {"groundingChunks": [{"maps": {"uri": "https://m.example", "title": "M"}}, {}]}
    (one,) = whole(doc(share("a", groundingMetadata=grounding, finishReason="STOP"))).candidates
    assert one.parts == (Part(Text("a"), citations=(Citation(url="https://m.example", title="M"),)),)
    (none,) = whole(doc(share(groundingMetadata=grounding, finishReason="STOP"))).candidates
    assert none.parts == ()


def test_a_list_of_documents():
    """Is what a stream is that did not ask for events; it must end like one."""
    first, last = doc(share("a"), responseId="r"), doc(share("b", finishReason="STOP"))
    answer = whole([first, last])
    assert (answer.response_id, answer.candidates[0].parts) == ("r", (Part(Text("ab")),))
    text = json.dumps([first, last], indent=2).encode()
    assert outcome(text[:40], text[40:]).answer == answer
    assert outcome(json.dumps([first]).encode()).error.reason is Reason.UPSTREAM_TRUNCATED
    failed = outcome(json.dumps([first, {"error": {"code": 503, "status": "UNAVAILABLE"}}]).encode())
    assert failed.error.upstream.in_stream
    assert failed.answer.candidates[0].parts == (Part(Text("a")),)


OVERLOADED = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize(
    "told",
    [
        event(OVERLOADED),
        json.dumps(OVERLOADED, indent=2).encode() + b"\r\n",
        json.dumps([OVERLOADED], indent=2).replace("\n", "\r\n").encode() + b"\r\n\r\n",
        json.dumps(OVERLOADED, indent=2).encode(),
    ],
    ids=["an event", "bare lines", "a bare list", "without an end"],
)
def test_errors_in_a_stream(told):
    """As an event, or as bare lines of JSON, whichever way they are cut; what came before them stays."""
    body = event(doc(share("a"))) + told
    for at in range(len(body) - len(told), len(body)):
        result = outcome(body[:at], body[at:])
        assert result.error.reason is Reason.UPSTREAM_OVERLOADED
        fault = result.error.upstream
        assert (fault.http_status, fault.stream_status, fault.in_stream) == (200, 503, True)
        assert (fault.type, fault.message) == ("UNAVAILABLE", "The model is overloaded.")
        assert result.answer.candidates[0].parts == (Part(Text("a")),)


def test_an_error_in_place_of_a_stream():
    """Under status 200."""
    result = outcome(json.dumps(OVERLOADED, indent=2).encode())
    assert result.error.reason is Reason.UPSTREAM_OVERLOADED
    assert not result.error.upstream.in_stream


def refusal(status, document, **headers):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return adapter().refusal(status, headers, body)


def error(status, message="x", *details, code=400):
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def detail(kind, **fields):
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}


def quota(quota_id, value="10"):
    return detail("QuotaFailure", violations=[{"quotaId": quota_id, "quotaValue": value}])


@pytest.mark.parametrize(
    ("status", "document", "reason"),
    [
        (400, error("INVALID_ARGUMENT", "Invalid value at 'contents'"), Reason.UPSTREAM_REJECTED),
        (
            400,
            error(
                "INVALID_ARGUMENT",
                "The input token count (1100000) exceeds the maximum number of tokens allowed.",
            ),
            Reason.CONTEXT_LENGTH_EXCEEDED,
        ),
        (500, error("INTERNAL", "Your input context is too long."), Reason.CONTEXT_LENGTH_EXCEEDED),
        (
            400,
            error("INVALID_ARGUMENT", "API key expired. Please renew it."),
            Reason.UPSTREAM_CREDENTIALS_INVALID,
        ),
        (
            400,
            error("FAILED_PRECONDITION", "User location is not supported for the API use."),
            Reason.UPSTREAM_PERMISSION_DENIED,
        ),
        (400, error("OUT_OF_RANGE"), Reason.UPSTREAM_REJECTED),
        (401, error("UNAUTHENTICATED"), Reason.UPSTREAM_CREDENTIALS_INVALID),
        (403, error("PERMISSION_DENIED"), Reason.UPSTREAM_PERMISSION_DENIED),
        (
            403,
            error("PERMISSION_DENIED", "x", detail("ErrorInfo", reason="BILLING_DISABLED")),
            Reason.UPSTREAM_QUOTA_EXHAUSTED,
        ),
        (
            404,
            error("NOT_FOUND", "models/x is not found for API version v1"),
            Reason.UPSTREAM_MODEL_NOT_FOUND,
        ),
        (409, error("ABORTED"), Reason.UPSTREAM_CONFLICT),
        (413, b"<html>", Reason.REQUEST_TOO_LARGE),
        (429, error("RESOURCE_EXHAUSTED"), Reason.UPSTREAM_RATE_LIMITED),
        (
            429,
            error("RESOURCE_EXHAUSTED", "x", quota("GenerateRequestsPerMinute")),
            Reason.UPSTREAM_RATE_LIMITED,
        ),
        (429, error("RESOURCE_EXHAUSTED", "x", quota("InputTokensPerDay")), Reason.UPSTREAM_QUOTA_EXHAUSTED),
        (
            429,
            error("RESOURCE_EXHAUSTED", "x", quota("PerMinute", "0"), detail("RetryInfo", retryDelay="5s")),
            Reason.UPSTREAM_QUOTA_EXHAUSTED,
        ),
        (
            429,
            error("RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
            Reason.UPSTREAM_QUOTA_EXHAUSTED,
        ),
        (429, b"", Reason.UPSTREAM_RATE_LIMITED),
        (499, error("CANCELLED"), Reason.UPSTREAM_ERROR),
        (500, error("INTERNAL"), Reason.UPSTREAM_ERROR),
        (501, error("UNIMPLEMENTED"), Reason.UPSTREAM_UNIMPLEMENTED),
        (502, b"<html>", Reason.UPSTREAM_UNAVAILABLE),
        (503, error("UNAVAILABLE", "The service is currently unavailable."), Reason.UPSTREAM_UNAVAILABLE),
        (503, error("UNAVAILABLE", "This model is in high demand."), Reason.UPSTREAM_OVERLOADED),
        (504, error("DEADLINE_EXCEEDED"), Reason.UPSTREAM_TIMEOUT),
        (529, [error("UNAVAILABLE", "overloaded")], Reason.UPSTREAM_OVERLOADED),
        (302, b"", Reason.UPSTREAM_BAD_RESPONSE),
        (400, {"error": "API key not valid."}, Reason.UPSTREAM_CREDENTIALS_INVALID),
    ],
)
def test_refusals(status, document, reason):
    """By the quota that was hit, by the reason in the details, by what the text admits, by the status."""
    assert refusal(status, document).reason is reason


def test_what_a_refusal_tells():
    """Code, type and wait, of the first of a list as well; the details' wait stands above the header's."""
    info, wait = detail("ErrorInfo", reason="RATE_LIMIT_EXCEEDED"), detail("RetryInfo", retryDelay="1.5s")
    found = refusal(429, [error("RESOURCE_EXHAUSTED", "slow down", info, wait)], **{"retry-after": "9"})
    assert (found.reason, found.retry_after_s) == (Reason.UPSTREAM_RATE_LIMITED, 1.5)
    fault = found.upstream
    assert (fault.code, fault.type, fault.message) == (
        "RATE_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "slow down",
    )
    assert refusal(503, b"", **{"retry-after": "9"}).retry_after_s == 9.0


def test_deltas_of_a_call_are_two():
    """The call and its signature, on one part, in the stream."""
    call = {"functionCall": {"name": "a", "args": {}, "id": "1"}, "thoughtSignature": "QQ=="}
    decoder = adapter().decoder(attempt(), 200, SSE)
    assert decoder.feed(event(doc(share(call)))) == [
        Delta(0, 0, DeltaKind.TOOL_CALL, "{}", tool_id="1", tool_name="a"),
        Delta(0, 0, DeltaKind.SIGNATURE, data=b"QQ==", origin=OURS),
    ]
