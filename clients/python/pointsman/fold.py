"""Frames of a stream -> the whole answer: one pure fold, so that a stream and a unary call end in the same value."""

from __future__ import annotations

from dataclasses import dataclass, field

from pointsman import v1


@dataclass(slots=True)
class _Part:
    """One part as it grows. The first delta that is no signature says what it is."""

    kind: str = ""
    texts: list[str] = field(default_factory=list)
    call: v1.ToolCallDelta = field(default_factory=v1.ToolCallDelta)
    signature: bytes = b""
    origin: str = ""
    whole: v1.Part | None = None
    reasoning_kind: v1.ReasoningKind = v1.REASONING_KIND_UNSPECIFIED
    citations: list[v1.Citation] = field(default_factory=list)

    def add(self, delta: v1.Delta) -> None:
        kind = delta.WhichOneof("content")
        if kind == "signature":
            self.signature += delta.signature
        elif kind is not None:
            self.kind = self.kind or kind
        if kind == "tool_call":
            self.call.id = self.call.id or delta.tool_call.id
            self.call.name = self.call.name or delta.tool_call.name
            self.texts.append(delta.tool_call.arguments_json)
        elif kind in {"text", "reasoning", "refusal"}:
            self.texts.append(getattr(delta, kind or ""))
        elif kind == "part":
            self.whole = self.whole or delta.part
        self.reasoning_kind = self.reasoning_kind or delta.reasoning_kind
        self.origin = self.origin or delta.origin
        self.citations.extend(delta.citations)

    def part(self) -> v1.Part | None:
        if self.kind == "part":
            return self.whole
        part = self._content("".join(self.texts))
        if part is not None:
            part.signature = self.signature
            part.origin = self.origin
            part.citations.extend(self.citations)
        return part

    def _content(self, text: str) -> v1.Part | None:
        match self.kind:
            case "tool_call":
                call = v1.ToolCall(id=self.call.id, name=self.call.name, arguments_json=text)
                return v1.Part(tool_call=call)
            case "reasoning" | "" if text or self.signature:
                return v1.Part(reasoning=v1.Reasoning(text=text, kind=self.reasoning_kind))
            case "text" if text or self.signature or self.citations:
                return v1.Part(text=text)
            case "refusal" if text:
                return v1.Part(refusal=text)
            case _:
                return None


@dataclass(slots=True)
class _Candidate:
    parts: dict[int, _Part] = field(default_factory=dict)
    logprobs: list[v1.TokenLogprob] = field(default_factory=list)
    finished: v1.CandidateFinished = field(default_factory=v1.CandidateFinished)

    def add(self, delta: v1.Delta) -> None:
        self.parts.setdefault(delta.part_index, _Part()).add(delta)
        self.logprobs.extend(delta.logprobs.tokens)

    def candidate(self, index: int) -> v1.Candidate:
        parts = (part.part() for _, part in sorted(self.parts.items()))
        candidate = v1.Candidate(
            index=index,
            message=v1.Message(role=v1.ROLE_ASSISTANT, parts=[part for part in parts if part is not None]),
            finish_reason=self.finished.finish_reason,
            finish_reason_raw=self.finished.finish_reason_raw,
            stop_sequence=self.finished.stop_sequence,
            safety=self.finished.safety,
        )
        if self.logprobs:
            candidate.logprobs.tokens.extend(self.logprobs)
        return candidate


class Fold:
    """Collects the frames of one stream; `response` may be asked at any time."""

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._started = v1.Started()
        self._usage = v1.Usage()
        self._completed: v1.Completed | None = None

    @property
    def completed(self) -> bool:
        """Whether the answer is whole."""
        return self._completed is not None

    @property
    def has_content(self) -> bool:
        """Whether anything of an answer has come that is still valid."""
        return bool(self._candidates)

    def add(self, frame: v1.StreamGenerateResponse) -> None:
        """Takes one frame in, in the order that the contract gives its fields."""
        if frame.HasField("rerouted"):
            self._reroute(frame.rerouted)
        if frame.HasField("started"):
            self._started = frame.started
        for delta in frame.deltas:
            self._candidate(delta.candidate_index).add(delta)
        for finished in frame.candidate_finished:
            self._candidate(finished.candidate_index).finished = finished
        if frame.HasField("usage_update"):
            self._usage = frame.usage_update
        if frame.HasField("completed"):
            self._completed = frame.completed

    def _reroute(self, rerouted: v1.Rerouted) -> None:
        self._started = rerouted.started
        if rerouted.discard:
            self._candidates.clear()
            self._usage = v1.Usage()

    def _candidate(self, index: int) -> _Candidate:
        return self._candidates.setdefault(index, _Candidate())

    def response(self) -> v1.GenerateResponse:
        """The answer as far as it has come; candidates by index, parts by number."""
        response = v1.GenerateResponse(
            response_id=self._started.response_id,
            model=self._started.model,
            candidates=[made.candidate(index) for index, made in sorted(self._candidates.items())],
            usage=self._usage,
        )
        if self._started.HasField("create_time"):
            response.create_time.CopyFrom(self._started.create_time)
        if self._completed is None:
            response.routing.backend = self._started.backend
            response.routing.provider = self._started.provider
            return response
        response.usage.CopyFrom(self._completed.usage)
        response.routing.CopyFrom(self._completed.routing)
        response.warnings.extend(self._completed.warnings)
        return response
