"""Documents of one answer -> events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Citation,
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Opened,
    Usage,
    UsageReport,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.dialects.dashscope.refusal import answered_error
from pointsman_server.upstreams.dialects.dashscope.request import is_incremental
from pointsman_server.upstreams.translation import alibaba
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import (
    as_list,
    as_object,
    as_text,
    json_text,
    loose_json,
    part_of,
)
from pointsman_server.upstreams.translation.faults import answer_id, bounded_word, whole_number
from pointsman_server.upstreams.translation.logprobs import map_logprobs
from pointsman_server.upstreams.translation.parts import PartNumbers, made_tool_id
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import hides_reasoning

_MAX_CANDIDATES = 128
_FINISH: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.MAX_TOKENS,
    "tool_calls": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class _Candidate:
    """What is known of one of the answers. `told` is kept only where events repeat the whole so far."""

    __slots__ = ("calls", "finished", "told")

    def __init__(self) -> None:
        self.calls: dict[int, bool] = {}
        """Number of a call -> whether its name was told."""
        self.finished = False
        self.told: dict[object, str] = {}


class GenerationReader:
    """One answer. There is no end signal: it is complete when every candidate has a finish reason."""

    __slots__ = (
        "_attempt_id", "_candidates", "_cited", "_expected", "_hidden", "_incremental", "_opened", "_parts", "_usage",
        "_usages", "place",
    )  # fmt: skip

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        generation = attempt.call.generation
        self.place = Place(status, headers, answer_id(headers, profile.answer_id_headers))
        self._attempt_id = attempt.upstream_id
        self._hidden = hides_reasoning(attempt.call, profile)
        self._expected = generation.n or 1 if "generation.n" in profile.fields else 1
        self._incremental = is_incremental(attempt.call, profile)
        self._opened = False
        self._candidates: dict[int, _Candidate] = {}
        self._parts = PartNumbers()
        self._usage: Usage | None = None
        self._usages: dict[int, Usage] = {}
        """By candidate, where each is counted apart; by -1 for all of them."""
        self._cited = 0

    @property
    def ended(self) -> bool:
        """Never told."""
        return False

    @property
    def complete(self) -> bool:
        """Whether every candidate that was asked for has ended."""
        states = self._candidates.values()
        return len(states) >= self._expected and all(state.finished for state in states)

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """As the protocol says."""
        data = event.data
        if data.startswith(b"[") and data.strip() == b"[DONE]":
            return
        told = as_object(loose_json(data))
        self._take(told, events, status=alibaba.status_in(event), failed=event.name == "error")

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says."""
        told = as_object(loose_json(data))
        self._take(told, events, status=0, failed=False)
        if not self._candidates:
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no candidate")
        for index, state in self._candidates.items():
            if not state.finished:
                state.finished = True
                reason = FinishReason.TOOL_CALLS if state.calls else FinishReason.OTHER
                events.append(Finished(index, reason))
        self._expected = 1

    def _take(self, told: Mapping[str, Any], events: list[Event], *, status: int, failed: bool) -> None:
        if request_id := bounded_word(told.get("request_id")):
            self.place.request_id = request_id
        if failed or told.get("code") or status >= 400:
            raise answered_error(told, self.place, status=status)
        if not self._opened and request_id:
            self._opened = True
            self.place.response_id = request_id
            events.append(Opened(response_id=request_id, upstream_request_id=request_id))
        output = as_object(told.get("output"))
        choices = _choices(output)
        for position, choice in enumerate(choices):
            self._add_choice(_index(choice, position), choice, output, events)
        usage = _map_usage(told.get("usage"))
        if usage is not None:
            # An event of one of several candidates counts for that one alone.
            alone = len(choices) == 1 and self._expected > 1
            self._usages[_index(choices[0], 0) if alone else -1] = usage
            self._report(events)

    def _report(self, events: list[Event]) -> None:
        usage = self._usages.get(-1) or _sum(list(self._usages.values()))
        if usage != self._usage:
            self._usage = usage
            events.append(UsageReport(usage))

    def _add_choice(
        self, index: int, choice: Mapping[str, Any], output: Mapping[str, Any], events: list[Event]
    ) -> None:
        state = self._candidates.get(index)
        if state is None:
            if index >= _MAX_CANDIDATES:
                raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent too many candidates")
            state = self._candidates[index] = _Candidate()
        events.extend(self._deltas(index, state, choice))
        events.extend(self._citations(index, output))
        raw = bounded_word(choice.get("finish_reason"))
        # A text there, for an answer that goes on.
        if raw and raw != "null" and not state.finished:
            state.finished = True
            events.append(_map_finish(index, raw, called=bool(state.calls)))

    def _deltas(self, index: int, state: _Candidate, choice: Mapping[str, Any]) -> Iterator[Delta]:
        message = as_object(choice.get("message"))
        logprobs = map_logprobs(choice.get("logprobs"))
        thought = self._increment(state, "thought", as_text(message.get("reasoning_content")))
        if thought and not self._hidden:
            yield Delta(index, self._parts.of(index, DeltaKind.REASONING), DeltaKind.REASONING, thought)
        text = self._increment(state, "text", _text_of(message.get("content")))
        if text or logprobs:
            part = self._parts.of(index, DeltaKind.TEXT)
            yield Delta(index, part, DeltaKind.TEXT, text, logprobs=logprobs)
        for position, call in enumerate(as_list(message.get("tool_calls"))):
            if isinstance(call, dict) and (delta := self._map_call(index, state, position, call)) is not None:
                yield delta

    def _map_call(
        self, index: int, state: _Candidate, position: int, call: Mapping[str, Any]
    ) -> Delta | None:
        """Pieces are told by number; the id and the name that later ones repeat or leave empty say nothing new."""
        function = as_object(call.get("function"))
        told = whole_number(call.get("index"), 2**31)
        number = position if told is None else told
        known = number in state.calls
        name = as_text(function.get("name")) if not state.calls.get(number) else ""
        tool_id = "" if known else as_text(call.get("id")) or made_tool_id(self._attempt_id, index, number)
        state.calls[number] = state.calls.get(number, False) or bool(name)
        arguments = function.get("arguments")
        text = json_text(arguments) if isinstance(arguments, dict) else as_text(arguments)
        text = self._increment(state, number, text)
        if not (tool_id or name or text):
            return None
        part = self._parts.of(index, (DeltaKind.TOOL_CALL, number))
        return Delta(index, part, DeltaKind.TOOL_CALL, text, tool_id=tool_id, tool_name=name)

    def _increment(self, state: _Candidate, key: object, text: str) -> str:
        """What is new in a text; where events repeat the whole so far, one that does not is an increment after all."""
        if self._incremental or not self.place.streamed:
            return text
        before = state.told.get(key, "")
        if before and text.startswith(before):
            state.told[key] = text
            return text[len(before) :]
        state.told[key] = before + text
        return text

    def _citations(self, index: int, output: Mapping[str, Any]) -> Iterator[Delta]:
        """Pages that a search found; later events repeat them."""
        pages = as_list(as_object(output.get("search_info")).get("search_results"))
        fresh = [page for page in pages[self._cited :] if isinstance(page, dict)]
        self._cited = max(self._cited, len(pages))
        if fresh:
            citations = tuple(
                Citation(
                    url=as_text(page.get("url")),
                    title=as_text(page.get("title")),
                    document_id=bounded_word(page.get("index")),
                )
                for page in fresh
            )
            part = self._parts.of(index, DeltaKind.TEXT)
            yield Delta(index, part, DeltaKind.TEXT, citations=citations)


