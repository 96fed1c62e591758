"""The same backend as several workers see it -> one, for operators. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pointsman_server.routing.view import BackendInfo, BackendState

_WORST_FIRST = (
    BackendState.DRAINING,
    BackendState.UNREACHABLE,
    BackendState.EJECTED,
    BackendState.COOLING_DOWN,
    BackendState.HALF_OPEN,
    BackendState.HEALTHY,
)


def merged(views: Sequence[Sequence[BackendInfo]]) -> list[BackendInfo]:
    """All backends and endpoints by name; each view is one worker's."""
    by_name: dict[str, list[BackendInfo]] = {}
    for view in views:
        for info in view:
            by_name.setdefault(info.name, []).append(info)
    return [one(by_name[name]) for name in sorted(by_name)]


def one(seen: Sequence[BackendInfo]) -> BackendInfo:
    """One backend: loads and limits add up, rates are means, and the worst state that any worker sees is its state.

    Where they differ the reason says how many see it so. `seen` is not empty.
    """
    state = min((info.state for info in seen), key=_rank)
    worst = [info for info in seen if info.state is state]
    reason = next((info.state_reason for info in worst if info.state_reason), "")
    if len(worst) < len(seen):
        share = f"in {len(worst)} of {len(seen)} workers"
        reason = f"{reason} ({share})" if reason else share
    return replace(
        seen[0],
        state=state,
        state_reason=reason,
        state_until_wall_s=max(_known(info.state_until_wall_s for info in worst), default=None),
        in_flight_requests=sum(info.in_flight_requests for info in seen),
        in_flight_tokens=sum(info.in_flight_tokens for info in seen),
        first_token_ewma_s=_mean(_known(info.first_token_ewma_s for info in seen)),
        error_ratio=sum(info.error_ratio for info in seen) / len(seen),
        concurrency_limit=sum(info.concurrency_limit for info in seen),
    )


def _rank(state: BackendState) -> int:
    return _WORST_FIRST.index(state)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
