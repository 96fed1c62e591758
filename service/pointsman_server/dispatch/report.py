"""Where a call went and why, put together when it is asked for. Pure."""

from __future__ import annotations

from typing import TypeVar

from pointsman_server.context import CallContext, RoutingReport
from pointsman_server.dispatch.attempts import Attempts
from pointsman_server.dispatch.pricing import cost_of
from pointsman_server.dispatch.trial import Trial
from pointsman_server.domain import AnyCall, Warning
from pointsman_server.routing.plan import Plan

C = TypeVar("C", bound=AnyCall)


def report_of(
    call: AnyCall, context: CallContext, plan: Plan | None, attempts: Attempts[C], *,
    queue_s: float, now: float, notes: tuple[Warning, ...],
) -> RoutingReport:  # fmt: skip
    """The report of a call; without a plan it was refused before one was made.

    While an attempt runs, and after a failure, `served` and what belongs to it are those of the last attempt.
    """
    trial = attempts.last
    first_at = trial.first_content_at if trial is not None else None
    return RoutingReport(
        model=plan.model if plan is not None else call.model,
        policy=plan.policy if plan is not None else "",
        decision_reason=_decision(plan, trial),
        attempts=tuple(attempts.records),
        served=trial.attempt.target if trial is not None else None,
        opened=trial.opened if trial is not None else None,
        fallback_used=trial is not None and trial.candidate.fallback > 0,
        queue_s=queue_s,
        first_content_s=None if first_at is None else first_at - context.started_at,
        total_s=now - context.started_at,
        warnings=notes if trial is None else notes + trial.candidate.warnings,
        usage=trial.usage if trial is not None else None,
        cost=cost_of(trial.usage, trial.candidate.view.prices) if trial is not None else None,
    )


def _decision(plan: Plan | None, trial: Trial[C] | None) -> str:
    if plan is None:
        return ""
    return plan.reason if trial is None else f"{plan.reason}; {trial.candidate.reason}"
