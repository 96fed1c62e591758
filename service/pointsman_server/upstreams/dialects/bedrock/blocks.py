"""The content blocks of one answer -> deltas of parts: one part for each block, in the order in which they begin."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from pointsman_server.domain import Citation, Delta, DeltaKind, Event, Media, MediaKind, Part, ProviderPart
from pointsman_server.upstreams.dialects.bedrock.media import media_type_of
from pointsman_server.upstreams.translation.documents import as_list, as_object, as_text, json_text, parse
from pointsman_server.upstreams.translation.faults import clean_text, whole_number
from pointsman_server.upstreams.translation.parts import PartNumbers, made_tool_id

_SERVER = "server_tool_use"
_LARGEST = 2**31 - 1


@dataclass(slots=True)
class _Block:
    number: int
    """In the order of their beginnings: an index that is used again means another block."""
    start: dict[str, Any]
    """How it began; empty for text and reasoning, which begin with their first delta."""
    call: bool = False
    """Whether it is a call of a tool of the caller's own."""
    pieces: list[Any] = field(default_factory=list)
    """What came of a block that only the provider knows, and of bytes, which have no meaning before all came."""
    length: int = 0
    """Characters of its text, or of a call's arguments."""
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

    def start(self, index: int, said: dict[str, Any], events: list[Event]) -> None:
        """A block begins."""
        self.stop(index, events)
        block = self._begin(index, said)
        used = as_object(said.get("toolUse"))
        if "toolUse" in said and used.get("type") != _SERVER:
            block.call = True
            tool_id = as_text(used.get("toolUseId")) or made_tool_id(self._attempt_id, 0, self.called)
            self.called += 1
            name = as_text(used.get("name"))
            events.append(Delta(0, self._part(block), DeltaKind.TOOL_CALL, tool_id=tool_id, tool_name=name))
        else:
            # Its place among the parts is where it began, although it is told when it is whole.
            self._part(block)

    def delta(self, index: int, said: dict[str, Any], events: list[Event]) -> None:
        """More of a block."""
        block = self._open.get(index) or self._begin(index, {})
        if block.start and not block.call:
            block.pieces.append(said)
            return
        if text := as_text(said.get("text")):
            block.length += len(text)
            events.append(Delta(0, self._part(block), DeltaKind.TEXT, text))
        if block.call and (piece := as_text(as_object(said.get("toolUse")).get("input"))):
            block.length += len(piece)
            events.append(Delta(0, self._part(block), DeltaKind.TOOL_CALL, piece))
        if "reasoningContent" in said:
            self._think(block, as_object(said["reasoningContent"]), events)
        if "citation" in said:
            block.citations.append(_map_citation(said["citation"]))

    def stop(self, index: int, events: list[Event]) -> None:
        """A block ends, and with it what can be told only of a whole one."""
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.call:
            if not block.length:
                events.append(Delta(0, self._part(block), DeltaKind.TOOL_CALL, "{}"))
        elif block.start:
            events.append(self._whole_part(block, _joined(block.start, block.pieces)))
        elif block.pieces:
            hidden = {"reasoningContent": {"redactedContent": _joined_bytes(block.pieces)}}
            events.append(self._keep(block, hidden, self._origin))
        if block.citations:
            cited = tuple(
                Citation(0, block.length, one.url, one.title, one.document_id) for one in block.citations
            )
            events.append(Delta(0, self._part(block), DeltaKind.TEXT, citations=cited))

    def stop_all(self, events: list[Event]) -> None:
        """The answer ends."""
        for index in list(self._open):
            self.stop(index, events)

    def whole(self, index: int, said: dict[str, Any], events: list[Event]) -> None:
        """A block that comes in one piece."""
        used, cited = as_object(said.get("toolUse")), as_object(said.get("citationsContent"))
        if "text" in said:
            self.delta(index, {"text": said["text"]}, events)
        elif "toolUse" in said and used.get("type") != _SERVER:
            self.start(index, said, events)
            self.delta(index, {"toolUse": {"input": json_text(as_object(used.get("input")))}}, events)
        elif "reasoningContent" in said:
            thought = as_object(said["reasoningContent"])
            told = as_object(thought.get("reasoningText"))
            for piece in (told, {"redactedContent": thought.get("redactedContent")}):
                self.delta(index, {"reasoningContent": piece}, events)
        elif "citationsContent" in said:
            texts = (as_text(as_object(piece).get("text")) for piece in as_list(cited.get("content")))
            self.delta(index, {"text": "".join(texts)}, events)
            for one in as_list(cited.get("citations")):
                self.delta(index, {"citation": one}, events)
        elif said:
            events.append(self._whole_part(self._begin(index, said), said))
            self._open.pop(index)
        self.stop(index, events)

    def _begin(self, index: int, start: dict[str, Any]) -> _Block:
        block = self._open[index] = _Block(self._begun, start)
        self._begun += 1
        return block

    def _part(self, block: _Block) -> int:
        return self._parts.of(0, block.number)

    def _think(self, block: _Block, said: dict[str, Any], events: list[Event]) -> None:
        """A signature of words that are kept from the caller is kept, too: without them it would prove nothing."""
        if text := as_text(said.get("text")):
            block.length += len(text)
            if not self._hidden:
                events.append(Delta(0, self._part(block), DeltaKind.REASONING, text))
        signature = as_text(said.get("signature"))
        if signature and not (self._hidden and block.length):
            data = signature.encode()
            events.append(Delta(0, self._part(block), DeltaKind.SIGNATURE, data=data, origin=self._origin))
        if redacted := as_text(said.get("redactedContent")):
            self._part(block)
            block.pieces.append(redacted)

    def _whole_part(self, block: _Block, said: dict[str, Any]) -> Delta:
        """An image that the model made, or what only the provider knows."""
        image = as_object(said.get("image"))
        media_type = media_type_of(MediaKind.IMAGE, as_text(image.get("format")))
        data = _decoded(as_text(as_object(image.get("source")).get("bytes")))
        if media_type and data:
            shown = Part(Media(MediaKind.IMAGE, data=data, media_type=media_type))
            return Delta(0, self._part(block), DeltaKind.PART, whole=shown)
        return self._keep(block, said)

    def _keep(self, block: _Block, said: dict[str, Any], origin: str = "") -> Delta:
        """What is sent back as it is; thoughts that were made unreadable are bound to the model, as signatures are."""
        whole = Part(ProviderPart(self._dialect, clean_text(json_text(said))), origin=origin)
        return Delta(0, self._part(block), DeltaKind.PART, whole=whole)


