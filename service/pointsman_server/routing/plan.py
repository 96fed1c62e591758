"""What routing decides: an ordered list of candidates, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pointsman_server.context import Target
from pointsman_server.domain import Call, Warning
from pointsman_server.routing.fleet import BackendBook


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target of a model as routing sees it."""

    target: Target
    book: BackendBook
    weight: int
    group: int
    input_token_limit: int
    unsupported: Callable[[Call], Sequence[Warning]]
    """What of a call it cannot honour."""


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model as routing sees it."""

    name: str
    policy: str
    targets: tuple[TargetView, ...]
    fallbacks: tuple[str, ...]


class FleetView(Protocol):
    """The models of one configuration; a cheap reference, taken once per call."""

    def model(self, name: str) -> ModelView | None:
        """A model by name or alias."""

    def place(self, backend: str, model: str) -> TargetView | None:
        """A backend as a target for a model that does not list it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place to try."""

    view: TargetView
    model: str
    """The caller-facing model that it belongs to; differs from the plan's for a fallback."""
    group: int
    reason: str
    warnings: tuple[Warning, ...]
    """What it will not honour of this call."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a call may go, best first."""

    model: str
    policy: str
    candidates: tuple[Candidate, ...]
    reason: str
    """Why in this order, for people."""
