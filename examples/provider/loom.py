"""The dialect of an invented provider, Loom, as an example of a whole one: `/weave` takes a pattern of what hands say,
and answers in lines of JSON or in one document. See docs/adding-a-provider.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Call,
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Generation,
    Media,
    Message,
    Opened,
    ProviderPart,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Usage,
    UsageReport,
)
from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.contract import Decoder
from pointsman_server.upstreams.provider import Provider, Settings
from pointsman_server.upstreams.translation.addresses import verbatim_part
from pointsman_server.upstreams.translation.bodies import put_field
from pointsman_server.upstreams.translation.chat_fields import parameters_of
from pointsman_server.upstreams.translation.decoding import AnswerDecoder, Place
from pointsman_server.upstreams.translation.documents import (
    as_list,
    as_object,
    as_text,
    json_text,
    loose_json,
    parse,
)
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    bounded_word,
    provider_error,
    reason_by_status,
    retry_after_s,
    seconds,
    whole_number,
)
from pointsman_server.upstreams.translation.lines import LineEvents
from pointsman_server.upstreams.translation.media import inline_base64
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.parts import PartNumbers, made_tool_id, result_texts
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import JSON, encoded, post
from pointsman_server.upstreams.translation.support import (
    SCALARS,
    hides_reasoning,
    takes_media,
    takes_provider_part,
    wire_fields,
)
from pointsman_server.upstreams.translation.turns import as_messages
from pointsman_server.upstreams.translation.verbatim import invalid, verbatim_object

_LINES = "application/jsonl"
PROFILE = Profile(
    provider="loom",
    dialect="loom",
    default_url="https://api.loom.example",
    fields={
        "generation.max_output_tokens": "settings.length",
        "generation.temperature": "settings.heat",
        "generation.stop_sequences": "settings.knots",
        "generation.seed": "settings.seed",
        # Taken by the reader: reasoning that is not wanted is not passed on.
        "generation.reasoning.include": "",
        "tools": "shuttles",
        "tool_choice.mode": "shuttle_use",
        "tool_choice.allowed_tools": "",
        "end_user_id": "asker",
    },
    max_stop_sequences=2,
    images_by_url=False,
    image_detail=False,
    named_tool_choice=False,
    speaker_names=False,
    answer_id_headers=("x-loom-id",),
)
_OWN = frozenset({"fabric", "pattern", "flow"})
"""The adapter's, whatever the profile; no caller's option replaces them."""
_FINISH: Mapping[str, FinishReason] = {
    "done": FinishReason.STOP,
    "knot": FinishReason.STOP,
    "cut": FinishReason.MAX_TOKENS,
    "shuttle": FinishReason.TOOL_CALLS,
    "veiled": FinishReason.CONTENT_FILTER,
}
_WORDS: Mapping[str, Reason] = {
    "crowded": Reason.UPSTREAM_OVERLOADED,
    "hasty": Reason.UPSTREAM_RATE_LIMITED,
    "stranger": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "too_long": Reason.CONTEXT_LENGTH_EXCEEDED,
    "torn": Reason.UPSTREAM_ERROR,
}
"""Its words for what went wrong."""


class LoomAdapter:
    """The dialect as one adapter."""

    def __init__(self, profile: Profile, settings: Settings) -> None:
        self._profile = profile
        self._url = f"{settings.base_url}/weave"
        self._limits = settings.limits

    def request(self, attempt: Attempt) -> HTTPRequest:
        """As the protocol says."""
        stream = self._profile.streams(stream=attempt.stream)
        body = _encode_body(attempt, self._profile, stream=stream)
        return post(self._url, attempt, self._profile, body, accept=_LINES if stream else JSON)

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """As the protocol says."""
        reader = LoomReader(attempt, self._profile, status=status, headers=headers)
        return AnswerDecoder(reader, self._limits, framing=LineEvents(self._limits.event_bytes))

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        said = _say(as_object(parse(body))) or Said()
        fault = UpstreamFault(
            http_status=status, request_id=answer_id(headers, self._profile.answer_id_headers)
        )
        return _map_error(said, status, headers, fault)


def _encode_body(attempt: Attempt, profile: Profile, *, stream: bool) -> bytes:
    call, model = attempt.call, attempt.target.model
    fields = wire_fields(call, profile)
    body: dict[str, Any] = {"fabric": model, "flow": stream}
    body["pattern"] = [*_map_messages(as_messages(call), profile, model)]
    if not body["pattern"]:
        raise invalid("conversation.messages", "hold nothing that this provider takes")
    _map_generation(call.generation, body, fields, profile)
    if call.tools and "tools" in fields:
        _map_tools(call, body, fields)
    if call.end_user_id and (wire := fields.get("end_user_id")):
        body[wire] = call.end_user_id
    if call.provider_options:
        add_fields(body, call, profile, fields, _OWN)
    return encoded(body)


_HANDS = {
    Role.SYSTEM: "guide",
    Role.DEVELOPER: "guide",
    Role.USER: "asker",
    Role.ASSISTANT: "weaver",
    Role.TOOL: "asker",
}


def _map_messages(messages: Sequence[Message], profile: Profile, model: str) -> Iterator[dict[str, Any]]:
    for position, message in enumerate(messages):
        says: list[Any] = []
        for number, part in enumerate(message.parts):
            path = f"conversation.messages[{position}].parts[{number}]"
            match content := part.content:
                case Text(text) | Refusal(text):
                    says.append({"words": text})
                case Media():
                    if not takes_media(content, profile):
                        raise invalid(path, "is not taken by this provider")
                    kind, data = inline_base64(content, f"{path}.{content.kind.value}")
                    says.append({"picture": {"kind": kind, "data": data}})
                case ToolCall():
                    shape = verbatim_object(
                        content.arguments_json or "{}", f"{path}.tool_call.arguments_json"
                    )
                    says.append({"shuttle": {"handle": content.id, "title": content.name, "shape": shape}})
                case ToolResult():
                    says.append(
                        {
                            "returned": {
                                "handle": content.tool_call_id,
                                "words": "".join(result_texts(content)),
                            }
                        }
                    )
                case ProviderPart(json=json) if takes_provider_part(part, profile, model):
                    says.append(verbatim_part(json, f"{path}.provider_part.json"))
                case Reasoning() | ProviderPart():
                    pass
                case _:
                    assert_never(content)
        if says:
            yield {"hand": _HANDS[message.role], "says": says}


def _map_generation(
    generation: Generation, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    for name in SCALARS:
        value = getattr(generation, name)
        if value is not None and (wire := fields.get(f"generation.{name}")):
            put_field(body, wire, value)
    if generation.stop_sequences and (wire := fields.get("generation.stop_sequences")):
        put_field(body, wire, generation.stop_sequences[: profile.max_stop_sequences])


def _map_tools(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    choice = call.tool_choice or ToolChoice()
    allowed = choice.allowed_tools if "tool_choice.allowed_tools" in fields else ()
    body[fields["tools"]] = [
        {"title": tool.name, "about": tool.description, "shape": parameters_of(tool, f"tools[{number}]")}
        for number, tool in enumerate(call.tools)
        if not allowed or tool.name in allowed
    ]
    if choice.mode in (ToolChoiceMode.NONE, ToolChoiceMode.REQUIRED) and (
        wire := fields.get("tool_choice.mode")
    ):
        body[wire] = "any" if choice.mode is ToolChoiceMode.REQUIRED else "none"
    elif choice.mode is ToolChoiceMode.NONE:
        del body[fields["tools"]]


class LoomReader:
    """One answer. Its end is the line that says so, or the document."""

    __slots__ = ("_attempt_id", "_calls", "_hidden", "_parts", "ended", "place")

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        self.place = Place(status, headers, answer_id(headers, profile.answer_id_headers))
        self.ended = False
        self._attempt_id = attempt.upstream_id
        self._hidden = hides_reasoning(attempt.call, profile)
        self._parts = PartNumbers()
        self._calls = 0

    @property
    def complete(self) -> bool:
        """Only the end ends an answer."""
        return self.ended

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """As the protocol says."""
        self.whole(event.data, events)

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says."""
        line = as_object(loose_json(data))
        if (said := _say(line)) is not None:
            raise _map_error(said, 0, self.place.headers, self.place.fault())
        if "cloth" in line:
            self._open(line, events)
            for piece in as_list(line["cloth"]):
                self._add(as_object(piece), events)
            self._end(line, events)
            return
        match line.get("at"):
            case "start":
                self._open(line, events)
            case "end":
                self._end(line, events)
            case str():
                self._add(line, events)
            case _:
                raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer is none that we know")

    def _open(self, line: Mapping[str, Any], events: list[Event]) -> None:
        self.place.response_id = bounded_word(line.get("id"))
        events.append(
            Opened(
                self.place.response_id,
                bounded_word(line.get("fabric")),
                upstream_request_id=self.place.request_id,
            )
        )

    def _add(self, piece: Mapping[str, Any], events: list[Event]) -> None:
        if title := as_text(piece.get("title")):
            number = self._calls
            self._calls += 1
            handle = as_text(piece.get("handle")) or made_tool_id(self._attempt_id, 0, number)
            part = self._parts.of(0, (DeltaKind.TOOL_CALL, number))
            shape = json_text(as_object(piece.get("shape")))
            events.append(Delta(0, part, DeltaKind.TOOL_CALL, shape, tool_id=handle, tool_name=title))
        for name, kind in (("musing", DeltaKind.REASONING), ("words", DeltaKind.TEXT)):
            text = as_text(piece.get(name))
            if text and not (self._hidden and kind is DeltaKind.REASONING):
                events.append(Delta(0, self._parts.of(0, kind), kind, text))

    def _end(self, line: Mapping[str, Any], events: list[Event]) -> None:
        self.ended = True
        if (usage := _map_usage(as_object(line.get("spent")))) is not None:
            events.append(UsageReport(usage))
        raw = bounded_word(line.get("why"))
        reason = FinishReason.TOOL_CALLS if self._calls else _FINISH.get(raw, FinishReason.OTHER)
        events.append(Finished(0, reason, raw=raw, stop_sequence=as_text(line.get("knot"))))


def _map_usage(spent: Mapping[str, Any]) -> Usage | None:
    inputs, outputs = whole_number(spent.get("in")), whole_number(spent.get("out"))
    if inputs is None and outputs is None:
        return None
    total = None if inputs is None or outputs is None else inputs + outputs
    return Usage(input_tokens=inputs, output_tokens=outputs, total_tokens=total)


def _say(document: Mapping[str, Any]) -> Said | None:
    snag = document.get("snag")
    if not isinstance(snag, dict):
        return None
    return Said(
        as_text(snag.get("words")), bounded_word(snag.get("kind")), retry_after_s=seconds(snag.get("pause"))
    )


def _map_error(said: Said, status: int, headers: Headers, upstream: UpstreamFault) -> ServiceError:
    told = 400 <= status < 600 or status == 0
    reason = _WORDS.get(said.code) or (reason_by_status(status) if status else Reason.UPSTREAM_ERROR)
    wait_s = said.retry_after_s if said.retry_after_s is not None else retry_after_s(headers)
    return provider_error(
        reason if told else Reason.UPSTREAM_BAD_RESPONSE, said, upstream, retry_after=wait_s
    )


LOOM = Provider(PROFILE, LoomAdapter)
