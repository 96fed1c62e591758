"""Documents of one answer -> events. Keeps what the wire says only once, or only across chunks."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pointsman_server.domain import (
    Citation,
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Opened,
    SafetyRating,
    Usage,
    UsageReport,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.openai import chunk as wire
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_object, part_of
from pointsman_server.upstreams.translation.faults import bounded_word, clean_text, whole_number
from pointsman_server.upstreams.translation.logprobs import map_logprobs
from pointsman_server.upstreams.translation.parts import PartNumbers, made_tool_id
from pointsman_server.upstreams.translation.ratings import filter_ratings, flag_ratings, worst

MAX_CANDIDATES = 128
_LAST_SECOND = 253_402_300_799

_FINISH: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "normal": FinishReason.STOP,
    "length": FinishReason.MAX_TOKENS,
    "max_tokens": FinishReason.MAX_TOKENS,
    "model_length": FinishReason.MAX_TOKENS,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_OF_PROMPT = "of the prompt"
_FAILED = frozenset({"error", "abort"})
"""Words of servers for an answer that came to grief: a fault, not an answer."""


class _Call:
    __slots__ = ("given_id", "named", "part")

    def __init__(self, part: int, given_id: str) -> None:
        self.part = part
        self.given_id = given_id
        self.named = False


class _Candidate:
    __slots__ = ("calls", "finished", "held", "last_call", "ratings", "text_part")

    def __init__(self) -> None:
        self.text_part = -1
        self.calls: dict[Hashable, _Call] = {}
        self.last_call: Hashable = None
        self.finished = False
        self.held: Finished | None = None
        """How it ended, until the last of its ratings has come."""
        self.ratings: tuple[SafetyRating, ...] = ()


class AnswerEvents:
    """The events of one answer, whole or in chunks.

    Where ratings may come behind a finish reason (`late_ratings`), it is held back until `release`.
    """

    __slots__ = (
        "_attempt_id", "_candidates", "_late_ratings", "_origin", "_parts", "_place", "_prompt_ratings", "_reasoning",
        "_usage", "opened",
    )  # fmt: skip

    def __init__(
        self, attempt_id: str, place: Place, *, reasoning: bool, origin: str = "", late_ratings: bool = False
    ) -> None:
        self.opened = False
        self._attempt_id = attempt_id
        self._place = place
        self._reasoning = reasoning
        self._origin = origin
        self._late_ratings = late_ratings
        self._prompt_ratings: tuple[SafetyRating, ...] = ()
        self._candidates: dict[int, _Candidate] = {}
        self._parts = PartNumbers()
        self._usage: Usage | None = None

    @property
    def finished(self) -> int:
        """How many candidates ended; 0 while one of those seen has not."""
        states = self._candidates.values()
        return len(states) if all(state.finished for state in states) else 0

    def add(self, chunk: wire.Chunk, events: list[Event]) -> None:
        """Append the events of one document. Raises ServiceError when it tells of a failure or makes no sense."""
        if not self.opened and (chunk.id or chunk.model):
            events.append(self._map_opened(chunk))
        if chunk.prompt_filter_results is not None or chunk.need_clear_history:
            self._add_prompt_ratings(chunk)
        if chunk.choices:
            for position, choice in enumerate(chunk.choices):
                index = position if choice.index is None else choice.index
                said = choice.delta if choice.delta is not None else choice.message
                self._add_choice(index, choice, said, events)
        if (
            chunk.usage is not None
            and (usage := _map_usage(chunk.usage)) is not None
            and usage != self._usage
        ):
            self._usage = usage
            events.append(UsageReport(usage))

    def add_plain(self, choice: wire.PlainChoice, events: list[Event]) -> bool:
        """Append a piece of a text that has begun; False, and nothing done, when it has not."""
        said, index = choice.delta, choice.index or 0
        text = choice.text if said is None else said.content
        state = self._candidates.get(index)
        if state is None or state.text_part < 0 or not text:
            return False
        events.append(Delta(index, state.text_part, DeltaKind.TEXT, text))
        return True

    def finish_whole(self, events: list[Event]) -> None:
        """A whole answer needs no finish reason to be complete; say how candidates without one ended."""
        for index, state in self._candidates.items():
            if not state.finished:
                reason = FinishReason.TOOL_CALLS if state.calls else FinishReason.OTHER
                self._finish(state, Finished(index, reason), events)

    def release(self, events: list[Event]) -> None:
        """Append what was held back: nothing more comes."""
        for state in self._candidates.values():
            if state.held is not None:
                events.append(self._rated(state, state.held))
                state.held = None

    def _map_opened(self, chunk: wire.Chunk) -> Opened:
        self.opened = True
        self._place.response_id = bounded_word(chunk.id)
        return Opened(
            response_id=self._place.response_id,
            model=bounded_word(chunk.model),
            created_s=whole_number(chunk.created, _LAST_SECOND),
            service_tier=bounded_word(chunk.service_tier),
            upstream_request_id=self._place.request_id,
        )

    def _add_choice(
        self, index: int, choice: wire.Choice, said: wire.Delta | None, events: list[Event]
    ) -> None:
        state = self._candidates.get(index)
        if state is None:
            state = self._new_candidate(index)
        if choice.logprobs is None and said is not None and said.content and _only_text(said):
            # Nearly every chunk of nearly every stream.
            part = state.text_part
            if part < 0:
                part = state.text_part = self._parts.of(index, DeltaKind.TEXT)
            events.append(Delta(index, part, DeltaKind.TEXT, said.content))
        else:
            events.extend(self._deltas(index, state, choice, said))
        if choice.content_filter_results or choice.flag or choice.need_clear_history:
            state.ratings = worst((*state.ratings, *_map_ratings(choice)))
        if choice.finish_reason and not state.finished:
            self._finish(state, _map_finish(index, choice, called=bool(state.calls)), events)
        elif choice.finish_reason == "content_filter" and state.held is not None:
            state.held = _map_finish(index, choice, called=bool(state.calls))

    def _finish(self, state: _Candidate, finished: Finished, events: list[Event]) -> None:
        state.finished = True
        if self._late_ratings:
            state.held = finished
        else:
            events.append(self._rated(state, finished))

    def _rated(self, state: _Candidate, finished: Finished) -> Finished:
        safety = (*self._prompt_ratings, *state.ratings)
        return replace(finished, safety=safety) if safety else finished

    def _add_prompt_ratings(self, chunk: wire.Chunk) -> None:
        found = list(self._prompt_ratings)
        for item in _list(chunk.prompt_filter_results):
            found.extend(filter_ratings(as_object(item).get("content_filter_results"), _OF_PROMPT))
        found.extend(flag_ratings({"need_clear_history": chunk.need_clear_history}))
        self._prompt_ratings = worst(found)

    def _new_candidate(self, index: int) -> _Candidate:
        if not 0 <= index < MAX_CANDIDATES:
            raise ServiceError(
                Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent a candidate without a usable index"
            )
        state = self._candidates[index] = _Candidate()
        return state

    def _deltas(
        self, index: int, state: _Candidate, choice: wire.Choice, said: wire.Delta | None
    ) -> Iterator[Delta]:
        logprobs = map_logprobs(choice.logprobs)
        text = choice.text if said is None else said.content
        kinds: list[tuple[DeltaKind, str | None]] = [(DeltaKind.TEXT, text)]
        if said is not None:
            thought = said.reasoning or said.reasoning_content if self._reasoning else None
            kinds = [
                (DeltaKind.REASONING, thought),
                (DeltaKind.TEXT, text),
                (DeltaKind.REFUSAL, said.refusal),
            ]
        for kind, piece in kinds:
            if piece:
                yield Delta(index, self._parts.of(index, kind), kind, piece, logprobs=logprobs)
                logprobs = ()
        if said is not None and said.signature and self._reasoning:
            part = self._parts.of(index, DeltaKind.REASONING)
            data = said.signature.encode()
            yield Delta(index, part, DeltaKind.SIGNATURE, data=data, origin=self._origin)
        if said is not None and (said.annotations or said.references):
            citations = (
                *_map_citations(said.annotations),
                *(Citation(document_id=word) for word in said.references),
            )
            if citations:
                part = self._parts.of(index, DeltaKind.TEXT)
                yield Delta(index, part, DeltaKind.TEXT, logprobs=logprobs, citations=citations)
                logprobs = ()
        yield from self._map_calls(index, state, said, whole=choice.message is said)
        if logprobs:
            yield Delta(index, self._parts.of(index, DeltaKind.TEXT), DeltaKind.TEXT, logprobs=logprobs)

    def _map_calls(
        self, index: int, state: _Candidate, said: wire.Delta | None, *, whole: bool
    ) -> Iterator[Delta]:
        if said is None:
            return
        for position, piece in enumerate(said.tool_calls or ()):
            key: Hashable = ("whole", position) if whole else _call_key(state, piece)
            delta = self._map_call(index, state, key, piece)
            if delta is not None:
                yield delta
        if said.function_call is not None:
            piece = wire.ToolCallPiece(function=said.function_call)
            delta = self._map_call(index, state, "function_call", piece)
            if delta is not None:
                yield delta

    def _map_call(
        self, index: int, state: _Candidate, key: Hashable, piece: wire.ToolCallPiece
    ) -> Delta | None:
        function = piece.function or wire.Function()
        call = state.calls.get(key)
        # Some servers number all calls 0 and tell them apart by id alone.
        other = (
            call is not None and piece.id and call.given_id and piece.id != call.given_id and function.name
        )
        tool_id = ""
        if call is None or other:
            number = len(state.calls)
            call = _Call(self._parts.of(index, (DeltaKind.TOOL_CALL, number)), piece.id or "")
            if other:
                # Kept, so that calls stay counted; nothing asks for it by this key any more.
                state.calls["replaced", number] = state.calls[key]
            state.calls[key] = call
            tool_id = piece.id or made_tool_id(self._attempt_id, index, number)
        state.last_call = key
        name = (function.name or "") if not call.named else ""
        call.named = call.named or bool(name)
        arguments = function.arguments or ""
        if not (tool_id or name or arguments):
            return None
        return Delta(index, call.part, DeltaKind.TOOL_CALL, arguments, tool_id=tool_id, tool_name=name)


def _only_text(said: wire.Delta) -> bool:
    return not (
        said.reasoning or said.reasoning_content or said.tool_calls or said.refusal or said.function_call
        or said.annotations or said.references or said.signature
    )  # fmt: skip


def _call_key(state: _Candidate, piece: wire.ToolCallPiece) -> Hashable:
    """What a piece belongs to: by number, else by id, else to the last call that was told."""
    if piece.index is not None:
        return piece.index
    if piece.id:
        return "id", piece.id
    return state.last_call if state.last_call is not None else "only"


def _map_finish(index: int, choice: wire.Choice, *, called: bool) -> Finished:
    raw = bounded_word(choice.finish_reason)
    if raw in _FAILED:
        raise ServiceError(Reason.UPSTREAM_ERROR, f"the upstream ended the answer with {raw!r}")
    stop = choice.stop_reason
    return Finished(
        index,
        FinishReason.TOOL_CALLS if called else _FINISH.get(raw, FinishReason.OTHER),
        raw=raw,
        stop_sequence=stop if isinstance(stop, str) else "",
    )


def _map_ratings(choice: wire.Choice) -> Iterator[SafetyRating]:
    yield from filter_ratings(choice.content_filter_results)
    yield from flag_ratings(
        {
            "flag": choice.flag,
            "ban_round": choice.ban_round,
            "need_clear_history": choice.need_clear_history,
        }
    )


def _map_usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    inputs, outputs = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    inputs = inputs if isinstance(inputs, dict) else {}
    outputs = outputs if isinstance(outputs, dict) else {}
    prompt, completion = (
        whole_number(value.get("prompt_tokens")),
        whole_number(value.get("completion_tokens")),
    )
    usage = Usage(
        input_tokens=prompt,
        output_tokens=completion,
        total_tokens=whole_number(value.get("total_tokens")),
        # DeepSeek's name for it last.
        cached_input_tokens=part_of(
            prompt, inputs.get("cached_tokens"), value.get("prompt_cache_hit_tokens")
        ),
        reasoning_tokens=part_of(completion, outputs.get("reasoning_tokens"), value.get("reasoning_tokens")),
        cache_write_tokens=part_of(
            prompt,
            inputs.get("cache_write_tokens"),
            inputs.get("created_cache_tokens"),
            # DashScope's name for it.
            inputs.get("cache_creation_input_tokens"),
        ),
    )
    return None if usage == Usage() else usage


def _map_citations(annotations: object) -> Iterator[Citation]:
    for item in _list(annotations):
        cited = item.get("url_citation") if isinstance(item, dict) else None
        if not isinstance(cited, dict):
            continue
        url, title = cited.get("url"), cited.get("title")
        yield Citation(
            start=whole_number(cited.get("start_index"), 2**31 - 1) or 0,
            end=whole_number(cited.get("end_index"), 2**31 - 1) or 0,
            url=clean_text(url) if isinstance(url, str) else "",
            title=clean_text(title) if isinstance(title, str) else "",
        )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
