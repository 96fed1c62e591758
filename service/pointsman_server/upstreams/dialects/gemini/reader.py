"""Documents of one answer -> events. Every document of a stream is an answer in itself, of which the next goes on."""

from __future__ import annotations

from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import Event, Finished, FinishReason, Opened, Usage, UsageReport
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.dialects.gemini.candidate import Candidate, map_ratings
from pointsman_server.upstreams.dialects.gemini.refusal import answered_error
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_list, as_object, loose_json, part_of
from pointsman_server.upstreams.translation.faults import DETAILS, bounded_word, whole_number
from pointsman_server.upstreams.translation.profile import Profile

MAX_CANDIDATES = 128


class GeminiReader:
    """One answer, in one document, in many, or in a list of them (a stream that did not ask for events).

    The protocol has no end signal: an answer is complete when every candidate has a finish reason and the body ends.
    Until then a finish reason is provisional, since some servers tell one with every piece.
    """

    __slots__ = (
        "_attempt",
        "_blocked",
        "_candidates",
        "_expected",
        "_opened",
        "_profile",
        "_usage",
        "ended",
        "place",
    )

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        generation = attempt.call.generation
        self.place = Place(status, headers)
        self.ended = False
        self._attempt = attempt
        self._profile = profile
        self._expected = generation.n or 1 if "generation.n" in profile.fields else 1
        self._opened = False
        self._blocked: Finished | None = None
        self._candidates: dict[int, Candidate] = {}
        self._usage: Usage | None = None

    @property
    def complete(self) -> bool:
        """Whether the prompt was refused, or every candidate that was asked for has ended."""
        if self._blocked is not None:
            return True
        candidates = self._candidates.values()
        return len(candidates) >= self._expected and all(candidate.raw for candidate in candidates)

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """As the protocol says."""
        self._take(loose_json(event.data), events)

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says."""
        document = loose_json(data)
        self.place.streamed = isinstance(document, list)
        self._take(document, events)
        if not (self._candidates or self._blocked):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no candidate")
        if isinstance(document, list) and not self.complete:
            raise ServiceError(Reason.UPSTREAM_TRUNCATED, DETAILS[Reason.UPSTREAM_TRUNCATED])
        self.at_end(events)

    def at_end(self, events: list[Event]) -> None:
        """Tell how the candidates ended, once. Raises ServiceError when none of them came to a good end."""
        if self.ended:
            return
        self.ended = True
        if self._blocked is not None and not self._candidates:
            events.append(self._blocked)
            return
        candidates = [candidate for _, candidate in sorted(self._candidates.items())]
        for candidate in candidates:
            candidate.finish(events)
        if all(candidate.failed for candidate in candidates):
            raise candidates[0].fault(self.place)

    def _take(self, document: object, events: list[Event]) -> None:
        """One document, or a list of them, as which some servers wrap errors as well."""
        for one in document if isinstance(document, list) else [document]:
            if isinstance(one, dict):
                if one.get("error"):
                    raise answered_error(one, self.place)
                self._add(one, events)

    def _add(self, document: dict[str, Any], events: list[Event]) -> None:
        if not self._opened and ("responseId" in document or "modelVersion" in document):
            events.append(self._map_opened(document))
        feedback = as_object(document.get("promptFeedback"))
        if blocked := bounded_word(feedback.get("blockReason")):
            ratings = map_ratings(feedback.get("safetyRatings"))
            self._blocked = Finished(0, FinishReason.CONTENT_FILTER, raw=blocked, safety=ratings)
        for position, said in enumerate(as_list(document.get("candidates"))):
            if isinstance(said, dict):
                self._candidate(said.get("index"), position).add(said, events)
        usage = _map_usage(as_object(document.get("usageMetadata")))
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageReport(usage))

    def _map_opened(self, document: dict[str, Any]) -> Opened:
        self._opened = True
        self.place.response_id = bounded_word(document.get("responseId"))
        return Opened(self.place.response_id, bounded_word(document.get("modelVersion")))

    def _candidate(self, number: object, position: int) -> Candidate:
        """By its index; the form of the wire leaves out one that is 0."""
        index = position if number is None else whole_number(number, MAX_CANDIDATES - 1)
        if index is None or index >= MAX_CANDIDATES:
            raise ServiceError(
                Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent a candidate without a usable index"
            )
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = self._candidates[index] = Candidate(index, self._attempt, self._profile)
        return candidate


def _map_usage(said: dict[str, Any]) -> Usage | None:
    """Thoughts are told beside the answer's tokens, and what tools of the server read beside the prompt's."""
    prompt, answer = (
        whole_number(said.get("promptTokenCount")),
        whole_number(said.get("candidatesTokenCount")),
    )
    thoughts, read = (
        whole_number(said.get("thoughtsTokenCount")),
        whole_number(said.get("toolUsePromptTokenCount")),
    )
    inputs, outputs = _sum(prompt, read), _sum(answer, thoughts)
    usage = Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=whole_number(said.get("totalTokenCount")),
        cached_input_tokens=part_of(inputs, said.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
    )
    return None if usage == Usage() else usage


def _sum(*counts: int | None) -> int | None:
    told = [count for count in counts if count is not None]
    return min(sum(told), 2**63 - 1) if told else None
