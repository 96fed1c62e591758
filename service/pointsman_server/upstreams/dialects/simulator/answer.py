"""What the simulator says: a call and how it is steered -> the tokens of an answer. Pure and deterministic."""

from __future__ import annotations

import hashlib
import itertools
import operator
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from pointsman_server.domain import (
    Call,
    Choice,
    Conversation,
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    JsonObject,
    JsonSchema,
    Prompt,
    ReasoningMode,
    Role,
    Text,
    Tool,
    ToolChoiceMode,
)
from pointsman_server.errors import Reason
from pointsman_server.upstreams.translation.verbatim import invalid

_OPTIONS = "provider_options[simulator].body_json"
_MAX_WORDS = 64
"""More of the user's words are not repeated."""
_SCANNED = 8192
_PIECE = 8
"""Characters of a token of JSON."""
_THOUGHTS = 4
_MAX_DEPTH = 32
_MARKER = re.compile(r"@tool(?::([A-Za-z0-9_.:-]+))?")

_Token = tuple[int, DeltaKind, str, str, str]
"""Part, kind, text, and with the first of a tool call its id and name."""
_PART = operator.itemgetter(0)

Piece = tuple[Event, ...]
"""What one token brings, of every candidate."""

_Wait = Annotated[float, msgspec.Meta(ge=0, le=600_000)]
_Pace = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class SteeredCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call to make, whatever the tools are."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class Steering(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one answer goes; None leaves it to the configuration."""

    first_token_ms: _Wait | None = None
    tokens_per_s: _Pace | None = None
    output_tokens: _Count | None = None
    fail: Reason | None = None
    hang: bool = False
    break_after: _Count | None = None
    tool_call: SteeredCall | None = None


@dataclass(frozen=True, slots=True)
class Simulated:
    """A whole answer, in the pieces that are sent."""

    pieces: Sequence[Piece]
    tokens: int


_STEER = msgspec.json.Decoder(Steering)
_ENCODE = msgspec.json.Encoder().encode


def steering(text: str) -> Steering:
    """A caller's controls. Raises ServiceError INVALID_REQUEST for what is none."""
    try:
        return _STEER.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise invalid(_OPTIONS, "does not hold the simulator's controls") from None


def answer(
    call: Call, *, tokens: int, tool_call: SteeredCall | None, attempt_id: str, joined: bool
) -> Simulated:
    """The answer to a call; `joined` makes one piece of it."""
    most = call.generation.max_output_tokens
    tracks = [
        _track(call, candidate, tokens=tokens, most=most, tool_call=tool_call, attempt_id=attempt_id)
        for candidate in range(call.generation.n or 1)
    ]
    count = sum(len(spoken) for spoken, _ in tracks)
    if joined:
        whole: list[Event] = []
        for candidate, (spoken, end) in enumerate(tracks):
            whole.extend(_delta(candidate, token) for token in _merge(spoken))
            whole.append(end)
        return Simulated((tuple(whole),), count)
    pieces: list[Piece] = []
    for number in range(max(1, *(len(spoken) for spoken, _ in tracks))):
        piece: list[Event] = []
        for candidate, (spoken, end) in enumerate(tracks):
            if number < len(spoken):
                piece.append(_delta(candidate, spoken[number]))
            if number == max(len(spoken), 1) - 1:
                piece.append(end)
        pieces.append(tuple(piece))
    return Simulated(pieces, count)


def count_input(call: Call) -> int:
    """Tokens of the input: for text, its blanks and one more."""
    match call.input:
        case Conversation(messages):
            contents = (part.content for message in messages for part in message.parts)
            return sum(content.text.count(" ") + 1 for content in contents if isinstance(content, Text))
        case Prompt(text):
            return text.count(" ") + 1
        case _:
            return len(call.input.ids)


def _delta(candidate: int, token: _Token) -> Delta:
    part, kind, text, tool_id, tool_name = token
    return Delta(candidate, part, kind, text, tool_id=tool_id, tool_name=tool_name)


