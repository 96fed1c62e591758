"""What routing decides: an ordered list of candidates, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from pointsman_server.context import Target
from pointsman_server.domain import AnyCall, Call, Message, Operation, Prices, TokenCount, Tool, Warning
from pointsman_server.routing.fleet import BackendBook
from pointsman_server.values import value


@value(frozen=True, slots=True)
class TargetView:
    """One target of a model as routing sees it."""

    target: Target
    book: BackendBook
    weight: float
    group: int
    input_token_limit: int
    unsupported: Callable[[AnyCall], Sequence[Warning]]
    """What of a call it cannot honour."""
    prices: Prices | None = None
    """What it costs; None where that is not known."""
    priority: int = 0
    """Within its group; a higher number is used only when no lower one can serve."""
    vacant: bool = False
    """Whether it stands for a backend that has no endpoint now: never a candidate, but it may have one soon."""


class Weights(NamedTuple):
    """What parts of a conversation take, in tokens."""

    messages: tuple[int, ...]
    tools: int
    """All that are on offer."""


class Tokenizer(Protocol):
    """A model's own tokenizer, here."""

    async def count(self, call: Call) -> TokenCount:
        """How many tokens the question takes. Raises ServiceError INVALID_REQUEST as its encoding would."""

    async def weigh(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Weights | None:
        """How many tokens each message takes, about; None where it has no tokens for them."""


@value(frozen=True, slots=True)
class ModelView:
    """One model as routing sees it."""

    name: str
    policy: str
    targets: tuple[TargetView, ...]
    fallbacks: tuple[str, ...]
    operations: frozenset[Operation] = frozenset({Operation.GENERATE})
    """What may be asked of it, beside counting tokens."""
    tokenizer: Tokenizer | None = None
    """Counts where no backend can."""


class FleetView(Protocol):
    """The models of one configuration; a cheap reference, taken once per call."""

    def model(self, name: str) -> ModelView | None:
        """A model by name or alias."""

    def places_of(self, backend: str, model: str) -> tuple[TargetView, ...]:
        """A backend as targets for a model that does not list it, one for each endpoint; none if it is not there."""


class Candidate(NamedTuple):
    """One place to try. A tuple: a call makes one for each target that it never tries."""

    view: TargetView
    model: str
    """The caller-facing model that it belongs to; differs from the plan's for a fallback."""
    group: int
    """The target's own priority group."""
    policy: str
    rank: int
    """Its place within the group, from 0."""
    warnings: tuple[Warning, ...]
    """What it will not honour of this call."""
    fallback: int = 0
    """Which fallback of the plan it belongs to, from 1; 0 is none."""

    @property
    def reason(self) -> str:
        """Why it stands where it does, for people."""
        order = f"{self.policy}, group {self.group}, rank {self.rank}"
        return f"fallback {self.fallback}: {order}" if self.fallback else order


@value(frozen=True, slots=True)
class Plan:
    """Where a call may go, best first."""

    model: str
    policy: str
    candidates: tuple[Candidate, ...]
    reason: str
    """Why in this order, for people."""
