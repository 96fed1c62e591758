from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.domain import (
    Citation,
    Delta,
    DeltaKind,
    Finished,
    FinishReason,
    Opened,
    Part,
    ProviderPart,
    Reasoning,
    ReasoningKind,
    Refusal,
    SafetyRating,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
    UsageReport,
)
from pointsman_server.domain.fold import Fold


def fold(events):
    collected = Fold()
    for event in events:
        collected.add(event)
    return collected.answer()


def parts(*deltas):
    return fold(deltas).candidates[0].parts


def delta(kind, text="", **more):
    return Delta(more.pop("candidate", 0), more.pop("part", 0), kind, text, **more)


def test_empty():
    """Without events there is an answer with nothing in it."""
    answer = fold([])
    assert (answer.candidates, answer.usage, answer.response_id) == ((), None, "")


def test_pieces_join_in_order():
    """Text is the joined pieces; a finish ends its candidate with the provider's own word."""
    answer = fold([
        Opened("id", "model", created_s=5, service_tier="t", upstream_request_id="u"), delta(DeltaKind.TEXT, "a"),
        delta(DeltaKind.TEXT, "b"), Finished(0, FinishReason.STOP, "eos", "###", (SafetyRating("x"),)),
    ])  # fmt: skip
    (candidate,) = answer.candidates
    assert candidate.parts == (Part(Text("ab")),)
    assert (candidate.finish_reason, candidate.finish_reason_raw) == (FinishReason.STOP, "eos")
    assert (candidate.stop_sequence, candidate.safety) == ("###", (SafetyRating("x"),))
    assert (answer.response_id, answer.model, answer.created_s) == ("id", "model", 5)
    assert (answer.service_tier, answer.upstream_request_id) == ("t", "u")


def test_last_usage_counts():
    """Usage is a running total, so the last report stands alone."""
    answer = fold([UsageReport(Usage(1, 1, 2)), UsageReport(Usage(1, 5))])
    assert answer.usage == Usage(1, 5)


def test_candidates_and_parts_by_number():
    """Candidates and parts come by their numbers, whatever the order of their events."""
    answer = fold([
        delta(DeltaKind.TEXT, "b", candidate=1), delta(DeltaKind.TEXT, "2", part=1), delta(DeltaKind.TEXT, "1"),
        delta(DeltaKind.TEXT, "!", part=1),
    ])  # fmt: skip
    assert [candidate.index for candidate in answer.candidates] == [0, 1]
    assert [part.content for part in answer.candidates[0].parts] == [Text("1"), Text("2!")]
    assert answer.candidates[0].finish_reason is None


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        (
            [
                delta(DeltaKind.TOOL_CALL, tool_id="c", tool_name="f"),
                delta(DeltaKind.TOOL_CALL, '{"a"'),
                delta(DeltaKind.TOOL_CALL, ":1}"),
            ],
            Part(ToolCall("c", "f", '{"a":1}')),
        ),
        ([delta(DeltaKind.TOOL_CALL, tool_name="f")], Part(ToolCall("", "f", ""))),
        ([delta(DeltaKind.REFUSAL, "no"), delta(DeltaKind.REFUSAL, "!")], Part(Refusal("no!"))),
        (
            [
                delta(DeltaKind.REASONING, "hm", reasoning_kind=ReasoningKind.SUMMARY),
                delta(DeltaKind.SIGNATURE, data=b"s1", origin="o"),
                delta(DeltaKind.SIGNATURE, data=b"s2"),
            ],
            Part(Reasoning("hm", ReasoningKind.SUMMARY), signature=b"s1s2", origin="o"),
        ),
        (
            [delta(DeltaKind.SIGNATURE, data=b"s", origin="o")],
            Part(Reasoning(""), signature=b"s", origin="o"),
        ),
        (
            [delta(DeltaKind.TEXT, "t"), delta(DeltaKind.TEXT, citations=(Citation(0, 1, "u"),))],
            Part(Text("t"), citations=(Citation(0, 1, "u"),)),
        ),
        (
            [delta(DeltaKind.PART, whole=Part(ProviderPart("d", "{}"), origin="d"))],
            Part(ProviderPart("d", "{}"), origin="d"),
        ),
        ([delta(DeltaKind.TEXT), delta(DeltaKind.TOOL_CALL, tool_name="f")], Part(ToolCall("", "f", ""))),
    ],
)
def test_each_kind(deltas, expected):
    """Each kind of delta gives its kind of part; an empty delta before it decides nothing."""
    assert parts(*deltas) == (expected,)


