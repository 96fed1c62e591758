"""Documents of one answer -> events, with the end of the stream and errors that are told in it."""

from __future__ import annotations

from dataclasses import replace

from pointsman_server.context import Attempt
from pointsman_server.domain import Delta, DeltaKind, Event, Opened
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.dialects.openai.answer import AnswerEvents
from pointsman_server.upstreams.dialects.openai.chunk import Chunk, read_chunk, read_plain
from pointsman_server.upstreams.translation.alibaba import status_in
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import loose_json
from pointsman_server.upstreams.translation.error_objects import answered_error, say, told_id
from pointsman_server.upstreams.translation.faults import DETAILS, Said, answer_id, bounded_word
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import hides_reasoning, origin


class ChatReader:
    """One answer. Complete is: every candidate that was seen has a finish reason, and then [DONE] or the body's end.

    [DONE] alone proves nothing, since it follows an error too; its absence proves nothing either.
    """

    __slots__ = ("_answer", "_codes", "_expected", "_plain", "ended", "place")

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        generation = attempt.call.generation
        self.place = Place(status, headers, answer_id(headers, profile.answer_id_headers))
        self.ended = False
        self._codes = profile.error_codes
        self._answer = AnswerEvents(
            attempt.upstream_id, self.place, reasoning=not hides_reasoning(attempt.call, profile),
            origin=origin(profile, attempt.target.model),
            late_ratings=profile.late_ratings,
        )  # fmt: skip
        self._expected = generation.n or 1 if "generation.n" in profile.fields else 1
        self._plain = False

    @property
    def complete(self) -> bool:
        """Whether every candidate that was asked for has ended."""
        return self._answer.finished >= self._expected

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """As the protocol says."""
        data = event.data
        if self._plain and (choice := read_plain(data)) and self._answer.add_plain(choice, events):
            return
        self._take(event, events)
        # Text comes in runs: what the last chunk was, the next one is tried as.
        self._plain = bool(events) and type(last := events[-1]) is Delta and last.kind is DeltaKind.TEXT

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says."""
        chunk = read_chunk(data)
        if chunk is not None and chunk.error:
            self._fail(chunk, events)
        if chunk is None or not chunk.choices:
            document = loose_json(data)
            said = say(document)
            if said is not None:
                raise self._told(said, told_id(document))
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no candidate")
        self._answer.add(chunk, events)
        self._answer.finish_whole(events)
        self._answer.release(events)
        if not self._answer.opened:
            events.insert(0, Opened(upstream_request_id=self.place.request_id))
        self.ended = True

    def at_end(self, events: list[Event]) -> None:
        """Append the finish reasons that waited for judgements behind them."""
        self._answer.release(events)

    def _take(self, event: SseEvent, events: list[Event]) -> None:
        data = event.data
        if data.startswith(b"[") and data.strip() == b"[DONE]":
            if not self._answer.finished:
                raise ServiceError(Reason.UPSTREAM_TRUNCATED, DETAILS[Reason.UPSTREAM_TRUNCATED])
            self.at_end(events)
            self.ended = True
            return
        chunk = read_chunk(data)
        if chunk is None:
            document = loose_json(data)
            said = say(document)
            if said is not None or event.name == "error":
                raise self._told(said, told_id(document), status_in(event))
        elif chunk.error:
            self._fail(chunk, events, status_in(event))
        else:
            self._answer.add(chunk, events)

    def _fail(self, chunk: Chunk, events: list[Event], status: int = 0) -> None:
        """An error may come beside content (OpenRouter); its finish reason only repeats it."""
        for choice in chunk.choices or ():
            choice.finish_reason = None
        self._answer.add(chunk, events)
        said = say({"error": chunk.error, "error_type": chunk.error_type})
        raise self._told(said, bounded_word(chunk.request_id), status)

    def _told(self, said: Said | None, request_id: str, status: int = 0) -> ServiceError:
        """An error under 200. Its status is its code, or what a comment of the stream says (DashScope)."""
        said = said or Said()
        if not said.status and status >= 400:
            said = replace(said, status=status)
        self.place.request_id = self.place.request_id or request_id
        return answered_error(
            said, self.place.fault(stream_status=said.status), self.place.headers, self._codes
        )
