"""Messages -> turns of two speakers."""

from __future__ import annotations

from pointsman_server.domain import Part, Role, Text, ToolCall, ToolResult
from pointsman_server.upstreams.translation.turns import system_parts, turns_of
from tests.unit.upstreams.calls import said

CALL = said("look", ToolCall("1", "a", "{}"), role=Role.ASSISTANT)


def result(number):
    return said(ToolResult(number, "a", (Part(Text("x")),)), role=Role.TOOL)


def shape(*messages, strict=False):
    """Who speaks, and where in the request what they say stands."""
    places = "conversation.messages"
    return [
        (turn.assistant, [path.removeprefix(places).replace(".parts", "") for path, _ in turn.parts])
        for turn in turns_of(messages, strict=strict)
    ]


def test_the_system_stands_apart():
    """Wherever it speaks; a turn is not cut in two by it."""
    messages = (said("a", role=Role.SYSTEM), CALL, result("1"), said("b", role=Role.DEVELOPER), result("2"))
    assert [path for path, _ in system_parts(messages)] == [
        "conversation.messages[0].parts[0]", "conversation.messages[3].parts[0]",
    ]  # fmt: skip
    assert shape(*messages) == [(True, ["[1][0]", "[1][1]"]), (False, ["[2][0]", "[4][0]"])]


def test_results_are_one_turn():
    """With the results first, in their order, and what else the user says behind them in its own."""
    later = said("also", ToolResult("3", "a", ()), "so", role=Role.USER)
    assert shape(said("hi"), CALL, said("wait"), result("1"), result("2"), later) == [
        (False, ["[0][0]"]),
        (True, ["[1][0]", "[1][1]"]),
        (False, ["[3][0]", "[4][0]", "[5][1]", "[2][0]", "[5][0]", "[5][2]"]),
    ]


def test_other_turns_of_one_speaker():
    """Stay apart, unless the wire demands that the speakers take turns."""
    messages = (said("a"), said("b"), CALL, said("c", role=Role.ASSISTANT))
    assert len(turns_of(messages, strict=False)) == 4
    assert shape(*messages, strict=True) == [
        (False, ["[0][0]", "[1][0]"]), (True, ["[2][0]", "[2][1]", "[3][0]"]),
    ]  # fmt: skip
