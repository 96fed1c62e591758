"""Chat templates: Jinja in a sandbox, with the words that templates of Hugging Face's models use. Text in, text out.

A template is written by whoever configures the service; what it is given comes from callers. So it runs without a
way out of the sandbox, without files or includes, and within bounds of size; nothing here waits, or reads a clock.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import jinja2
import jinja2.exceptions
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.runtime
import jinja2.sandbox

from pointsman_server.context import ChatTemplate
from pointsman_server.errors import ServiceError
from pointsman_server.upstreams.translation.faults import bounded_message
from pointsman_server.upstreams.translation.verbatim import invalid

MAX_SOURCE = 256 * 1024
"""Characters of a template."""
MAX_PROMPT = 32 * 1024 * 1024
"""Characters of what it may become."""
MAX_VALUE = 1024 * 1024
"""Items or characters that `*` may make of one value inside a template."""
FIELD = "conversation"
"""What of the caller's request is at fault when a template cannot be filled in."""

_NAME = "<template>"
_MARK = "\ue000continue\ue000"
"""Of characters that no text holds."""
_MAX_FORMAT = 64
_FAILURES = (
    jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What filling in a template raises: its own errors, and those of the values that it handles wrongly."""


class _Raised(jinja2.TemplateError):
    """The template called `raise_exception`."""


def template_fault(source: str) -> str:
    """What keeps a template from being used, with its line; empty when nothing does."""
    if len(source) > MAX_SOURCE:
        return f"has more than {MAX_SOURCE} characters"
    try:
        _compiled(source)
    except jinja2.TemplateSyntaxError as error:
        return f"line {error.lineno} of the template: {bounded_message(error.message or 'syntax error')}"
    except (jinja2.TemplateError, SyntaxError, ValueError, RecursionError):
        # The compiler's own: names of Python where none may be, nesting without end.
        return "the template cannot be compiled"
    return ""


def render(
    template: ChatTemplate,
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: Sequence[Mapping[str, Any]] | None,
    continues: bool,
    wall_s: float,
) -> str:
    """The prompt. `continues`: the last message is left open for the model to go on with.

    `wall_s`, in seconds since the epoch, is the day that `strftime_now` tells (in UTC).
    Raises ServiceError INVALID_REQUEST for a conversation that the template refuses or cannot take.
    """
    values = {
        **dict(template.variables),
        "messages": _marked(messages) if continues else messages,
        "tools": tools,
        "documents": None,
        "add_generation_prompt": not continues,
        "continue_final_message": continues,
        "bos_token": template.bos_token,
        "eos_token": template.eos_token,
        "strftime_now": _strftime(wall_s),
    }
    try:
        prompt = _joined(_compiled(template.source).generate(values))
    except _FAILURES as error:
        raise _refused(error, template.source) from error
    said, mark, _ = prompt.rpartition(_MARK)
    return said if mark else prompt


def _joined(pieces: Iterator[str]) -> str:
    kept, size = [], 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size > MAX_PROMPT:
            raise invalid(FIELD, f"becomes more than {MAX_PROMPT} characters in the model's chat template")
    return "".join(kept)


def _marked(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """With a mark behind the last words, which tells them from equal ones that the template itself writes."""
    last = messages[-1]
    return [*messages[:-1], {**last, "content": f"{last['content']}{_MARK}"}]


def _refused(error: BaseException, source: str) -> ServiceError:
    """The words of `raise_exception` help the caller; they are passed on where the template holds them as they are.

    Anything else that an error says may quote the conversation.
    """
    said = str(error)
    if isinstance(error, _Raised) and said and said in source:
        return invalid(FIELD, f"is refused by the model's chat template: {bounded_message(said)}")
    return invalid(FIELD, f"does not fit the model's chat template (line {_line(error.__traceback__)})")


def _line(trace: TracebackType | None) -> int:
    """The template's innermost line of a traceback; 0 where there is none."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


class _GenerationBlock(jinja2.ext.Extension):
    """`{% generation %}`, which marks the assistant's words for training, changes nothing of a prompt."""

    tags: set[str] = {"generation"}  # noqa: RUF012 -- declared so by its base

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        """The body alone."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """No attribute that leads out, nothing that changes what it is given, and no value that grows without end."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 -- any values of a template
        """Refuses what would make one value too large."""
        if operator == "**" and not (abs(left) <= MAX_VALUE and abs(right) <= 64):
            raise jinja2.exceptions.SecurityError("a power is too large")
        if operator == "*":
            for sized, times in ((left, right), (right, left)):
                if isinstance(sized, str | list | tuple) and len(sized) * times > MAX_VALUE:
                    raise jinja2.exceptions.SecurityError("a repetition is too large")
        return super().call_binop(context, operator, left, right)


def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    """As the templates of Hugging Face's tokenizers expect it: https://huggingface.co/docs/transformers/chat_templating"""
    environment = _Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    return environment


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Not Jinja's own, which escapes what HTML would."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: object = "") -> None:
    raise _Raised(str(message))


def _strftime(wall_s: float) -> Callable[[str], str]:
    def strftime_now(form: str) -> str:
        return dt.datetime.fromtimestamp(wall_s, dt.UTC).strftime(str(form)[:_MAX_FORMAT])

    return strftime_now


_ENVIRONMENT = _environment()


@functools.lru_cache(maxsize=1024)
def _compiled(source: str) -> jinja2.Template:
    return _ENVIRONMENT.from_string(source)
