"""The items of an answer -> parts. Items and their contents are numbered on the wire; each becomes one part.

Events tell a text in pieces and then once more as a whole: the whole counts only where no piece of it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import Citation, Delta, DeltaKind, Event, Part, ProviderPart, ReasoningKind
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.translation.documents import as_list, as_object, as_text, json_text
from pointsman_server.upstreams.translation.faults import whole_number
from pointsman_server.upstreams.translation.logprobs import map_logprobs
from pointsman_server.upstreams.translation.parts import PartNumbers, made_tool_id
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import hides_reasoning, origin

_MOST = 2**31 - 1
_BETWEEN = "\n\n"
"""Between the paragraphs of one summary."""


class Output:
    """The output of one answer, as far as it was told."""

    __slots__ = (
        "_calls", "_cited", "_dialect", "_done", "_hidden", "_id", "_origin", "_paragraph", "_parts", "_told", "called",
    )  # fmt: skip

    def __init__(self, attempt: Attempt, profile: Profile) -> None:
        self.called = False
        """Whether a function was called."""
        self._id = attempt.upstream_id
        self._dialect = profile.dialect
        self._origin = origin(profile, attempt.target.model)
        self._hidden = hides_reasoning(attempt.call, profile)
        self._parts = PartNumbers()
        self._calls: set[int] = set()
        self._told: set[object] = set()
        self._done: set[int] = set()
        self._cited: dict[int, int] = {}
        self._paragraph: dict[int, int] = {}

    def text(self, document: dict[str, Any], kind: DeltaKind, name: str, events: list[Event]) -> None:
        """A piece of a message's content, or the whole of it (`name` is not `delta`)."""
        key = _number(document, "output_index"), _number(document, "content_index"), kind
        whole = name != "delta"
        if whole and key in self._told:
            return
        piece, logprobs = as_text(document.get(name)), map_logprobs({"content": document.get("logprobs")})
        if piece or logprobs:
            self._told.add(key)
            events.append(Delta(0, self._parts.of(0, key), kind, piece, logprobs=logprobs))

    def thought(self, document: dict[str, Any], name: str, events: list[Event], *, summary: bool) -> None:
        """A piece of reasoning, or a paragraph of it."""
        index = _number(document, "output_index")
        paragraph = _number(document, "summary_index" if summary else "content_index")
        key = index, paragraph, summary
        if self._hidden or (name != "delta" and key in self._told):
            return
        if piece := as_text(document.get(name)):
            self._told.add(key)
            number = self._parts.of(0, (index, DeltaKind.REASONING))
            if self._paragraph.setdefault(number, paragraph) != paragraph:
                self._paragraph[number] = paragraph
                piece = _BETWEEN + piece
            kind = ReasoningKind.SUMMARY if summary else ReasoningKind.THOUGHT
            events.append(Delta(0, number, DeltaKind.REASONING, piece, reasoning_kind=kind))

    def arguments(self, document: dict[str, Any], name: str, events: list[Event]) -> None:
        """A piece of a call's arguments, or the whole of them."""
        index = _number(document, "output_index")
        key = index, DeltaKind.TOOL_CALL
        if name != "delta" and key in self._told:
            return
        if piece := as_text(document.get(name)):
            self._told.add(key)
            self._open_call(index, as_object(document), events)
            events.append(Delta(0, self._parts.of(0, key), DeltaKind.TOOL_CALL, piece))

    def annotation(self, document: dict[str, Any], events: list[Event]) -> None:
        """A source of a text."""
        key = _number(document, "output_index"), _number(document, "content_index"), DeltaKind.TEXT
        number = self._parts.of(0, key)
        self._cited[number] = self._cited.get(number, 0) + 1
        if (citation := _map_citation(as_object(document.get("annotation")))) is not None:
            events.append(Delta(0, number, DeltaKind.TEXT, citations=(citation,)))

    def item(self, document: dict[str, Any], events: list[Event], *, done: bool) -> None:
        """An item that has begun, or has been told whole."""
        index, item = _number(document, "output_index"), as_object(document.get("item"))
        if item.get("type") == "function_call":
            self._open_call(index, item, events)
        if done:
            self._finish(index, item, events)

    def rest(self, output: object, events: list[Event]) -> None:
        """What no event told, of the response as a whole."""
        if not self._done:
            for index, item in enumerate(as_list(output)):
                self._finish(index, as_object(item), events)

    def _finish(self, index: int, item: dict[str, Any], events: list[Event]) -> None:
        if index in self._done:
            return
        self._done.add(index)
        match item.get("type"):
            case "message":
                for number, content in enumerate(as_list(item.get("content"))):
                    self._content(index, number, as_object(content), events)
            case "function_call":
                self._open_call(index, item, events)
                self.arguments({**item, "output_index": index}, "arguments", events)
            case "reasoning":
                self._reasoning(index, item, events)
            case str() as kind if kind:
                whole = Part(ProviderPart(self._dialect, json_text(item)))
                events.append(Delta(0, self._parts.of(0, index), DeltaKind.PART, whole=whole))
            case _:
                pass

    def _content(self, index: int, number: int, content: dict[str, Any], events: list[Event]) -> None:
        place = {**content, "output_index": index, "content_index": number}
        match content.get("type"):
            case "output_text":
                self.text(place, DeltaKind.TEXT, "text", events)
                part = self._parts.of(0, (index, number, DeltaKind.TEXT))
                annotations = as_list(content.get("annotations"))[self._cited.get(part, 0) :]
                if citations := tuple(_map_citations(annotations)):
                    events.append(Delta(0, part, DeltaKind.TEXT, citations=citations))
            case "refusal":
                self.text(place, DeltaKind.REFUSAL, "refusal", events)
            case _:
                pass

    def _reasoning(self, index: int, item: dict[str, Any], events: list[Event]) -> None:
        """What seals it is whole only now, and goes back as the signature of its text."""
        for name, summary in (("summary", True), ("content", False)):
            for number, piece in enumerate(as_list(item.get(name))):
                place = {"output_index": index, "summary_index": number, "content_index": number}
                self.thought({**as_object(piece), **place}, "text", events, summary=summary)
        if sealed := as_text(item.get("encrypted_content")):
            number = self._parts.of(0, (index, DeltaKind.REASONING))
            events.append(Delta(0, number, DeltaKind.SIGNATURE, data=sealed.encode(), origin=self._origin))

    def _open_call(self, index: int, item: dict[str, Any], events: list[Event]) -> None:
        if index in self._calls:
            return
        tool_id = as_text(item.get("call_id")) or made_tool_id(self._id, 0, len(self._calls))
        self._calls.add(index)
        self.called = True
        number, name = self._parts.of(0, (index, DeltaKind.TOOL_CALL)), as_text(item.get("name"))
        events.append(Delta(0, number, DeltaKind.TOOL_CALL, tool_id=tool_id, tool_name=name))


def _number(document: dict[str, Any], name: str) -> int:
    """A place in the output; 0 where it is not told. Raises UPSTREAM_BAD_RESPONSE for what can be none."""
    value = document.get(name)
    number = 0 if value is None else whole_number(value, _MOST)
    if number is None:
        raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent an item without a usable index")
    return number


def _map_citations(annotations: list[Any]) -> Iterator[Citation]:
    for annotation in annotations:
        if (citation := _map_citation(as_object(annotation))) is not None:
            yield citation


def _map_citation(said: dict[str, Any]) -> Citation | None:
    """A page, or a file of the provider's by its id; a file has a place in the text, or none."""
    place = whole_number(said.get("index"), _MOST) or 0
    start, end = (whole_number(said.get(name), _MOST) for name in ("start_index", "end_index"))
    url, title = as_text(said.get("url")), as_text(said.get("title")) or as_text(said.get("filename"))
    document_id = as_text(said.get("file_id"))
    if not (url or title or document_id):
        return None
    return Citation(
        start=place if start is None else start,
        end=place if end is None else end,
        url=url,
        title=title,
        document_id=document_id,
    )
