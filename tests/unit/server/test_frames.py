"""Streams: whatever is cut and merged, the caller reads the same answer."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pointsman import v1 as pb
from pointsman_server.context import AttemptRecord, Target
from pointsman_server.domain import (
    Answer,
    Call,
    Citation,
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Generation,
    Media,
    MediaKind,
    Opened,
    Part,
    Prompt,
    ReasoningKind,
    StreamOptions,
    TokenLogprob,
    Usage,
    UsageReport,
)
from pointsman_server.domain.fold import Fold
from pointsman_server.errors import Reason
from pointsman_server.server.codec import encode_answer
from pointsman_server.server.codec.answer import Identity
from pointsman_server.server.frames import StreamEncoder
from tests.fakes.dispatch import OPENED, REPORT, STOPPED, USED, text

IDENTITY = Identity("r-1", "gen-1", 1_700_000_000.0)


def encoder(report=REPORT, **options) -> StreamEncoder:
    n = options.pop("n", None)
    call = Call("chat", Prompt("x"), generation=Generation(n=n), stream_options=StreamOptions(**options))
    return StreamEncoder(call, lambda: report, IDENTITY)


def frames_of(batches, **options) -> list[pb.StreamGenerateResponse]:
    stream = encoder(**options)
    told = [frame for batch in batches if (frame := stream.frame(batch)) is not None]
    return [*told, stream.finish(REPORT)]


def unframed(frames: list[pb.StreamGenerateResponse]) -> Answer:
    """The fold of the frames, by the same rules as the fold of events."""
    fold = Fold()
    for frame in frames:
        for delta in frame.deltas:
            fold.add(event_of(delta))
        for ended in frame.candidate_finished:
            reason = pb.FinishReason.Name(ended.finish_reason).removeprefix("FINISH_REASON_")
            fold.add(
                Finished(
                    ended.candidate_index, FinishReason[reason], ended.finish_reason_raw, ended.stop_sequence
                )
            )
    return fold.answer()


def event_of(delta: pb.Delta) -> Event:
    kinds = {
        "text": DeltaKind.TEXT, "reasoning": DeltaKind.REASONING, "tool_call": DeltaKind.TOOL_CALL,
        "refusal": DeltaKind.REFUSAL, "signature": DeltaKind.SIGNATURE, "part": DeltaKind.PART, None: DeltaKind.TEXT,
    }  # fmt: skip
    kind = kinds[delta.WhichOneof("content")]
    whole = Part(Media(MediaKind.IMAGE, url=delta.part.image.url)) if kind is DeltaKind.PART else None
    call = delta.tool_call
    named = pb.ReasoningKind.Name(delta.reasoning_kind).removeprefix("REASONING_KIND_")
    return Delta(
        delta.candidate_index,
        delta.part_index,
        kind,
        text=delta.text or delta.reasoning or delta.refusal or call.arguments_json,
        tool_id=call.id,
        tool_name=call.name,
        data=delta.signature,
        whole=whole,
        reasoning_kind=ReasoningKind[named] if delta.reasoning_kind else None,
        logprobs=tuple(TokenLogprob(token.token, token.logprob) for token in delta.logprobs.tokens),
        citations=tuple(Citation(one.start, one.end, one.url) for one in delta.citations),
        origin=delta.origin,
    )


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
logprobs = st.lists(st.builds(TokenLogprob, texts, st.sampled_from([-0.5, -2.0])), max_size=2).map(tuple)
citations = st.lists(st.builds(Citation, st.integers(0, 9), st.integers(0, 9), texts), max_size=1).map(tuple)


@st.composite
def parts(draw, candidate: int, index: int) -> list[Event]:
    """The deltas of one part, from its first to its last."""
    at = (candidate, index)
    match draw(st.sampled_from(["text", "reasoning", "tool", "refusal", "whole", "signed", "empty"])):
        case "text":
            pieces = st.builds(
                lambda piece, probs, sources: Delta(
                    *at, DeltaKind.TEXT, text=piece, logprobs=probs, citations=sources
                ),
                texts,
                logprobs,
                citations,
            )
            return draw(st.lists(pieces, min_size=1, max_size=5))
        case "reasoning":
            kind = draw(st.sampled_from([None, *ReasoningKind]))
            pieces = [
                Delta(*at, DeltaKind.REASONING, text=t, reasoning_kind=kind)
                for t in draw(st.lists(texts, min_size=1))
            ]
            return (
                [*pieces, Delta(*at, DeltaKind.SIGNATURE, data=b"s", origin="o")]
                if draw(st.booleans())
                else pieces
            )
        case "tool":
            first = Delta(
                *at, DeltaKind.TOOL_CALL, tool_id="id", tool_name="f", text=draw(st.just("") | texts)
            )
            return [
                first,
                *(Delta(*at, DeltaKind.TOOL_CALL, text=t) for t in draw(st.lists(texts, max_size=4))),
            ]
        case "refusal":
            return [
                Delta(*at, DeltaKind.REFUSAL, text=t) for t in draw(st.lists(texts, min_size=1, max_size=3))
            ]
        case "whole":
            return [Delta(*at, DeltaKind.PART, whole=Part(Media(MediaKind.IMAGE, url=draw(texts))))]
        case "signed":
            return [Delta(*at, DeltaKind.SIGNATURE, data=b"only", origin="o")]
        case _:
            return [Delta(*at, DeltaKind.TEXT), Delta(*at, DeltaKind.TEXT, text=draw(texts))]


@st.composite
def answers(draw) -> tuple[list[Event], int]:
    """The events of a whole answer of one to three candidates, interleaved."""
    n = draw(st.integers(1, 3))
    queues: list[list[Event]] = []
    for candidate in range(n):
        events: list[Event] = []
        for index in range(draw(st.integers(0, 3))):
            events += draw(parts(candidate, index))
        queues.append([*events, Finished(candidate, FinishReason.STOP, raw="stop")])
    merged: list[Event] = [Opened("resp")] if draw(st.booleans()) else []
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        merged.append(queue.pop(0))
        if draw(st.integers(0, 9)) == 0:
            merged.append(UsageReport(Usage(output_tokens=len(merged))))
    return merged, n


@st.composite
def cut(draw, events: list[Event]) -> list[list[Event]]:
    """The events in batches of any size, empty ones included."""
    batches: list[list[Event]] = [[]]
    for event in events:
        if draw(st.booleans()):
            batches.append([])
        batches[-1].append(event)
    return batches


@given(st.data())
def test_frames_fold_to_the_same_answer(data):
    """However the batches are cut, the frames join to what the events join to, in order and counted from 0."""
    events, n = data.draw(answers())
    batches = data.draw(cut(events))
    frames = frames_of(batches, n=n, include_usage_updates=data.draw(st.booleans()))
    fold = Fold()
    for event in events:
        fold.add(event)
    assert unframed(frames).candidates == fold.answer().candidates
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    assert [frame.HasField("completed") for frame in frames] == [*[False] * (len(frames) - 1), True]
    assert [frame.HasField("started") for frame in frames] == [True, *[False] * (len(frames) - 1)]
    assert sorted(ended.candidate_index for frame in frames for ended in frame.candidate_finished) == list(
        range(n)
    )
    assert len(frames) <= len(batches) + 1


def test_one_batch_is_one_message():
    """An answer in one piece is one message, with everything in it."""
    (frame,) = frames_of([[OPENED, text("a"), text("b"), STOPPED, USED]])
    assert [delta.text for delta in frame.deltas] == ["ab"]
    assert frame.started.response_id == "resp-1"
    assert frame.completed.usage.total_tokens == 5
    assert not frame.HasField("usage_update")


def test_what_comes_before_content_waits_for_it():
    """Names, usage and empty deltas alone are no frame; they come with the first content."""
    stream = encoder(include_usage_updates=True)
    assert stream.frame([OPENED]) is None
    assert stream.frame([UsageReport(Usage(input_tokens=3)), text("")]) is None
    frame = stream.frame([text("a")])
    assert frame is not None
    assert (frame.sequence, frame.started.response_id, frame.usage_update.input_tokens) == (0, "resp-1", 3)


def test_an_answer_without_content_starts_with_its_end():
    """A candidate that ends at once begins the stream."""
    (frame,) = frames_of([[OPENED], [STOPPED]])
    assert frame.HasField("started")
    assert frame.candidate_finished[0].finish_reason == pb.FINISH_REASON_STOP


def test_an_empty_answer_still_completes():
    """Even without any event there is one last message."""
    (frame,) = frames_of([])
    assert frame.HasField("completed")


def test_neighbours_merge_only_within_one_part_and_kind():
    """Another candidate, part or kind, or a new tool call, begins a new delta; the order is kept."""
    (frame,) = frames_of(
        [
            [
                text("a"), text("b"), text("c", part=1), text("d", candidate=1),
                Delta(0, 1, DeltaKind.REFUSAL, text="e"),
                Delta(0, 2, DeltaKind.TOOL_CALL, tool_id="1", tool_name="f", text="{"),
                Delta(0, 2, DeltaKind.TOOL_CALL, text="}"),
                Delta(0, 3, DeltaKind.TOOL_CALL, tool_id="2", tool_name="f"),
                STOPPED,
            ]
        ]
    )  # fmt: skip
    assert [(d.candidate_index, d.part_index, d.WhichOneof("content")) for d in frame.deltas] == [
        (0, 0, "text"), (0, 1, "text"), (1, 0, "text"), (0, 1, "refusal"), (0, 2, "tool_call"), (0, 3, "tool_call"),
    ]  # fmt: skip
    assert frame.deltas[0].text == "ab"
    assert frame.deltas[4].tool_call.arguments_json == "{}"


def test_usage_updates_only_if_asked_for():
    """Without the option usage comes with completed alone."""
    batches = [[text("a")], [USED], [text("b")]]
    assert [frame.HasField("usage_update") for frame in frames_of(batches)] == [False, False, False]
    asked = frames_of(batches, include_usage_updates=True)
    assert [frame.HasField("usage_update") for frame in asked] == [False, True, False, False]
    assert asked[-1].completed.HasField("usage")


def test_routing_events_only_if_asked_for():
    """Failed attempts are told with started when wanted; the attempt's number is told always."""
    failed = AttemptRecord(1, Target("west", "vllm", "q"), Reason.UPSTREAM_TIMEOUT, 0.5)
    report = replace(REPORT, attempts=(failed,))
    plain = encoder(report).frame([text("a")])
    asked = encoder(report, include_routing_events=True).frame([text("a")])
    assert plain is not None
    assert asked is not None
    assert (plain.started.attempt, len(plain.started.attempts)) == (2, 0)
    assert [attempt.backend for attempt in asked.started.attempts] == ["west"]