def _joined(start: dict[str, Any], deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """The block as it would have come whole."""
    joined: dict[str, Any] = {}
    for name, begun in start.items():
        pieces = [delta[name] for delta in deltas if name in delta]
        block = dict(as_object(begun))
        if name == "toolUse":
            text = "".join(as_text(as_object(piece).get("input")) for piece in pieces)
            block["input"] = (parse(text.encode()) if text else None) or {}
        elif name == "toolResult":
            block["content"] = [inner for piece in pieces for inner in as_list(piece)]
        else:
            for piece in pieces:
                block.update(as_object(piece))
        joined[name] = block
    return joined


def _joined_bytes(pieces: list[str]) -> str:
    """Base64 of the bytes of all pieces, each of which is base64 by itself."""
    if len(pieces) == 1:
        return pieces[0]
    return base64.b64encode(b"".join(_decoded(piece) for piece in pieces)).decode()


def _decoded(text: str) -> bytes:
    """The bytes; none for what is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _map_citation(said: object) -> Citation:
    """Web pages have an address, search results a source that may be one, documents a number in the request."""
    cited = as_object(said)
    place = as_object(cited.get("location"))
    url, source = as_text(as_object(place.get("web")).get("url")), as_text(cited.get("source"))
    if not url and source.startswith(("http://", "https://")):
        url = source
    number = None
    for name in ("documentChar", "documentPage", "documentChunk"):
        if number is None:
            number = whole_number(as_object(place.get(name)).get("documentIndex"), _LARGEST)
    document = "" if url else source
    return Citation(
        url=url,
        title=as_text(cited.get("title")),
        document_id=document or ("" if number is None else str(number)),
    )
