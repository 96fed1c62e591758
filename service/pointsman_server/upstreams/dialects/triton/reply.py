"""Responses of one answer -> events, however they came: there may be one, many or none."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pointsman_server.domain import (
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
from pointsman_server.upstreams.dialects.triton.styles import Setup
from pointsman_server.upstreams.translation.faults import bounded_word, clean_text

MAX_CANDIDATES = 64
"""Elements of one text output."""
_MAX_COUNT = 2**40
_FINISH: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "end_id": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "stop_words": FinishReason.STOP,
    "length": FinishReason.MAX_TOKENS,
    "max_tokens": FinishReason.MAX_TOKENS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
"""Of models that tell one, in lower case."""
_NOT_YET = frozenset({"", "none", "null", "not_finished"})
_UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Response:
    """One response, as far as it is read."""

    id: str = ""
    model: str = ""
    texts: tuple[str | bytes, ...] | None = None
    """One for each candidate; None where the response has no such output."""
    finish: tuple[str, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(slots=True)
class _Candidate:
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )
    """A response may end within a character."""
    said: str = ""
    """What was passed on; kept where each response repeats it."""
    finish: str = ""


class Reply:
    """Collects the responses of one answer."""

    __slots__ = ("_candidates", "_input", "_opened", "_output", "_seen", "_setup", "_spoke")

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._candidates: dict[int, _Candidate] = {}
        self._opened = False
        self._seen = self._spoke = False
        self._input: int | None = None
        self._output: int | None = None

    def take(self, response: Response, events: list[Event]) -> None:
        """Append what a response tells. Raises ServiceError UPSTREAM_BAD_RESPONSE for one that makes no sense."""
        self._seen = True
        if not self._opened:
            self._opened = True
            events.append(Opened(response_id=response.id, model=response.model))
        if response.texts is not None:
            self._spoke = True
            if len(response.texts) > MAX_CANDIDATES:
                raise _bad(f"has more than {MAX_CANDIDATES} texts in one response")
            for index, text in enumerate(response.texts):
                self._say(index, self._text(self._candidate(index), text), events)
        for index, word in enumerate(response.finish[:MAX_CANDIDATES]):
            if word.lower() not in _NOT_YET:
                self._candidate(index).finish = bounded_word(word)
        if response.input_tokens is not None:
            self._input = response.input_tokens
        if response.output_tokens is not None:
            self._output = min((self._output or 0) + response.output_tokens, _MAX_COUNT)

    def end(self, events: list[Event]) -> None:
        """Append what only the end tells. Raises ServiceError UPSTREAM_BAD_RESPONSE where no text ever came."""
        if self._seen and not self._spoke:
            raise _bad(f"has no output {self._setup.written.text_output}")
        for index, candidate in self._candidates.items():
            if not self._setup.written.cumulative:
                self._say(index, candidate.decoder.decode(b"", final=True), events)
        for index in sorted({0, *self._candidates}):
            raw = self._candidate(index).finish
            events.append(Finished(index, _map_finish(raw), raw=raw))
        if (usage := self._usage()) is not None:
            events.append(UsageReport(usage))

    def _candidate(self, index: int) -> _Candidate:
        return self._candidates.setdefault(index, _Candidate())

    def _say(self, index: int, text: str, events: list[Event]) -> None:
        if text:
            events.append(Delta(index, 0, DeltaKind.TEXT, text))

    def _text(self, candidate: _Candidate, told: str | bytes) -> str:
        """What of a response's text is new."""
        if not self._setup.written.cumulative:
            return candidate.decoder.decode(told) if isinstance(told, bytes) else clean_text(told)
        whole = told.decode("utf-8", "replace") if isinstance(told, bytes) else clean_text(told)
        # A character that is not whole yet looks like an unknown one.
        whole = whole.rstrip(_UNKNOWN_CHARACTER)
        if not whole.startswith(candidate.said):
            raise _bad("took back what it had said; is the model's output cumulative?")
        new = whole[len(candidate.said) :]
        candidate.said = whole
        return new

    def _usage(self) -> Usage | None:
        if self._input is None and self._output is None:
            return None
        total = None if self._input is None or self._output is None else self._input + self._output
        return Usage(input_tokens=self._input, output_tokens=self._output, total_tokens=total)


def _map_finish(raw: str) -> FinishReason:
    """Most models tell none: an answer that came to its end stopped."""
    return _FINISH.get(raw.lower(), FinishReason.OTHER) if raw else FinishReason.STOP


def count_of(values: Iterable[object]) -> int | None:
    """Whole numbers from 0, added up; None where there is none."""
    found = [value for value in values if type(value) is int and 0 <= value <= _MAX_COUNT]
    return sum(found) if found else None


def _bad(what: str) -> ServiceError:
    return ServiceError(Reason.UPSTREAM_BAD_RESPONSE, f"the upstream's answer {what}")