def test_empty_deltas_make_no_part():
    """A role or an empty piece is no part of the answer."""
    assert (
        parts(delta(DeltaKind.TEXT), delta(DeltaKind.REASONING, part=1), delta(DeltaKind.REFUSAL, part=2))
        == ()
    )


def test_logprobs_are_content():
    """A token without text of its own still has its logprobs told, and commits a stream."""
    token = TokenLogprob("\ufffd", -0.5, b"\xe2")
    assert not delta(DeltaKind.TEXT, logprobs=(token,)).empty
    assert fold([delta(DeltaKind.TEXT, logprobs=(token,))]).candidates[0].logprobs == (token,)


KINDS = [DeltaKind.TEXT, DeltaKind.REASONING, DeltaKind.TOOL_CALL, DeltaKind.REFUSAL]


@st.composite
def answers(draw):
    """Deltas of several interleaved candidates and parts; the kind of a part is fixed."""
    events = []
    for _ in range(draw(st.integers(0, 12))):
        candidate, part = draw(st.integers(0, 1)), draw(st.integers(0, 3))
        kind, text = KINDS[part], draw(st.text(max_size=6))
        tool = {"tool_id": "i", "tool_name": "n"} if kind is DeltaKind.TOOL_CALL else {}
        logprobs = (TokenLogprob("t", draw(st.integers(-9, 0))),) if draw(st.booleans()) else ()
        citations = (Citation(0, draw(st.integers(0, 9))),) if draw(st.booleans()) else ()
        events.append(Delta(candidate, part, kind, text, logprobs=logprobs, citations=citations, **tool))
        if draw(st.booleans()):
            events.append(
                Delta(
                    candidate,
                    part,
                    DeltaKind.SIGNATURE,
                    data=draw(st.binary(min_size=1, max_size=3)),
                    origin="o",
                )
            )
    return events


def split(event, rng):
    """One delta as several that say the same."""
    cut = rng.randint(0, len(event.text))
    first = replace(event, text=event.text[:cut], citations=(), logprobs=(), data=event.data[:1])
    nothing = Delta(event.candidate, event.part, event.kind)
    last = replace(event, text=event.text[cut:], data=event.data[1:], tool_id="", tool_name="")
    return [first, nothing, last] if rng.random() < 0.8 else [event]


def merged(events):
    """Neighbours of one part joined, and what is empty left out."""
    found = []
    for event in events:
        last = found[-1] if found else None
        if last and (last.candidate, last.part, last.kind) == (event.candidate, event.part, event.kind):
            found[-1] = replace(
                last, text=last.text + event.text, data=last.data + event.data, tool_id=last.tool_id or event.tool_id,
                tool_name=last.tool_name or event.tool_name, logprobs=last.logprobs + event.logprobs,
                citations=last.citations + event.citations, origin=last.origin or event.origin,
            )  # fmt: skip
        elif not event.empty:
            found.append(event)
    return found


def told(events):
    """The answer, without candidates of which nothing at all was said."""
    answer = fold(events)
    return tuple(candidate for candidate in answer.candidates if candidate.parts or candidate.logprobs)


@given(answers(), st.integers())
@settings(deadline=None)
def test_splitting_changes_nothing(events, seed):
    """However a provider cuts its deltas, the answer is the same."""
    rng = Random(seed)
    assert told([piece for event in events for piece in split(event, rng)]) == told(events)


@given(answers(), st.integers())
@settings(deadline=None)
def test_merging_changes_nothing(events, seed):
    """However neighbours are merged on the way, the answer is the same."""
    rng = Random(seed)
    assert told(merged(events)) == told(events)
    assert told(merged([piece for event in events for piece in split(event, rng)])) == told(events)
