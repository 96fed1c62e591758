"""The content blocks of one answer -> deltas of parts: one part for each block, in the order in which they begin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pointsman_server.domain import Citation, Delta, DeltaKind, Event, Part, ProviderPart
from pointsman_server.upstreams.translation.documents import as_list, as_object, as_text, json_text, parse
from pointsman_server.upstreams.translation.faults import bounded_word, clean_text, whole_number
from pointsman_server.upstreams.translation.parts import PartNumbers, made_tool_id

_KINDS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "citations_delta": "text",
}
"""What a block is whose beginning was not seen."""
_LARGEST = 2**31 - 1


@dataclass(slots=True)
class _Block:
    number: int
    """In the order of their beginnings: an index that is used again means another block."""
    kind: str
    said: dict[str, Any]
    """As it began."""
    pieces: dict[str, list[Any]] = field(default_factory=dict)
    """What deltas add to the block's own fields; of a provider's own block alone."""
    input: bool = False
    """Whether a piece of a tool call's arguments came."""
    length: int = 0
    """Characters of its text."""
    citations: list[Citation] = field(default_factory=list)


class Blocks:
    """The blocks that have begun and not ended, and what parts they became."""

    __slots__ = ("_attempt_id", "_begun", "_dialect", "_hidden", "_open", "_origin", "_parts", "called")

    def __init__(self, attempt_id: str, dialect: str, origin: str, *, hidden: bool) -> None:
        self.called = 0
        """Calls of the caller's own tools."""
        self._attempt_id = attempt_id
        self._dialect = dialect
        self._origin = origin
        self._hidden = hidden
        self._begun = 0
        self._open: dict[int, _Block] = {}
        self._parts = PartNumbers()

    def text(self, index: int, text: str, events: list[Event]) -> None:
        """A piece of a text block."""
        block = self._open.get(index) or self._begin(index, "text", {})
        if block.kind != "text":
            self.delta(index, {"type": "text_delta", "text": text}, events)
        elif text:
            block.length += len(text)
            events.append(Delta(0, self._part(block), DeltaKind.TEXT, text))

    def start(self, index: int, said: dict[str, Any], events: list[Event]) -> None:
        """A block begins, or comes whole."""
        self.stop(index, events)
        kind = bounded_word(said.get("type"))
        block = self._begin(index, kind, said)
        match kind:
            case "text":
                self.text(index, as_text(said.get("text")), events)
                block.citations += [_map_citation(cited) for cited in as_list(said.get("citations"))]
            case "thinking":
                self._think(block, as_text(said.get("thinking")), events)
                self._sign(block, as_text(said.get("signature")), events)
            case "tool_use":
                tool_id = as_text(said.get("id")) or made_tool_id(self._attempt_id, 0, self.called)
                self.called += 1
                name = as_text(said.get("name"))
                events.append(
                    Delta(0, self._part(block), DeltaKind.TOOL_CALL, tool_id=tool_id, tool_name=name)
                )
            case _:
                # Its place among the parts is where it began, although it is told when it is whole.
                self._part(block)

    def delta(self, index: int, said: dict[str, Any], events: list[Event]) -> None:
        """More of a block."""
        kind = bounded_word(said.get("type"))
        block = self._open.get(index) or self._begin(index, _KINDS.get(kind, ""), {})
        match block.kind, kind:
            case "text", "text_delta":
                self.text(index, as_text(said.get("text")), events)
            case "text", "citations_delta":
                block.citations.append(_map_citation(said.get("citation")))
            case "thinking", "thinking_delta":
                self._think(block, as_text(said.get("thinking")), events)
            case "thinking", "signature_delta":
                self._sign(block, as_text(said.get("signature")), events)
            case "tool_use", "input_json_delta":
                if piece := as_text(said.get("partial_json")):
                    block.input = True
                    events.append(Delta(0, self._part(block), DeltaKind.TOOL_CALL, piece))
            case (("text" | "thinking" | "tool_use" | ""), _):
                pass
            case _:
                for name, value in said.items():
                    if name != "type":
                        block.pieces.setdefault(name, []).append(value)

    def stop(self, index: int, events: list[Event]) -> None:
        """A block ends, and with it what can be told only of a whole one."""
        block = self._open.pop(index, None)
        if block is None:
            return
        match block.kind:
            case "text":
                if block.citations:
                    events.append(_cited(self._part(block), block))
            case "tool_use":
                if not block.input:
                    # Without a delta the input is what the block began with, which is {} in a stream.
                    text = json_text(as_object(block.said.get("input")))
                    events.append(Delta(0, self._part(block), DeltaKind.TOOL_CALL, text))
            case "thinking" | "":
                pass
            case _:
                events.append(self._keep(block))

    def stop_all(self, events: list[Event]) -> None:
        """The answer ends."""
        for index in list(self._open):
            self.stop(index, events)

    def _begin(self, index: int, kind: str, said: dict[str, Any]) -> _Block:
        block = self._open[index] = _Block(self._begun, kind, said)
        self._begun += 1
        return block

    def _part(self, block: _Block) -> int:
        return self._parts.of(0, block.number)

    def _think(self, block: _Block, text: str, events: list[Event]) -> None:
        block.length += len(text)
        if text and not self._hidden:
            events.append(Delta(0, self._part(block), DeltaKind.REASONING, text))

    def _sign(self, block: _Block, signature: str, events: list[Event]) -> None:
        """A signature of words that are kept from the caller is kept, too: without them it would prove nothing."""
        if signature and not (self._hidden and block.length):
            data = signature.encode()
            events.append(Delta(0, self._part(block), DeltaKind.SIGNATURE, data=data, origin=self._origin))

    def _keep(self, block: _Block) -> Delta:
        """A block that only this provider knows, as it would have come whole, to be sent back as it is."""
        said = dict(block.said)
        for name, pieces in block.pieces.items():
            if name == "partial_json":
                said["input"] = parse("".join(as_text(piece) for piece in pieces).encode()) or {}
            elif all(isinstance(piece, str) for piece in pieces):
                said[name] = as_text(said.get(name)) + "".join(as_text(piece) for piece in pieces)
            else:
                said[name] = pieces[-1]
        # Thoughts that were made unreadable are bound to the model, as signatures are; all else is not.
        bound = self._origin if block.kind == "redacted_thinking" else ""
        whole = Part(ProviderPart(self._dialect, clean_text(json_text(said))), origin=bound)
        return Delta(0, self._part(block), DeltaKind.PART, whole=whole)


def _cited(part: int, block: _Block) -> Delta:
    """Citations are of a block as a whole: the wire cuts the text into blocks so that each rests on its sources."""
    cited = tuple(Citation(0, block.length, one.url, one.title, one.document_id) for one in block.citations)
    return Delta(0, part, DeltaKind.TEXT, citations=cited)


def _map_citation(said: object) -> Citation:
    """Web results have an address, search results a source that may be one, documents a number in the request."""
    cited = as_object(said)
    url = as_text(cited.get("url"))
    source = as_text(cited.get("source"))
    if not url and source.startswith(("http://", "https://")):
        url = source
    number = whole_number(cited.get("document_index"), _LARGEST)
    document = bounded_word(cited.get("file_id")) or ("" if url else source)
    return Citation(
        url=url,
        title=as_text(cited.get("title")) or as_text(cited.get("document_title")),
        document_id=document or ("" if number is None else str(number)),
    )
