"""Events -> whole answer: one pure fold, so that a unary answer and a stream never differ."""

from __future__ import annotations

from dataclasses import dataclass, field

from pointsman_server.domain.answer import Answer, Candidate
from pointsman_server.domain.events import (
    Delta,
    DeltaKind,
    Event,
    Finished,
    Opened,
    TokenLogprob,
    UsageReport,
)
from pointsman_server.domain.request import (
    Citation,
    Content,
    Part,
    Reasoning,
    ReasoningKind,
    Refusal,
    Text,
    ToolCall,
)
from pointsman_server.domain.usage import Usage


@dataclass(slots=True)
class _PartFold:
    kind: DeltaKind | None = None
    texts: list[str] = field(default_factory=list)
    tool_id: str = ""
    tool_name: str = ""
    signature: bytes = b""
    origin: str = ""
    whole: Part | None = None
    reasoning_kind: ReasoningKind | None = None
    citations: list[Citation] = field(default_factory=list)

    def add(self, delta: Delta) -> None:
        if delta.kind is DeltaKind.SIGNATURE:
            self.signature += delta.data
        elif (
            self.kind is None and not delta.empty
        ):  # An empty one may be left out on the way: it decides nothing.
            self.kind = delta.kind
        self.texts.append(delta.text)
        self.tool_id = self.tool_id or delta.tool_id
        self.tool_name = self.tool_name or delta.tool_name
        self.whole = self.whole or delta.whole
        self.reasoning_kind = self.reasoning_kind or delta.reasoning_kind
        self.citations.extend(delta.citations)
        self.origin = self.origin or delta.origin

    def part(self) -> Part | None:
        if self.kind is DeltaKind.PART:
            return self.whole
        content = self._content("".join(self.texts))
        if content is None:
            return None
        return Part(content, signature=self.signature, origin=self.origin, citations=tuple(self.citations))

    def _content(self, text: str) -> Content | None:
        match self.kind:
            case DeltaKind.TOOL_CALL:
                return ToolCall(self.tool_id, self.tool_name, text)
            case DeltaKind.REASONING | None if text or self.signature:
                return Reasoning(text, self.reasoning_kind)
            case DeltaKind.TEXT if text or self.signature or self.citations:
                return Text(text)
            case DeltaKind.REFUSAL if text:
                return Refusal(text)
            case _:
                return None


@dataclass(slots=True)
class _CandidateFold:
    parts: dict[int, _PartFold] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finished: Finished | None = None


class Fold:
    """Collects the events of one attempt; `answer` may be asked at any time."""

    __slots__ = ("_candidates", "_opened", "_usage")

    def __init__(self) -> None:
        self._opened = Opened()
        self._candidates: dict[int, _CandidateFold] = {}
        self._usage: Usage | None = None

    @property
    def opened(self) -> Opened:
        """What the upstream said of its answer, so far."""
        return self._opened

    @property
    def usage(self) -> Usage | None:
        """The last running total."""
        return self._usage

    def add(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case Delta():
                candidate = self._candidate(event.candidate)
                part = candidate.parts.get(event.part)
                if part is None:
                    part = candidate.parts[event.part] = _PartFold()
                part.add(event)
                candidate.logprobs.extend(event.logprobs)
            case Finished():
                self._candidate(event.candidate).finished = event
            case UsageReport():
                self._usage = event.usage
            case Opened():
                self._opened = event

    def _candidate(self, index: int) -> _CandidateFold:
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = self._candidates[index] = _CandidateFold()
        return candidate

    def answer(self) -> Answer:
        """The answer as far as it has come; candidates by index, parts by number."""
        return Answer(
            response_id=self._opened.response_id,
            model=self._opened.model,
            candidates=tuple(_candidate(index, fold) for index, fold in sorted(self._candidates.items())),
            usage=self._usage,
            created_s=self._opened.created_s,
            service_tier=self._opened.service_tier,
            upstream_request_id=self._opened.upstream_request_id,
        )


def _candidate(index: int, fold: _CandidateFold) -> Candidate:
    parts = (part.part() for _, part in sorted(fold.parts.items()))
    finished = fold.finished
    return Candidate(
        index=index,
        parts=tuple(part for part in parts if part is not None),
        finish_reason=finished.reason if finished else None,
        finish_reason_raw=finished.raw if finished else "",
        stop_sequence=finished.stop_sequence if finished else "",
        logprobs=tuple(fold.logprobs),
        safety=finished.safety if finished else (),
    )
