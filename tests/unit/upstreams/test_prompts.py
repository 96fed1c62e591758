"""Calls -> the plain text of servers that know no messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pointsman_server.context import Attempt, ChatTemplate, Target
from pointsman_server.domain import (
    Call,
    Media,
    MediaKind,
    Part,
    Prompt,
    Reasoning,
    Refusal,
    Role,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.prompts import prompt_text
from tests.unit.upstreams.calls import asked, said

PLAIN = Profile("plain", "plain", "", fields={}, prompts=True)
WITH_TOOLS = replace(PLAIN, fields={"tools": ""})
DUMP = ChatTemplate("{{ messages | tojson }}{{ tools | tojson }}")


def prompt(call: Call, template: ChatTemplate | None = None, profile: Profile = PLAIN) -> str:
    target = Target("backend", "plain", "m", template)
    return prompt_text(Attempt(call, target, 1, False, "request-1.1"), profile)


def spoken(*contents, name: str = ""):
    return said(*contents, role=Role.ASSISTANT, name=name)


def result(text: str = "8 C", *, name: str = "", call_id: str = "c1", is_error: bool = False):
    parts = (Part(Text(text)),) if text else ()
    return said(ToolResult(call_id, name, parts, is_error), role=Role.TOOL)


CALL = ToolCall("c1", "weather", '{"city":"Oulu"}')


def test_a_prompt_goes_out_as_it_is():
    """No template touches what the caller wrote as text."""
    assert prompt(Call("m", Prompt("<s>as {{ it }} is\n")), DUMP) == "<s>as {{ it }} is\n"


def test_tokens_are_no_text():
    """The field is named."""
    with pytest.raises(ServiceError) as caught:
        prompt(Call("m", TokenIds((1, 2))))
    assert (caught.value.reason, caught.value.fields[0].path) == (Reason.INVALID_REQUEST, "token_ids")


def test_without_a_template_one_text_of_a_user_stays_itself():
    """So that whoever writes the model's own marks into it can."""
    assert prompt(asked("[INST] Name a fish. [/INST]\n")) == "[INST] Name a fish. [/INST]\n"


def test_without_a_template_a_conversation_is_a_transcript():
    """It ends where the assistant is to speak."""
    call = asked(said("Be brief.", role=Role.SYSTEM), "hi", spoken("Hello."), "and now?")
    assert prompt(call) == "Be brief.\n\nUser: hi\nAssistant: Hello.\nUser: and now?\nAssistant:"


def test_without_a_template_the_assistants_last_words_are_continued():
    """The prompt ends with them."""
    assert prompt(asked("hi", spoken("Well,"))) == "User: hi\nAssistant: Well,"


def test_without_a_template_calls_and_results_are_told():
    """With the tool's name, which the result itself need not hold."""
    call = asked(
        "weather?",
        spoken("Let me look.", CALL, ToolCall("c2", "time", "")),
        result(),
        result("9", call_id="c2"),
    )
    assert prompt(call) == (
        'User: weather?\nAssistant: Let me look.\nCall weather: {"city": "Oulu"}\nCall time: {}\n'
        "Tool weather: 8 C\nTool time: 9\nAssistant:"
    )


def test_a_template_sees_roles_texts_and_names():
    """Several texts of a turn are lines; a developer is the system, unless the profile knows the role."""
    call = asked(said("Be", "brief.", role=Role.DEVELOPER), said("hi", name="ann"))
    users = '{"role": "user", "content": "hi", "name": "ann"}]null'
    assert prompt(call, DUMP) == '[{"role": "system", "content": "Be\\nbrief."}, ' + users
    assert prompt(call, DUMP, replace(PLAIN, developer_role=True)).startswith('[{"role": "developer"')


def test_a_template_sees_calls_as_objects_and_results_as_turns():
    """The arguments are decoded; each result stands alone, ahead of what else its turn says."""
    call = asked("q", spoken(CALL), said(ToolResult("c1", "", (Part(Text("8 C")),)), "thanks"))
    assert prompt(call, ChatTemplate("{{ messages[1:] | tojson }}")) == (
        '[{"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "type": "function", '
        '"function": {"name": "weather", "arguments": {"city": "Oulu"}}}]}, '
        '{"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "8 C"}, '
        '{"role": "user", "content": "thanks"}]'
    )


def test_arguments_that_are_no_json_stay_text():
    """A history may hold what a model once got wrong."""
    call = asked("q", spoken(ToolCall("c1", "f", "{oops")), result())
    template = ChatTemplate("{{ messages[1].tool_calls[0].function.arguments }}")
    assert prompt(call, template) == "{oops"


@pytest.mark.parametrize(
    ("text", "seen"),
    [("no city", "Error: no city"), ("Error: x", "Error: x"), ("", "Error: the tool failed")],
)
def test_a_failed_tool_says_so(text, seen):
    """In words, for a template has no other place for it."""
    call = asked("q", spoken(CALL), result(text, is_error=True))
    assert prompt(call, ChatTemplate("{{ messages[2].content }}")) == seen


def test_a_refusal_is_text_and_earlier_reasoning_is_left_out():
    """As the profile says that it is."""
    call = asked("q", spoken(Reasoning("hm"), Refusal("I will not.")), "why?")
    assert prompt(call, ChatTemplate("{{ messages[1].content }}")) == "I will not."


def test_tools_are_there_for_profiles_that_take_them():
    """As OpenAI's API and templates know them, and none where none may be called."""
    tools = (Tool("a", "does a", '{"type":"object"}'), Tool("b"))
    template = ChatTemplate("{{ tools | tojson }}")
    a = '{"type": "function", "function": {"name": "a", "description": "does a", "parameters": {"type": "object"}}}'
    b = (
        '{"type": "function", "function": {"name": "b", "description": "", '
        '"parameters": {"type": "object", "properties": {}}}}'
    )
    call = asked("q", tools=tools)
    assert prompt(call, template) == "null"
    assert prompt(call, template, WITH_TOOLS) == f"[{a}, {b}]"
    only_b = ToolChoice(ToolChoiceMode.AUTO, ("b",))
    assert prompt(replace(call, tool_choice=only_b), template, WITH_TOOLS) == f"[{b}]"
    none = ToolChoice(ToolChoiceMode.NONE)
    assert prompt(replace(call, tool_choice=none), template, WITH_TOOLS) == "null"


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (asked(said("look", Media(MediaKind.IMAGE, url="https://a"))), "conversation.messages[0].parts[1].image"),
        (asked(spoken(Reasoning("hm"))), "conversation.messages"),
        (asked("q", tools=(Tool("a", "", "[]"),)), "tools[0].parameters_json_schema"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused_with_its_field(call, path):
    """Never left out in silence."""
    with pytest.raises(ServiceError) as caught:
        prompt(call, profile=WITH_TOOLS)
    assert (caught.value.reason, caught.value.fields[0].path) == (Reason.INVALID_REQUEST, path)
