"""Orders the targets of one priority group; pure but for the passed-in randomness and turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random

from pointsman_server.routing.plan import TargetView

Order = Callable[[Sequence[TargetView], int, Random], list[TargetView]]


def round_robin(targets: Sequence[TargetView], turn: int, rng: Random) -> list[TargetView]:
    """Each in turn, then the others, in another order each round: what one that is out leaves is shared by all."""
    rounds, start = divmod(turn, len(targets))
    others = [*targets[start + 1 :], *targets[:start]]
    if len(others) > 1:
        cut = rounds % len(others)
        others = [*others[cut:], *others[:cut]]
    return [targets[start], *others]


def weighted(targets: Sequence[TargetView], turn: int, rng: Random) -> list[TargetView]:
    """A random order, each first in proportion to its weight (Efraimidis and Spirakis 2006); weight 0 is out."""
    keyed = [
        (-math.log(1.0 - rng.random()) / target.weight, i)
        for i, target in enumerate(targets)
        if target.weight
    ]
    return [targets[i] for _, i in sorted(keyed)]


def least_outstanding(targets: Sequence[TargetView], turn: int, rng: Random) -> list[TargetView]:
    """The less loaded of two random ones first (Mitzenmacher 2001: no herd on the least), the rest by load."""
    if len(targets) == 1:
        return [targets[0]]
    first = int(rng.random() * len(targets))
    second = (first + 1 + int(rng.random() * (len(targets) - 1))) % len(targets)
    best = first if _load(targets[first]) <= _load(targets[second]) else second
    rest = [target for i, target in enumerate(targets) if i != best]
    if len(rest) > 1:
        rest.sort(key=_load)
    return [targets[best], *rest]


def _load(target: TargetView) -> tuple[int, int]:
    return target.book.in_flight_tokens, target.book.in_flight


POLICIES: Mapping[str, Order] = {
    "round_robin": round_robin,
    "weighted": weighted,
    "least_outstanding": least_outstanding,
}
