"""Batches of events -> frames of StreamGenerate, by the contract's rules on order, merging and its two ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pointsman import v1 as pb
from pointsman_server.context import RoutingReport
from pointsman_server.domain import Call, Delta, DeltaKind, Event, Finished, Opened, Usage, UsageReport
from pointsman_server.server.codec.answer import (
    Identity,
    encode_logprobs,
    encode_safety,
    encode_usage,
    encode_warning,
)
from pointsman_server.server.codec.clean import cleaned
from pointsman_server.server.codec.content import encode_citations, encode_part
from pointsman_server.server.codec.enums import PB_FINISH_REASONS, PB_REASONING_KINDS
from pointsman_server.server.codec.routing import encode_routing, encode_started
from pointsman_server.server.codec.scalars import encode_time

_MERGED = frozenset((DeltaKind.TEXT, DeltaKind.REASONING, DeltaKind.REFUSAL, DeltaKind.TOOL_CALL))


class StreamEncoder:
    """The frames of one stream. Pure but for the report that it asks for at the first content."""

    __slots__ = (
        "_call", "_candidates", "_finished", "_held", "_identity", "_opened", "_report", "_sequence", "_started",
        "_usage", "last_finished",
    )  # fmt: skip

    def __init__(self, call: Call, report: Callable[[], RoutingReport], identity: Identity) -> None:
        self._call = call
        self._candidates = call.generation.n or 1
        self._report = report
        self._identity = identity
        self._opened: Opened | None = None
        self._finished: set[int] = set()
        self._held: list[Event] = []
        self._sequence = 0
        self._started = False
        self._usage: Usage | None = None
        self.last_finished: Finished | None = None

    def frame(self, batch: Sequence[Event]) -> pb.StreamGenerateResponse | None:
        """The frame for a batch; None where there is nothing to tell yet.

        Two things wait: what comes before the first content, and, once every candidate has ended, the rest, since
        the end of the stream is then at hand and shares its message.
        """
        if self._started and not self._held and (message := self._plain(batch)) is not None:
            return message
        if not self._started and not self._begins(batch):
            self._held.extend(batch)
            return None
        self._note_ends(batch)
        if len(self._finished) >= self._candidates:
            self._held.extend(batch)
            return None
        return self._encode(batch)

    def _plain(self, batch: Sequence[Event]) -> pb.StreamGenerateResponse | None:
        """The frame for text of one part and nothing else, which is nearly every batch; None for any other."""
        texts: list[str] = []
        first: Delta | None = None
        for event in batch:
            if type(event) is not Delta or not _is_plain(event):
                return None
            if first is None:
                first = event
            elif event.part != first.part or event.candidate != first.candidate:
                return None
            texts.append(event.text)
        if first is None:
            return None
        message = pb.StreamGenerateResponse()
        delta = message.deltas.add()
        try:
            delta.text = "".join(texts)
        except UnicodeEncodeError:
            return None
        if first.part:
            delta.part_index = first.part
        if first.candidate:
            delta.candidate_index = first.candidate
        message.sequence = self._sequence
        self._sequence += 1
        return message

    def flush(self) -> pb.StreamGenerateResponse | None:
        """What was held back, for a stream that fails after all."""
        held, self._held = self._held, []
        return self._encode(held) if held and (self._started or self._begins(held)) else None

    def finish(self, report: RoutingReport) -> pb.StreamGenerateResponse:
        """The last message: what was held back, and `completed`."""
        held, self._held = self._held, []
        message = self._encode(held, last=True) or self._message()
        try:
            self._complete(message.completed, report)
        except UnicodeEncodeError:
            self._complete(message.completed, cleaned(report))
        return message

    def _begins(self, batch: Sequence[Event]) -> bool:
        return any(type(event) is Finished or (type(event) is Delta and not event.empty) for event in batch)

    def _note_ends(self, batch: Sequence[Event]) -> None:
        for event in batch:
            if type(event) is Finished:
                self._finished.add(event.candidate)
                self.last_finished = event

    def _message(self) -> pb.StreamGenerateResponse:
        message = pb.StreamGenerateResponse()
        message.sequence = self._sequence
        self._sequence += 1
        return message

    def _encode(self, batch: Sequence[Event], *, last: bool = False) -> pb.StreamGenerateResponse | None:
        if self._held:
            batch, self._held = [*self._held, *batch], []
        if not batch:
            return None
        sequence, opened = self._sequence, self._opened
        try:
            return self._fill(batch, last)
        except UnicodeEncodeError:
            self._sequence, self._opened = sequence, opened
            return self._fill(cleaned(tuple(batch)), last)

    def _fill(self, batch: Sequence[Event], last: bool) -> pb.StreamGenerateResponse | None:
        message = self._message()
        usage: Usage | None = None
        run: list[Delta] = []
        for event in batch:
            if type(event) is Delta:
                if event.empty:
                    continue
                if run and not _continues(run[0], event):
                    _encode_run(message.deltas.add(), run)
                    run = []
                run.append(event)
            elif type(event) is Finished:
                _encode_finished(message.candidate_finished.add(), event)
            elif type(event) is UsageReport:
                usage = self._usage = event.usage
            elif type(event) is Opened:
                self._opened = event
        if run:
            _encode_run(message.deltas.add(), run)
        if usage is not None and self._call.stream_options.include_usage_updates and not last:
            encode_usage(message.usage_update, usage)
        return self._accept(message, last)

    def _accept(self, message: pb.StreamGenerateResponse, last: bool) -> pb.StreamGenerateResponse | None:
        tells = bool(message.deltas or message.candidate_finished)
        if tells and not self._started:
            self._encode_started(message.started)
            self._started = True
        if tells or last or message.HasField("usage_update"):
            return message
        self._sequence -= 1
        return None

    def _encode_started(self, message: pb.Started) -> None:
        report = self._report()
        opened = self._opened or report.opened or _UNNAMED
        encode_started(message, report, include_attempts=self._call.stream_options.include_routing_events)
        message.response_id = opened.response_id or self._identity.response_id
        encode_time(
            message.create_time, self._identity.wall_s if opened.created_s is None else opened.created_s
        )

    def _complete(self, message: pb.Completed, report: RoutingReport) -> None:
        message.Clear()
        usage = report.usage or self._usage
        if usage is not None:
            encode_usage(message.usage, usage, report.cost)
        encode_routing(message.routing, report, self._identity.request_id)
        for warning in report.warnings:
            encode_warning(message.warnings.add(), warning)


_UNNAMED = Opened()


def _is_plain(delta: Delta) -> bool:
    return bool(
        delta.kind is DeltaKind.TEXT
        and delta.text
        and not (delta.logprobs or delta.citations or delta.origin or delta.tool_id or delta.tool_name)
        and delta.reasoning_kind is None
    )


def _continues(first: Delta, after: Delta) -> bool:
    """Whether a delta may be told as one with the run before it: it extends the same thing and says nothing else."""
    return (
        first.kind is after.kind
        and first.part == after.part
        and first.candidate == after.candidate
        and after.kind in _MERGED
        and not (after.tool_id or after.tool_name)
        and (after.reasoning_kind is None or after.reasoning_kind is first.reasoning_kind)
        and (not after.origin or after.origin == first.origin)
    )


def _encode_run(message: pb.Delta, run: list[Delta]) -> None:
    first = run[0]
    if first.candidate:
        message.candidate_index = first.candidate
    if first.part:
        message.part_index = first.part
    _encode_content(message, first, first.text if len(run) == 1 else "".join([delta.text for delta in run]))
    if first.reasoning_kind is not None:
        message.reasoning_kind = PB_REASONING_KINDS[first.reasoning_kind]
    if first.origin:
        message.origin = first.origin
    for delta in run:
        if delta.logprobs:
            encode_logprobs(message.logprobs.tokens, delta.logprobs)
        if delta.citations:
            encode_citations(message.citations, delta.citations)


def _encode_content(message: pb.Delta, first: Delta, text: str) -> None:
    kind = first.kind
    if kind is DeltaKind.TEXT:
        # A delta of log probabilities or citations alone has no content.
        if text:
            message.text = text
    elif kind is DeltaKind.REASONING:
        message.reasoning = text
    elif kind is DeltaKind.TOOL_CALL:
        call = message.tool_call
        call.id, call.name, call.arguments_json = first.tool_id, first.tool_name, text
    elif kind is DeltaKind.REFUSAL:
        message.refusal = text
    elif kind is DeltaKind.SIGNATURE:
        message.signature = first.data
    elif first.whole is not None:
        encode_part(message.part, first.whole)


def _encode_finished(message: pb.CandidateFinished, finished: Finished) -> None:
    message.candidate_index = finished.candidate
    message.finish_reason = PB_FINISH_REASONS[finished.reason]
    if finished.raw:
        message.finish_reason_raw = finished.raw
    if finished.stop_sequence:
        message.stop_sequence = finished.stop_sequence
    if finished.safety:
        encode_safety(message.safety, finished.safety)
