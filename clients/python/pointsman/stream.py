"""What a streamed answer looks like to a caller, and the books that both clients keep of it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman import v1
from pointsman.answer import Generation, Usage
from pointsman.call import PreparedCall
from pointsman.errors import StreamTruncated, truncated
from pointsman.fold import Fold


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One message of a stream. `text` and `reasoning` are the first candidate's; `deltas` are everybody's."""

    raw: v1.StreamGenerateResponse

    @property
    def text(self) -> str:
        """The text that came; empty where none did, so that it can always be printed."""
        return "".join(delta.text for delta in self.raw.deltas if not delta.candidate_index)

    @property
    def reasoning(self) -> str:
        """The reasoning that came."""
        return "".join(delta.reasoning for delta in self.raw.deltas if not delta.candidate_index)

    @property
    def refusal(self) -> str:
        """The words of refusal that came."""
        return "".join(delta.refusal for delta in self.raw.deltas if not delta.candidate_index)

    @property
    def deltas(self) -> tuple[v1.Delta, ...]:
        """All that came, in order; a tool call's identity is its candidate and part index."""
        return tuple(self.raw.deltas)

    @property
    def discard(self) -> bool:
        """Everything received before this event is void: another backend begins anew."""
        return self.raw.rerouted.discard

    @property
    def rerouted(self) -> v1.Rerouted | None:
        """Another backend took over after content had come. Only where `on_interrupt` asked for it."""
        return self.raw.rerouted if self.raw.HasField("rerouted") else None

    @property
    def started(self) -> v1.Started | None:
        """Which backend answers; with the first content."""
        return self.raw.started if self.raw.HasField("started") else None

    @property
    def finished(self) -> tuple[v1.CandidateFinished, ...]:
        """Candidates that ended."""
        return tuple(self.raw.candidate_finished)

    @property
    def usage(self) -> Usage | None:
        """Usage so far, where `include_usage_updates` asked for it."""
        return Usage(self.raw.usage_update) if self.raw.HasField("usage_update") else None

    @property
    def completed(self) -> v1.Completed | None:
        """The answer is whole; in the last event."""
        return self.raw.completed if self.raw.HasField("completed") else None


class StreamBooks:
    """What is known of one stream: both clients feed it, and answer from it."""

    def __init__(self, request: v1.GenerateRequest) -> None:
        self._fold = Fold()
        self._next = 0
        self._may_restart = request.routing.on_interrupt == v1.ROUTING_OPTIONS_ON_INTERRUPT_RESTART

    @property
    def has_content(self) -> bool:
        """Whether content came that is still valid."""
        return self._fold.has_content

    def take(self, frame: v1.StreamGenerateResponse, call: PreparedCall) -> StreamEvent:
        """Enters one message."""
        if frame.sequence != self._next:
            raise self._truncated(f"message {self._next} of the stream is missing", call)
        self._next += 1
        self._fold.add(frame)
        return StreamEvent(frame)

    def check_complete(self, call: PreparedCall) -> None:
        """The stream ended OK: is the answer whole?"""
        if not self._fold.completed:
            raise self._truncated("the stream ended before the answer was whole", call)

    def leave(self, call: PreparedCall, error: BaseException | None) -> None:
        """The caller is done with the stream, at its end or before."""
        call.span.end(None if self._fold.completed else error or GeneratorExit())

    def _truncated(self, message: str, call: PreparedCall) -> StreamTruncated:
        error = truncated(message, call.request_id, content_delivered=self.has_content)
        call.span.end(error)
        return error

    def check_text_alone_will_do(self) -> None:
        """Text pieces alone cannot say that earlier ones are void."""
        if self._may_restart:
            raise ValueError("on_interrupt restart can void what came: iterate the events and mind `discard`")

    def partial(self, request_id: str) -> Generation:
        """The answer as far as it has come."""
        response = self._fold.response()
        return Generation(response, response.routing.request_id or request_id)

    def result(self, request_id: str) -> Generation:
        """The whole answer."""
        if not self._fold.completed:
            raise RuntimeError("the answer is not whole yet: iterate to the end first, or ask for `partial`")
        return self.partial(request_id)
