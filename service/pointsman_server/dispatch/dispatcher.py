"""The way from an admitted call to an answer: makes one run per call, and keeps what runs share."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pointsman_server.clock import Clock
from pointsman_server.context import CallContext
from pointsman_server.dispatch.attempts import Shared
from pointsman_server.dispatch.budget import RetryBudget
from pointsman_server.dispatch.contract import Snapshot
from pointsman_server.dispatch.generation import GenerationRun
from pointsman_server.dispatch.inquiry import CountingRun, EmbeddingRun
from pointsman_server.dispatch.places import Places
from pointsman_server.domain import AnyCall, Call, CountCall, EmbedCall, Warning
from pointsman_server.telemetry.facade import Telemetry


class Dispatcher:
    """The way from an admitted call to an answer."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], *, clock: Clock, telemetry: Telemetry, places: Places, rng: Random,
        turn: Callable[[str], int], notes: Callable[[AnyCall], tuple[Warning, ...]] = lambda _: (),
    ) -> None:  # fmt: skip
        self._snapshot = snapshot
        self._shared = Shared(clock, telemetry, places, rng, turn, notes)
        self._budgets: dict[str, RetryBudget] = {}

    def open(self, call: Call, context: CallContext) -> GenerationRun:
        """A run of this call; enter it to plan, then consume it once."""
        return GenerationRun(self._shared, self._snapshot(), call, context, budget=self._budget)

    def embed(self, call: EmbedCall, context: CallContext) -> EmbeddingRun:
        """As `open`, for vectors."""
        return EmbeddingRun(self._shared, self._snapshot(), call, context, budget=self._budget)

    def count_tokens(self, call: CountCall, context: CallContext) -> CountingRun:
        """As `open`, for a count."""
        return CountingRun(self._shared, self._snapshot(), call, context, budget=self._budget)

    def _budget(self, model: str, snapshot: Snapshot) -> RetryBudget:
        """The retry budget of a model; a new one when its rules changed."""
        budget = self._budgets.get(model)
        if budget is None or budget.rules != snapshot.budget:
            budget = self._budgets[model] = RetryBudget(snapshot.budget)
        return budget
