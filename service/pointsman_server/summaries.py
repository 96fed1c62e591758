"""Summaries of conversations: asked of a configured model on the way that any call goes, for the service itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from pointsman_server.clock import Clock
from pointsman_server.config.schema import Summary
from pointsman_server.context import CallContext, RoutingReport
from pointsman_server.dispatch.dispatcher import Dispatcher
from pointsman_server.domain import (
    Call,
    Conversation,
    Generation,
    Media,
    Message,
    Part,
    ProviderPart,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.server.status import internal
from pointsman_server.telemetry.facade import CallRecord, Telemetry

_SHARE = 0.5
"""Of what is left of the call's deadline."""


class ModelSummaries:
    """Asks the model that the settings name."""

    def __init__(
        self,
        dispatcher: Callable[[], Dispatcher],
        telemetry: Telemetry,
        clock: Clock,
        next_nonce: Callable[[], str],
    ) -> None:
        self._dispatcher = dispatcher
        self._telemetry = telemetry
        self._clock = clock
        self._next_nonce = next_nonce

    async def summarise(self, messages: Sequence[Message], settings: Summary, context: CallContext) -> str:
        """The summary's text. Raises ServiceError when the model fails, is late, or has nothing to say."""
        call = Call(
            settings.model,
            Conversation(
                (
                    Message(Role.SYSTEM, (Part(Text(settings.instructions)),)),
                    Message(Role.USER, (Part(Text(transcript(messages))),)),
                )
            ),
            Generation(max_output_tokens=settings.max_output_tokens),
        )
        inner = self._context(context, settings)
        run = self._dispatcher().open(call, inner)
        report: RoutingReport | None = None
        reason: Reason | None = Reason.CANCELLED
        try:
            try:
                async with run:
                    answer = await run.complete()
            finally:
                report = run.report()
            reason = None
        except ServiceError as error:
            reason = error.reason
            raise
        except Exception as error:
            reason = Reason.INTERNAL
            raise internal(error) from error
        finally:
            self._record(inner, report, reason)
        parts = answer.candidates[0].parts if answer.candidates else ()
        text = "".join(part.content.text for part in parts if isinstance(part.content, Text)).strip()
        if not text:
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the summary is empty")
        return text

    def _context(self, context: CallContext, settings: Summary) -> CallContext:
        now = self._clock.now()
        patience_s = min(settings.timeout_s, context.deadline.remaining(now) * _SHARE)
        return replace(
            context,
            principal=replace(context.principal, models=None),
            deadline=context.deadline.within(now, patience_s),
            started_at=now,
            nonce=self._next_nonce(),
            stream=False,
        )

    def _record(self, context: CallContext, report: RoutingReport | None, reason: Reason | None) -> None:
        self._telemetry.inner_ended(
            CallRecord(
                context=context,
                code="OK" if reason is None else reason.value,
                reason=reason,
                duration_s=self._clock.now() - context.started_at,
                report=report,
            ),
            purpose="summary",
        )


def transcript(messages: Sequence[Message]) -> str:
    """Messages as plain text; what is no text is named. Pure."""
    return "\n".join(
        f"{message.role.value.lower()}: {text}"
        for message in messages
        for part in message.parts
        if (text := _said(part))
    )


def _said(part: Part) -> str:
    match part.content:
        case Text(text) | Refusal(text):
            return text
        case ToolCall(_, name, arguments_json):
            return f"[calls {name} with {arguments_json or '{}'}]"
        case ToolResult(parts=parts, is_error=is_error):
            text = " ".join(_said(inner) for inner in parts)
            return f"[{'tool failed' if is_error else 'tool result'}: {text}]"
        case Media(kind):
            return f"[{kind.value}]"
        case Reasoning() | ProviderPart():
            return ""
        case _:
            assert_never(part.content)