def test_several_candidates_end_one_by_one():
    """Only the last candidate's end waits for the end of the stream."""
    stream = encoder(n=2)
    first = stream.frame([text("a"), STOPPED])
    assert first is not None
    assert len(first.candidate_finished) == 1
    assert stream.frame([Finished(1, FinishReason.STOP)]) is None
    assert stream.finish(REPORT).candidate_finished[0].candidate_index == 1


def test_flush_gives_what_was_held():
    """A stream that fails after its end was held back can still tell it; otherwise there is nothing to flush."""
    stream = encoder()
    assert stream.frame([OPENED]) is None
    assert stream.flush() is None
    assert stream.frame([text("a"), STOPPED]) is None
    held = stream.flush()
    assert held is not None
    assert held.HasField("started")
    assert held.deltas[0].text == "a"
    assert stream.flush() is None


def test_the_answer_is_the_unary_one():
    """Stream and unary reply agree on everything that both tell."""
    events = [OPENED, text("Hel"), text("lo"), STOPPED, USED]
    fold = Fold()
    for event in events:
        fold.add(event)
    whole = encode_answer(fold.answer(), REPORT, IDENTITY)
    frames = frames_of([[event] for event in events])
    assert frames[0].started.response_id == whole.response_id
    assert frames[0].started.create_time == whole.create_time
    assert frames[-1].completed.usage == whole.usage
    assert frames[-1].completed.routing == whole.routing
