from __future__ import annotations

from dataclasses import replace

import pytest

from pointsman_server.domain import (
    Call,
    Conversation,
    Generation,
    Media,
    MediaKind,
    Message,
    Part,
    Prompt,
    ProviderPart,
    Reasoning,
    Refusal,
    Role,
    Text,
    TokenIds,
    ToolCall,
    ToolResult,
)
from pointsman_server.routing.load import estimated_tokens


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        (Prompt("x" * 400), 100),
        (TokenIds((1, 2, 3)), 3),
        (Text("x" * 40), 11),
        (Reasoning("x" * 40), 11),
        (Refusal("x" * 40), 11),
        (ProviderPart("d", "x" * 40), 11),
        (ToolCall("i", "n", "x" * 40), 11),
        (ToolResult("i", "n", (Part(Text("x" * 40)), Part(Text("x" * 40)))), 23),
        (Media(MediaKind.IMAGE, url="u"), 512),
    ],
)
def test_input(given, tokens):
    """Four characters count as a token, a picture as many; nothing that a call may hold is overlooked."""
    whole = (
        given if isinstance(given, Prompt | TokenIds) else Conversation((Message(Role.USER, (Part(given),)),))
    )
    assert estimated_tokens(Call("m", whole)) == tokens + 256


def test_output():
    """What the call allows counts, for each candidate."""
    call = Call("m", Prompt(""), Generation(max_output_tokens=10))
    assert estimated_tokens(call) == 10
    assert estimated_tokens(replace(call, generation=Generation(max_output_tokens=10, n=3))) == 30
