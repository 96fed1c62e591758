"""Which candidates may be tried now: ejections and cool-downs, with a cap on how many may be ejected at once."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman_server.routing.fleet import BackendBook, Block
from pointsman_server.routing.plan import Candidate
from pointsman_server.routing.view import BackendState

_KEPT = (BackendState.COOLING_DOWN, BackendState.DRAINING)


def blocks(candidates: Sequence[Candidate], now: float, *, max_ejected_share: float) -> list[Block | None]:
    """For each candidate what keeps it away, or None.

    When more than the share of the distinct backends is ejected, those ejected last are used all the same (Envoy's
    max_ejection_percent): a fault that all have in common is no reason to refuse everything. A cool-down is what the
    provider asked for, a drain what an operator did: both are always kept, and what is drained is not among those of
    which a share may be ejected.
    """
    found = [candidate.view.book.block(candidate.view.target.model, now) for candidate in candidates]
    ejected: dict[int, BackendBook] = {
        id(candidate.view.book): candidate.view.book
        for candidate, block in zip(candidates, found, strict=True)
        if block is not None and block.state not in _KEPT
    }
    if not ejected:
        return found
    total = len({id(candidate.view.book) for candidate in candidates if candidate.view.book.drained is None})
    allowed = int(total * max_ejected_share + 1e-9)
    by_age = sorted(ejected.values(), key=_ejected_at)
    surplus = {id(book) for book in by_age[allowed:]}
    return [
        None
        if block is not None and block.state not in _KEPT and id(candidate.view.book) in surplus
        else block
        for candidate, block in zip(candidates, found, strict=True)
    ]


def _ejected_at(book: BackendBook) -> tuple[float, str]:
    """The name decides between two of one moment, so that every call passes over the same ones."""
    return book.breaker.ejected_at or 0.0, book.identity.name
