"""The way from an admitted call to an answer: makes one Run per call, and keeps what runs share."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pointsman_server.clock import Clock
from pointsman_server.context import CallContext
from pointsman_server.dispatch.attempts import Shared
from pointsman_server.dispatch.budget import RetryBudget
from pointsman_server.dispatch.contract import Snapshot
from pointsman_server.dispatch.places import Places
from pointsman_server.dispatch.run import Run
from pointsman_server.domain import Call, Warning
from pointsman_server.telemetry.facade import Telemetry


class Dispatcher:
    """The way from an admitted call to an answer."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], *, clock: Clock, telemetry: Telemetry, places: Places, rng: Random,
        turn: Callable[[str], int], notes: Callable[[Call], tuple[Warning, ...]] = lambda _: (),
    ) -> None:  # fmt: skip
        self._snapshot = snapshot
        self._shared = Shared(clock, telemetry, places, rng, turn, notes)
        self._budgets: dict[str, RetryBudget] = {}

    def open(self, call: Call, context: CallContext) -> Run:
        """A run of this call; enter it to plan, then consume it once."""
        snapshot = self._snapshot()
        return Run(self._shared, snapshot, call, context, budget=self._budget)

    def _budget(self, model: str, snapshot: Snapshot) -> RetryBudget:
        """The retry budget of a model; a new one when its rules changed."""
        budget = self._budgets.get(model)
        if budget is None or budget.rules != snapshot.budget:
            budget = self._budgets[model] = RetryBudget(snapshot.budget)
        return budget