def _track(
    call: Call,
    candidate: int,
    *,
    tokens: int,
    most: int | None,
    tool_call: SteeredCall | None,
    attempt_id: str,
) -> tuple[list[_Token], Finished]:
    """The tokens of one candidate and how it ends."""
    spoken = list(_thoughts(call))
    first = 1 if spoken else 0
    calls = [(tool_call.name, bytes(tool_call.arguments))] if tool_call is not None else list(_calls(call))
    stop = ""
    if calls:
        for number, (name, arguments) in enumerate(calls):
            tool_id = _made_id(attempt_id, candidate, number)
            spoken.extend(_call_tokens(first + number, tool_id, name, arguments.decode()))
    else:
        room = tokens if most is None else min(tokens, most + 1)
        texts, stop = _stopped(_texts(call, candidate, room), call.generation.stop_sequences)
        spoken.extend((first, DeltaKind.TEXT, text, "", "") for text in texts)
    if most is not None and len(spoken) > most:
        return spoken[:most], Finished(candidate, FinishReason.MAX_TOKENS, "length")
    if calls:
        return spoken, Finished(candidate, FinishReason.TOOL_CALLS, "tool_calls")
    return spoken, Finished(candidate, FinishReason.STOP, "stop", stop_sequence=stop)


def _thoughts(call: Call) -> Iterator[_Token]:
    config = call.generation.reasoning
    if config is None or config.include is False or config.mode is ReasoningMode.DISABLED:
        return
    if config.mode is None and config.effort is None and config.budget_tokens is None:
        return
    count = _THOUGHTS if config.budget_tokens is None else min(_THOUGHTS, config.budget_tokens)
    for number in range(count):
        yield 0, DeltaKind.REASONING, f"{' ' if number else ''}thought:{number}", "", ""


def _texts(call: Call, candidate: int, tokens: int) -> list[str]:
    match call.output_format:
        case JsonSchema(schema_json=schema):
            return _cut(_json(instance(msgspec.json.decode(schema))))
        case JsonObject():
            return _cut('{"simulated":true}')
        case Choice(values):
            return [values[0]]
        case _:
            words = _last_words(call)[:_SCANNED].split()[:_MAX_WORDS] or ["token"]
            size = len(words)
            tail = [f" {words[(k + candidate) % size]}:{k}" for k in range(1, tokens)]
            return [f"{words[candidate % size]}:0", *tail] if tokens else []


def _stopped(texts: list[str], sequences: Sequence[str]) -> tuple[list[str], str]:
    """The text up to the first stop sequence, which is no part of it."""
    if not sequences:
        return texts, ""
    text = "".join(texts)
    found = [(at, sequence) for sequence in sequences if (at := text.find(sequence)) >= 0]
    if not found:
        return texts, ""
    at, sequence = min(found)
    kept: list[str] = []
    for piece in texts:
        if at <= 0:
            break
        kept.append(piece[:at])
        at -= len(piece)
    return kept, sequence


def _calls(call: Call) -> Iterator[tuple[str, bytes]]:
    choice = call.tool_choice
    mode = choice.mode if choice is not None else None
    allowed = choice.allowed_tools if choice is not None else ()
    tools = {tool.name: tool for tool in call.tools if not allowed or tool.name in allowed}
    if not tools or mode is ToolChoiceMode.NONE:
        return
    first = next(iter(tools.values()))
    asked = _MARKER.findall(_last_words(call)[:_SCANNED]) if _user_spoke_last(call) else []
    wanted = [tools.get(name, first) for name in asked]
    if not wanted and mode is ToolChoiceMode.REQUIRED:
        wanted = [first]
    if choice is not None and choice.parallel_calls is False:
        wanted = wanted[:1]
    for tool in wanted:
        yield tool.name, _arguments(tool)


def _arguments(tool: Tool) -> bytes:
    if not tool.parameters_json_schema:
        return b"{}"
    made = instance(msgspec.json.decode(tool.parameters_json_schema))
    return _json(made if isinstance(made, dict) else {}).encode()


