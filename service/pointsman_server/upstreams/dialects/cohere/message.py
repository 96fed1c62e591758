"""The message of one answer, whole or in events -> parts. Indexes on the wire are labels: they may begin anywhere."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import Citation, Delta, DeltaKind, Event, ReasoningKind, TokenLogprob
from pointsman_server.upstreams.translation.documents import as_list, as_object, as_text, log_probability
from pointsman_server.upstreams.translation.faults import bounded_word, whole_number
from pointsman_server.upstreams.translation.parts import PartNumbers, made_tool_id
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import hides_reasoning

_MOST = 2**31 - 1
_PLAN = "plan"
_CITED = {"TEXT_CONTENT": DeltaKind.TEXT, "THINKING_CONTENT": DeltaKind.REASONING}


class AnswerMessage:
    """What was told of it so far."""

    __slots__ = ("_calls", "_hidden", "_id", "_kinds", "_parts", "_text")

    def __init__(self, attempt: Attempt, profile: Profile) -> None:
        self._id = attempt.upstream_id
        self._hidden = hides_reasoning(attempt.call, profile)
        self._parts = PartNumbers()
        self._kinds: dict[Hashable, DeltaKind] = {}
        self._calls: dict[Hashable, int] = {}
        self._text: Hashable = None

    @property
    def called(self) -> bool:
        """Whether a tool was called."""
        return bool(self._calls)

    def add(self, kind: str, document: dict[str, Any], events: list[Event]) -> None:
        """One event; one that is not known says nothing."""
        label, message = bounded_word(document.get("index")), document["message"]
        match kind:
            case "content-start" | "content-delta":
                logprobs = tuple(_map_logprobs(document.get("logprobs")))
                for content in _several(message.get("content")):
                    events.extend(self._content(label, content, logprobs))
                    logprobs = ()
            case "tool-plan-delta":
                events.extend(self._plan(message.get("tool_plan")))
            case "tool-call-start" | "tool-call-delta":
                for call in _several(message.get("tool_calls")):
                    events.extend(self._call(label, call))
            case "citation-start":
                for citation in _several(message.get("citations")):
                    events.extend(self._cite(citation))
            case _:
                pass

    def whole(self, message: dict[str, Any], logprobs: object, events: list[Event]) -> None:
        """The whole of it: the plan stands ahead of the content, the calls behind."""
        events.extend(self._plan(message.get("tool_plan")))
        probabilities = tuple(token for chunk in as_list(logprobs) for token in _map_logprobs(chunk))
        content = message.get("content")
        pieces = [{"text": content}] if isinstance(content, str) else as_list(content)
        for position, piece in enumerate(pieces):
            events.extend(self._content(str(position), as_object(piece), ()))
        for position, call in enumerate(as_list(message.get("tool_calls"))):
            events.extend(self._call(str(position), as_object(call)))
        for citation in as_list(message.get("citations")):
            events.extend(self._cite(as_object(citation)))
        if probabilities:
            events.append(Delta(0, self._text_part(), DeltaKind.TEXT, logprobs=probabilities))

    def _content(
        self, label: str, content: dict[str, Any], logprobs: tuple[TokenLogprob, ...]
    ) -> Iterator[Delta]:
        """A piece of a text or of thoughts; which of them it is, it tells itself."""
        for kind, name in ((DeltaKind.REASONING, "thinking"), (DeltaKind.TEXT, "text")):
            piece = as_text(content.get(name))
            if kind is DeltaKind.REASONING and self._hidden:
                continue
            if not piece and not (logprobs and kind is DeltaKind.TEXT):
                continue
            key = label, kind
            if kind is DeltaKind.TEXT:
                self._text = key
            self._kinds[key] = kind
            thought = ReasoningKind.THOUGHT if kind is DeltaKind.REASONING else None
            yield Delta(0, self._parts.of(0, key), kind, piece, reasoning_kind=thought, logprobs=logprobs)
            logprobs = ()

    def _plan(self, text: object) -> Iterator[Delta]:
        """What the model means to do with its tools is reasoning of a kind of its own."""
        if (piece := as_text(text)) and not self._hidden:
            self._kinds[_PLAN] = DeltaKind.REASONING
            number = self._parts.of(0, _PLAN)
            yield Delta(0, number, DeltaKind.REASONING, piece, reasoning_kind=ReasoningKind.PLAN)

    def _call(self, label: str, call: dict[str, Any]) -> Iterator[Delta]:
        """A call's name and id come with its first piece."""
        function, tool_id, name = as_object(call.get("function")), "", ""
        number = self._parts.of(0, (label, DeltaKind.TOOL_CALL))
        if label not in self._calls:
            tool_id = as_text(call.get("id")) or made_tool_id(self._id, 0, len(self._calls))
            name = as_text(function.get("name"))
            self._calls[label] = number
        arguments = as_text(function.get("arguments"))
        if tool_id or arguments:
            yield Delta(0, number, DeltaKind.TOOL_CALL, arguments, tool_id=tool_id, tool_name=name)

    def _cite(self, said: dict[str, Any]) -> Iterator[Delta]:
        """Where it is told, the place is that of the content; else the last text is meant."""
        key: Hashable = self._text
        index = bounded_word(said.get("content_index"))
        word = bounded_word(said.get("type"))
        if word == "PLAN":
            key = _PLAN
        elif index:
            key = index, _CITED.get(word, DeltaKind.TEXT)
        if key not in self._kinds:
            key = self._text
        citations = tuple(_map_citations(said))
        if key is not None and citations:
            yield Delta(0, self._parts.of(0, key), self._kinds[key], citations=citations)

    def _text_part(self) -> int:
        if self._text is None:
            self._text = "", DeltaKind.TEXT
            self._kinds[self._text] = DeltaKind.TEXT
        return self._parts.of(0, self._text)


def _several(value: object) -> list[dict[str, Any]]:
    """What a stream tells one by one, some servers in a list."""
    return [as_object(item) for item in (value if isinstance(value, list) else [value])]


def _map_citations(said: dict[str, Any]) -> Iterator[Citation]:
    """One for each source; one for none."""
    start, end = (whole_number(said.get(name), _MOST) or 0 for name in ("start", "end"))
    sources = [source for source in as_list(said.get("sources")) if isinstance(source, dict)]
    for source in sources:
        told = as_object(source.get("document")) or as_object(source.get("tool_output"))
        yield Citation(
            start, end, as_text(told.get("url")), as_text(told.get("title")), as_text(source.get("id"))
        )
    if not sources and end > start:
        yield Citation(start, end)


def _map_logprobs(chunk: object) -> Iterator[TokenLogprob]:
    """Of a piece of text that may be of several tokens: its text goes with the first of them."""
    said = as_object(chunk)
    for position, value in enumerate(as_list(said.get("logprobs"))):
        yield TokenLogprob("" if position else as_text(said.get("text")), log_probability(value))
