"""The commit point of a stream: the first content that a caller could see. Before it, another backend may serve."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman_server.domain import Delta, Event, Finished, FinishReason, Opened, UsageReport


def commits(batch: Sequence[Event]) -> bool:
    """Whether a batch holds content: a delta that is not empty, or the end of a candidate.

    A role, a name of the answer, a comment or running usage are none: a backend may still fail after them. Nor is the
    end of a candidate that came to grief: the failure that it tells may be all that comes.
    """
    for event in batch:
        if isinstance(event, Delta):
            if not event.empty:
                return True
        elif isinstance(event, Finished) and event.reason is not FinishReason.ERROR:
            return True
    return False


class Preface:
    """What an upstream told before its first content: kept back, since another backend may yet serve the call."""

    __slots__ = ("_failed", "_opened", "_usage")

    def __init__(self) -> None:
        self._opened: Opened | None = None
        self._usage: UsageReport | None = None
        self._failed: tuple[Finished, ...] = ()

    def hold(self, batch: Sequence[Event]) -> None:
        """Keep the last name, the last usage and the ends of a batch without content."""
        for event in batch:
            if isinstance(event, Opened):
                self._opened = event
            elif isinstance(event, UsageReport):
                self._usage = event
            elif isinstance(event, Finished):
                self._failed = (*self._failed, event)

    def before(self, batch: Sequence[Event]) -> Sequence[Event]:
        """The batch with what came before it."""
        held = [event for event in (self._opened, self._usage, *self._failed) if event is not None]
        return [*held, *batch] if held else batch
