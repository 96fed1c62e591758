from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pointsman import v1
from pointsman.fold import Fold
from tests.fakes.service import frames, numbered, usage, whole


def folded(made):
    fold = Fold()
    for frame in made:
        fold.add(frame)
    return fold.response()


def delta(text="", *, candidate=0, part=0, **kwargs):
    content = {"text": text} if text else {}
    return v1.Delta(candidate_index=candidate, part_index=part, **content, **kwargs)


def parts(*deltas):
    return list(folded([v1.StreamGenerateResponse(deltas=deltas)]).candidates[0].message.parts)


def test_a_stream_folds_to_the_unary_answer():
    """The fold of a text's frames is what a unary call would have answered."""
    assert folded(frames("hel", "lo")) == whole("hello")


def test_parts_keep_their_order_and_kind():
    """Reasoning, text and tool calls come out by part number, each joined."""
    calls = [
        delta(part=2, tool_call=v1.ToolCallDelta(id="c1", name="f", arguments_json='{"a"')),
        delta(part=2, tool_call=v1.ToolCallDelta(arguments_json=": 1}")),
    ]
    made = parts(
        delta(part=0, reasoning="let ", reasoning_kind=v1.REASONING_KIND_SUMMARY),
        delta("an", part=1),
        calls[0],
        delta(part=0, reasoning="me see"),
        delta("swer", part=1),
        calls[1],
        delta(part=3, refusal="no"),
    )
    assert made == [
        v1.Part(reasoning=v1.Reasoning(text="let me see", kind=v1.REASONING_KIND_SUMMARY)),
        v1.Part(text="answer"),
        v1.Part(tool_call=v1.ToolCall(id="c1", name="f", arguments_json='{"a": 1}')),
        v1.Part(refusal="no"),
    ]


def test_signatures_citations_and_whole_parts_stay_with_their_part():
    """What belongs to a part comes back with it, so that it can be sent again."""
    picture = v1.Part(image=v1.Media(url="https://x/y.png"))
    made = parts(
        delta(part=0, reasoning="hm"),
        delta(part=0, signature=b"sig", origin="anthropic/m"),
        delta("see", part=1, citations=[v1.Citation(url="https://a")]),
        delta(part=1, citations=[v1.Citation(url="https://b")]),
        v1.Delta(part_index=2, part=picture),
        delta(part=3, signature=b"alone", origin="o"),
    )
    assert (made[0].signature, made[0].origin) == (b"sig", "anthropic/m")
    assert [c.url for c in made[1].citations] == ["https://a", "https://b"]
    assert made[2] == picture
    assert (made[3].reasoning.text, made[3].signature) == ("", b"alone")


def test_an_empty_text_is_no_part():
    """A part in which nothing came is left out."""
    assert parts(v1.Delta(text=""), delta("x", part=1)) == [v1.Part(text="x")]


def test_candidates_are_told_apart():
    """Each candidate has its own parts, log probabilities and ending, by index."""
    tokens = [v1.TokenLogprob(token="b", logprob=-1)]
    frame = v1.StreamGenerateResponse(
        deltas=[delta("b", candidate=1, logprobs=v1.Logprobs(tokens=tokens)), delta("a")],
        candidate_finished=[
            v1.CandidateFinished(candidate_index=1, finish_reason=v1.FINISH_REASON_MAX_TOKENS),
            v1.CandidateFinished(finish_reason=v1.FINISH_REASON_STOP, stop_sequence="END"),
        ],
    )
    first, second = folded([frame]).candidates
    assert (first.message.parts[0].text, first.stop_sequence) == ("a", "END")
    assert (second.index, second.finish_reason) == (1, v1.FINISH_REASON_MAX_TOKENS)
    assert list(second.logprobs.tokens) == tokens


def test_a_discarding_reroute_voids_what_came():
    """After RESTART only the new attempt counts, and its backend is the one told."""
    begun = frames("wrong", complete=False)
    again = frames("right")
    again[0].ClearField("started")
    again[0].rerouted.CopyFrom(v1.Rerouted(started=v1.Started(model="small", backend="b"), discard=True))
    answer = folded(numbered(*begun, *again))
    assert answer.candidates[0].message.parts[0].text == "right"
    assert folded(numbered(*begun, *again[:1])).routing.backend == "b"


def test_a_continuing_reroute_keeps_what_came():
    """After CONTINUE the text is joined."""
    more = frames("lo")
    more[0].ClearField("started")
    more[0].rerouted.CopyFrom(v1.Rerouted(started=v1.Started(model="small", backend="b")))
    answer = folded(numbered(*frames("hel", complete=False), *more))
    assert answer.candidates[0].message.parts[0].text == "hello"


def test_an_unfinished_answer_tells_what_is_known():
    """Before the end: the text so far, the backend, and the last usage that was told."""
    update = v1.StreamGenerateResponse(usage_update=usage(1, 2))
    answer = folded(numbered(*frames("hel", complete=False), update))
    assert answer.candidates[0].finish_reason == v1.FINISH_REASON_UNSPECIFIED
    assert (answer.routing.backend, answer.usage.output_tokens) == ("fake-a", 2)


DELTAS = st.lists(
    st.builds(
        lambda candidate, kind, text: v1.Delta(
            candidate_index=candidate, part_index=["reasoning", "text"].index(kind), **{kind: text}
        ),
        st.integers(0, 2),
        st.sampled_from(["reasoning", "text"]),
        st.text(max_size=5),
    ),
    min_size=1,
    max_size=20,
)


@given(DELTAS, st.data())
def test_merging_never_changes_the_answer(deltas, data):
    """However deltas are gathered into frames, the answer is the same."""
    cuts = data.draw(st.sets(st.integers(1, len(deltas))))
    bounds = [0, *sorted(cuts), len(deltas)]
    merged = [v1.StreamGenerateResponse(deltas=deltas[a:b]) for a, b in pairwise(bounds)]
    assert folded(merged) == folded([v1.StreamGenerateResponse(deltas=[one]) for one in deltas])
