"""The commit point of a stream: the first content that a caller could see. Before it, another backend may serve."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman_server.domain import Delta, Event, Finished


def commits(batch: Sequence[Event]) -> bool:
    """Whether a batch holds content: a delta that is not empty, or the end of a candidate.

    A role, a name of the answer, a comment or running usage are none: a backend may still fail after them.
    """
    for event in batch:
        if isinstance(event, Delta):
            if not event.empty:
                return True
        elif isinstance(event, Finished):
            return True
    return False
