"""Documents of one answer -> events: messages of an event stream, or one document that holds it all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import Event, Finished, FinishReason, Opened, SafetyRating, UsageReport
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.dialects.bedrock.blocks import Blocks
from pointsman_server.upstreams.dialects.bedrock.frames import EXCEPTION
from pointsman_server.upstreams.dialects.bedrock.guardrail import map_safety
from pointsman_server.upstreams.dialects.bedrock.refusal import answered_error, say
from pointsman_server.upstreams.dialects.bedrock.usage import map_usage
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import (
    as_list,
    as_object,
    as_text,
    block_number,
    loose_json,
)
from pointsman_server.upstreams.translation.faults import answer_id, bounded_word
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import hides_reasoning, origin

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.MAX_TOKENS,
    "model_context_window_exceeded": FinishReason.MAX_TOKENS,
    "tool_use": FinishReason.TOOL_CALLS,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "malformed_model_output": FinishReason.ERROR,
    "malformed_tool_use": FinishReason.ERROR,
}


class ConverseReader:
    """One answer. Why it ended comes ahead of what it cost and of what guardrails thought of it, which come last.

    Those are no end signal that the protocol promises: with the reason alone a clean end of the body is one.
    """

    __slots__ = ("_blocks", "_finished", "_opened", "_reason", "_safety", "_stop_sequence", "ended", "place")

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        self.place = Place(status, headers, answer_id(headers, profile.answer_id_headers))
        self.ended = False
        self._blocks = Blocks(
            attempt.upstream_id,
            profile.dialect,
            origin(profile, attempt.target.model),
            hidden=hides_reasoning(attempt.call, profile),
        )
        self._opened = False
        self._finished = False
        self._reason = ""
        self._stop_sequence = ""
        self._safety: tuple[SafetyRating, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it was told why it ended."""
        return bool(self._reason)

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """As the protocol says."""
        said = as_object(loose_json(event.data or b"{}"))
        if event.name.startswith(EXCEPTION):
            raise answered_error(say(said, event.name.removeprefix(EXCEPTION)), self.place)
        self._open(said, events)
        index = said.get("contentBlockIndex")
        match event.name:
            case "contentBlockDelta":
                self._blocks.delta(block_number(index), as_object(said.get("delta")), events)
            case "contentBlockStart":
                self._blocks.start(block_number(index), as_object(said.get("start")), events)
            case "contentBlockStop":
                self._blocks.stop(block_number(index), events)
            case "messageStop":
                self._blocks.stop_all(events)
                self._note_finish(said)
            case "metadata":
                self._note_usage(said, events)
                if self.complete:
                    self.at_end(events)
            case _:
                pass

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says."""
        answer = as_object(loose_json(data))
        message = as_object(as_object(answer.get("output")).get("message"))
        if not isinstance(message.get("content"), list):
            if "message" in answer or "__type" in answer:
                raise answered_error(say(answer, ""), self.place)
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no content")
        self._open(answer, events)
        for index, block in enumerate(as_list(message["content"])):
            self._blocks.whole(index, as_object(block), events)
        self._note_finish(answer)
        self._note_usage(answer, events)
        self.at_end(events)

    def at_end(self, events: list[Event]) -> None:
        """Tell how it ended, once."""
        if self._finished:
            return
        self._finished = self.ended = True
        reason = _FINISH.get(self._reason, FinishReason.OTHER)
        if self._blocks.called:
            reason = FinishReason.TOOL_CALLS
        events.append(Finished(0, reason, self._reason, self._stop_sequence, self._safety))

    def _open(self, said: dict[str, Any], events: list[Event]) -> None:
        """The wire names neither the answer nor the model."""
        if not self._opened:
            self._opened = True
            tier = bounded_word(as_object(said.get("serviceTier")).get("type"))
            events.append(Opened(service_tier=tier, upstream_request_id=self.place.request_id))

    def _note_finish(self, said: dict[str, Any]) -> None:
        self._reason = bounded_word(said.get("stopReason")) or self._reason
        # Told where the caller asked for it among the model's own fields.
        more = as_object(said.get("additionalModelResponseFields"))
        self._stop_sequence = as_text(more.get("stop_sequence"))

    def _note_usage(self, said: dict[str, Any], events: list[Event]) -> None:
        if (usage := map_usage(said.get("usage"))) is not None:
            events.append(UsageReport(usage))
        self._safety = map_safety(as_object(said.get("trace")).get("guardrail"))