def _call_tokens(part: int, tool_id: str, name: str, arguments: str) -> Iterator[_Token]:
    yield part, DeltaKind.TOOL_CALL, "", tool_id, name
    for text in _cut(arguments):
        yield part, DeltaKind.TOOL_CALL, text, "", ""


def _merge(spoken: Sequence[_Token]) -> Iterator[_Token]:
    """Neighbours of one part as one token."""
    for _, group in itertools.groupby(spoken, key=_PART):
        tokens = list(group)
        part, kind, _, tool_id, tool_name = tokens[0]
        yield part, kind, "".join(token[2] for token in tokens), tool_id, tool_name


def _last_words(call: Call) -> str:
    match call.input:
        case Conversation(messages):
            for message in reversed(messages):
                if message.role is Role.USER:
                    return " ".join(
                        part.content.text for part in message.parts if isinstance(part.content, Text)
                    )
            return ""
        case Prompt(text):
            return text
        case _:
            return ""


def _user_spoke_last(call: Call) -> bool:
    """Markers count once: not again when the tools' results come back."""
    if not isinstance(call.input, Conversation):
        return True
    messages = call.input.messages
    return bool(messages) and messages[-1].role is Role.USER


def _made_id(attempt_id: str, candidate: int, number: int) -> str:
    seed = f"{attempt_id}/{candidate}/{number}".encode(errors="replace")
    return f"call_{hashlib.blake2s(seed, digest_size=8).hexdigest()}"


def _cut(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def _json(value: object) -> str:
    return _ENCODE(value).decode()


def instance(schema: Any, root: Any = None, depth: int = 0) -> object:  # noqa: ANN401 - any JSON
    """A value as small as a simple schema allows; of what it does not know (patterns, formats) it takes no notice."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    if isinstance(schema.get("$ref"), str):
        return instance(_resolve(schema["$ref"], root), root, depth + 1)
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list) and schema[word]:
            return instance(schema[word][0], root, depth + 1)
    if isinstance(schema.get("allOf"), list):
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            merged = _overlay(merged, part)
        return instance(merged, root, depth + 1)
    return _typed(schema, root, depth)


def _typed(schema: dict[str, Any], root: object, depth: int) -> object:
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    match kind:
        case "object":
            properties, required = schema.get("properties"), schema.get("required")
            known = properties if isinstance(properties, dict) else {}
            names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
            return {name: instance(known.get(name), root, depth + 1) for name in names}
        case "array":
            return [instance(schema.get("items"), root, depth + 1)] * min(_bound(schema, "minItems"), _PIECE)
        case "string":
            return "x" * min(_bound(schema, "minLength"), 1024)
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return False
        case _:
            return None


def _number(schema: dict[str, Any]) -> int:
    least = max(_bound(schema, "minimum", below=True), _bound(schema, "exclusiveMinimum", below=True) + 1, 0)
    most = schema.get("maximum")
    return min(least, int(most)) if isinstance(most, int | float) and abs(most) < 2**53 else least


def _bound(schema: dict[str, Any], name: str, *, below: bool = False) -> int:
    value = schema.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**53:
        return -1 if below else 0
    return int(-(-value // 1)) if below else max(0, int(value))


def _resolve(reference: str, root: object) -> object:
    """A reference into the same document; None for any other."""
    place = root
    for step in reference.removeprefix("#").split("/")[1:]:
        place = place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, dict) else None
    return place if reference.startswith("#") else None


def _overlay(below: dict[str, Any], above: object) -> dict[str, Any]:
    if not isinstance(above, dict):
        return below
    merged = {**below, **above}
    for word in ("properties", "required"):
        one, two = below.get(word), above.get(word)
        if isinstance(one, dict) and isinstance(two, dict):
            merged[word] = {**one, **two}
        elif isinstance(one, list) and isinstance(two, list):
            merged[word] = [*one, *two]
    return merged