def _choices(output: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The candidates; the older format has one, as a text beside its finish reason."""
    choices = output.get("choices")
    if isinstance(choices, list):
        return [choice for choice in choices if isinstance(choice, dict)]
    if isinstance(output.get("text"), str):
        message = {"content": output.get("text")}
        return [{"message": message, "finish_reason": output.get("finish_reason")}]
    return []


def _index(choice: Mapping[str, Any], position: int) -> int:
    index = whole_number(choice.get("index"))
    return position if index is None else index


def _text_of(content: object) -> str:
    """A text, or the texts of a content of pieces."""
    if isinstance(content, list):
        return "".join(as_text(as_object(piece).get("text")) for piece in content)
    return as_text(content)


def _map_finish(index: int, raw: str, *, called: bool) -> Finished:
    return Finished(
        index, FinishReason.TOOL_CALLS if called else _FINISH.get(raw, FinishReason.OTHER), raw=raw
    )


def _map_usage(value: object) -> Usage | None:
    told = as_object(value)
    inputs = as_object(told.get("prompt_tokens_details")) or as_object(told.get("input_tokens_details"))
    outputs = as_object(told.get("output_tokens_details")) or as_object(told.get("completion_tokens_details"))
    prompt, completion = whole_number(told.get("input_tokens")), whole_number(told.get("output_tokens"))
    usage = Usage(
        input_tokens=prompt,
        output_tokens=completion,
        total_tokens=whole_number(told.get("total_tokens")),
        cached_input_tokens=part_of(prompt, inputs.get("cached_tokens")),
        reasoning_tokens=part_of(completion, outputs.get("reasoning_tokens")),
        cache_write_tokens=part_of(prompt, inputs.get("cache_creation_input_tokens")),
    )
    return None if usage == Usage() else usage


def _sum(usages: list[Usage]) -> Usage:
    """Of candidates that share a prompt."""
    first = usages[0]
    outputs = sum(usage.output_tokens or 0 for usage in usages)
    reasoning = [usage.reasoning_tokens for usage in usages if usage.reasoning_tokens is not None]
    return replace(
        first,
        output_tokens=outputs,
        total_tokens=None if first.input_tokens is None else first.input_tokens + outputs,
        reasoning_tokens=sum(reasoning) if reasoning else None,
    )
