"""Chat templates: what they may do, what they may not, and what a fault in one says."""

from __future__ import annotations

import pytest

from pointsman_server.context import ChatTemplate
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.translation.templates import (
    MAX_PROMPT,
    MAX_SOURCE,
    render,
    template_fault,
)

HI = [{"role": "user", "content": "hi"}]
NEW_YEAR_S = 1_767_225_600.0
CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>' + '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
"""


def filled(source: str, messages: list[dict[str, object]] | None = None, **keys: object) -> str:
    tools, continues = keys.pop("tools", None), keys.pop("continues", False)
    return render(
        ChatTemplate(source, **keys), messages or HI, tools=tools, continues=continues, wall_s=NEW_YEAR_S
    )


def refusal(source: str, messages: list[dict[str, object]] | None = None) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        filled(source, messages)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert [fault.path for fault in caught.value.fields] == ["conversation"]
    return caught.value


def test_a_template_writes_turns_as_its_model_wants_them():
    """Loops, filters and the mark for the model's own turn."""
    turns = [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "hi"}]
    assert filled(CHATML, turns) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_words_of_hugging_face_are_there():
    """Tokens, variables, tools, the day in UTC, and JSON that is not escaped for HTML."""
    source = "{{ bos_token }}{{ tools | tojson }}{{ strftime_now('%d %b %Y') }}{{ thinking }}{{ eos_token }}"
    found = filled(
        source, bos_token="<s>", eos_token="</s>", variables=(("thinking", False),), tools=[{"a": "<é>"}]
    )
    assert found == '<s>[{"a": "<é>"}]01 Jan 2026False</s>'


def test_json_may_be_laid_out():
    """Indents, separators and the order of keys."""
    short = "{{ {'b': 1, 'a': 2} | tojson(separators=(',', ':'), sort_keys=true) }}"
    assert filled(f"{{{{ messages[0] | tojson(indent=1) }}}}{short}") == (
        '{\n "role": "user",\n "content": "hi"\n}{"a":2,"b":1}'
    )


def test_statements_of_loops_and_training_are_known():
    """`break`, `continue`, `namespace`, and `generation`, which leaves its body as it is."""
    source = (
        "{% set seen = namespace(n=0) %}{% for n in range(9) %}{% if n == 1 %}{% continue %}{% endif %}"
        "{% if n > 3 %}{% break %}{% endif %}{% set seen.n = seen.n + n %}{% endfor %}"
        "{% generation %}{{ seen.n }}{% endgeneration %}"
    )
    assert filled(source) == "5"


def test_what_is_not_there_is_empty():
    """As Hugging Face's templates rely on: a missing key is false and prints as nothing."""
    assert filled("{{ messages[0].name }}{% if messages[0].tool_calls %}x{% endif %}|") == "|"


def test_blocks_leave_no_lines_of_their_own():
    """The line break behind a block and the blanks ahead of it are dropped."""
    assert (
        filled("{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}")
        == "hi\n"
    )


def test_a_last_turn_of_the_assistant_is_left_open():
    """What the template puts behind it is cut off, for the model goes on from there."""
    for said in ("Well, ", "e", "end|>", ""):
        turns = [*HI, {"role": "assistant", "content": said}]
        assert filled(CHATML, turns, continues=True).endswith(f"<|im_start|>assistant\n{said}")
    told = "{{ add_generation_prompt }} {{ continue_final_message }} {{ messages[1].content }}|"
    assert filled(told, turns, continues=True) == "False True "


def test_a_continuation_that_the_template_leaves_out_changes_nothing():
    """Where the last turn is not found again, the prompt stays whole."""
    assert filled("fixed", [*HI, {"role": "assistant", "content": "x"}], continues=True) == "fixed"


def test_a_template_may_refuse_a_conversation_in_its_own_words():
    """They stand in the template, so they quote nobody."""
    error = refusal("{{ raise_exception('Roles must alternate') }}")
    assert error.detail == "conversation is refused by the model's chat template: Roles must alternate"


@pytest.mark.parametrize(
    "source",
    [
        "\n{{ raise_exception('bad: ' + messages[0].content) }}",
        "\n{{ messages[0].content.nothing.at_all }}",
        "\n{{ messages[0].content + 1 }}",
        "\n{{ 1 / 0 }}",
        "\n{{ messages[0].content | int(base=99) + {}['x'] }}",
        "\n{{ range(200000) | length }}",
        "\n{{ messages[0]['content'] * 2000000 }}",
        "\n{{ messages * 2000000 }}",
        "\n{{ 10 ** 1000000 }}",
        "\n{{ undefined_function() }}",
        "\n{{ messages.append(1) }}",
        "\n{{ messages[0].update(role='x') }}",
        "\n{% include 'other' %}",
        "\n{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    ],
)  # fmt: skip
def test_any_other_failure_tells_its_line_and_quotes_nothing(source):
    """The caller's words stay out of it, whatever the template does with them."""
    error = refusal(source, [{"role": "user", "content": "secret words"}])
    assert "secret" not in error.detail
    assert error.detail.endswith("does not fit the model's chat template (line 2)")


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__.__mro__[1].__subclasses__()",
        "self.__init__.__globals__",
        "cycler.__init__.__globals__.os",
        "lipsum.__globals__['os'].popen('id').read()",
    ],
)
def test_nothing_leads_out_of_the_sandbox(expression):
    """Classes, globals and code are refused."""
    assert "does not fit" in refusal(f"{{{{ {expression} }}}}").detail


@pytest.mark.parametrize(
    "expression",
    [
        "messages.__class__",
        "raise_exception.__globals__",
        "strftime_now.__closure__",
        "'%s' | attr('__class__')",
        "'{0.__class__}'.format(messages)",
        "messages | map(attribute='__class__') | join",
        "self.__init__",
    ],
)
def test_what_is_out_of_reach_is_as_good_as_not_there(expression):
    """Printing it prints nothing."""
    assert filled(f"{{{{ {expression} }}}}") == ""


def test_a_prompt_has_a_largest_size():
    """A template that repeats what it was given without end is stopped."""
    text = "x" * 400_000
    source = "{% for n in range(100000) %}{{ messages[0].content }}{% endfor %}"
    error = refusal(source, [{"role": "user", "content": text}])
    assert str(MAX_PROMPT) in error.detail


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{% for m in messages %}\n{{ m }}\n{% endif %}", "line 3 of the template"),
        ("\n{{ a b }}", "line 2 of the template"),
        ("{{ x | no_such_filter }}", "line 1 of the template: No filter named 'no_such_filter'."),
        ("{% for m in messages %}", "line 1 of the template"),
        ("{% generation %}", "line 1 of the template"),
        ("x" * (MAX_SOURCE + 1), f"has more than {MAX_SOURCE} characters"),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}", "the template cannot be compiled"),
    ],
)
def test_a_template_that_does_not_compile_is_told_with_its_line(source, says):
    """Before it is put in force, never at the first call."""
    assert template_fault(source).startswith(says)


def test_a_good_template_has_no_fault():
    """And so have all that the tests above fill in."""
    assert template_fault(CHATML) == ""
