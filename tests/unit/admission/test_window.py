"""What of a conversation stays in its window."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.admission.window import Window, fit
from pointsman_server.domain import Message, Part, Role, Text, ToolCall, ToolResult


def said(role, text):
    return Message(role, (Part(Text(text)),))


def called(*ids):
    return Message(Role.ASSISTANT, tuple(Part(ToolCall(name, "f", "{}")) for name in ids))


def result(name, role=Role.TOOL):
    return Message(role, (Part(ToolResult(name, "f", (Part(Text("r")),))),))


SYSTEM = said(Role.SYSTEM, "be brief")
ONE = [said(Role.USER, "u1"), said(Role.ASSISTANT, "a1")]
TWO = [said(Role.USER, "u2"), called("x", "y"), result("x"), result("y"), said(Role.ASSISTANT, "a2")]
THREE = [said(Role.USER, "u3")]
ALL = [SYSTEM, *ONE, *TWO, *THREE]


def each(messages):
    return [1] * len(messages)


def kept(window, messages=ALL, **more):
    return list(fit(messages, window, each(messages), **more).kept)


def test_so_many_turns():
    """A turn begins with what a user says; what the system says is in all of them."""
    assert kept(Window(keep_turns=1)) == [SYSTEM, *THREE]
    assert kept(Window(keep_turns=2)) == [SYSTEM, *TWO, *THREE]
    assert kept(Window(keep_turns=3)) == kept(Window(keep_turns=9)) == ALL


def test_so_many_tokens():
    """The oldest goes first, as few as need to; calls go with their results."""
    assert kept(Window(max_tokens=9)) == ALL
    assert kept(Window(max_tokens=8)) == [SYSTEM, ONE[1], *TWO, *THREE]
    assert kept(Window(max_tokens=6)) == [SYSTEM, *TWO[1:], *THREE]
    for most in (5, 4, 3):
        assert kept(Window(max_tokens=most)) == [SYSTEM, TWO[4], *THREE]
    assert kept(Window(max_tokens=9), reserved_tokens=1) == kept(Window(max_tokens=8))


def test_what_always_stays():
    """System and developer words, wherever they stand, and what was said last; it may still be too much."""
    late = said(Role.DEVELOPER, "now in French")
    messages = [SYSTEM, *ONE, late, *THREE]
    parted = fit(messages, Window(max_tokens=1), each(messages))
    assert list(parted.kept) == [SYSTEM, late, *THREE]
    assert not parted.fits
    assert fit(messages, Window(max_tokens=3), each(messages)).fits


def test_a_long_turn_loses_its_middle():
    """The question and the last round stay, so that an agent goes on with its task."""
    rounds = [message for number in range(5) for message in (called(str(number)), result(str(number)))]
    messages = [SYSTEM, said(Role.USER, "task"), *rounds]
    assert kept(Window(max_tokens=6), messages) == [SYSTEM, messages[1], *rounds[-4:]]
    assert kept(Window(max_tokens=1), messages) == [SYSTEM, messages[1], *rounds[-2:]]


def test_results_in_the_words_of_a_user():
    """Some callers send results with the user's role: no turn begins there."""
    messages = [*ONE, said(Role.USER, "u"), called("x"), result("x", Role.USER), said(Role.ASSISTANT, "a")]
    assert kept(Window(keep_turns=1), messages) == messages[2:]
    assert kept(Window(max_tokens=3), messages) == [messages[2], messages[5]]


def test_both_bounds():
    """The narrower one counts."""
    assert kept(Window(keep_turns=2, max_tokens=3)) == [SYSTEM, TWO[4], *THREE]
    assert kept(Window(keep_turns=1, max_tokens=9)) == [SYSTEM, *THREE]


MESSAGES = st.lists(
    st.one_of(
        st.sampled_from([SYSTEM, said(Role.DEVELOPER, "d"), said(Role.USER, "u"), said(Role.ASSISTANT, "a")]),
        st.sampled_from([called("x"), called("x", "y"), result("x"), result("y"), result("x", Role.USER)]),
    ),
    max_size=14,
)


@given(
    messages=MESSAGES,
    turns=st.one_of(st.none(), st.integers(1, 5)),
    most=st.one_of(st.none(), st.integers(0, 14)),
)
def test_any_conversation(messages, turns, most):
    """Order is kept, nothing is lost or doubled, calls and results stay together, the last word stays."""
    parted = fit(messages, Window(turns, most), each(messages))
    order = {id(message): [] for message in messages}
    for position, message in enumerate(messages):
        order[id(message)].append(position)
    assert sorted(map(id, (*parted.kept, *parted.dropped))) == sorted(map(id, messages))
    left = list(parted.kept)
    for message in messages:
        if left and left[0] is message:
            left.pop(0)
    assert not left, "kept is a subsequence"
    if messages:
        assert parted.kept[-1:] == (messages[-1],)
    for message in parted.dropped:
        assert message.role not in (Role.SYSTEM, Role.DEVELOPER)
    if most is not None and parted.fits:
        assert len(parted.kept) <= most
    if turns is not None and most is None:
        said_by_users = [m for m in messages if m.role is Role.USER and isinstance(m.parts[0].content, Text)]
        kept_of_users = [
            m for m in parted.kept if m.role is Role.USER and isinstance(m.parts[0].content, Text)
        ]
        assert len(kept_of_users) == min(turns, len(said_by_users))
    for before, after in pairwise(messages):
        paired = isinstance(before.parts[0].content, ToolCall) and isinstance(
            after.parts[0].content, ToolResult
        )
        if paired and messages.count(before) == messages.count(after) == 1:
            assert (before in parted.kept) == (after in parted.kept)
