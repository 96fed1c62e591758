"""What bounds a call, and what is done about a failing backend."""

from __future__ import annotations

from pydantic import Field

from pointsman_server.config.schema.values import PositiveSeconds, Section, Share


class Deadlines(Section):
    """Bounds on a whole call."""

    unary_default_s: PositiveSeconds = 60
    """For a Generate that names none."""
    stream_default_s: PositiveSeconds = 300
    """For a StreamGenerate that names none."""
    maximum_s: PositiveSeconds = 600
    """A longer one is cut to this."""


class Retry(Section):
    """Another attempt, until something was handed to the caller."""

    max_attempts: int = Field(default=3, ge=1, le=10)
    """In all, the first included; a call may ask for another number up to max_attempts_limit."""
    max_attempts_limit: int = Field(default=5, ge=1, le=10)
    """The most that a call may ask for."""
    budget_ratio: Share = 0.1
    """Retries per call over budget_window_s; failing over to an untried backend after a connect failure is free."""
    budget_window_s: PositiveSeconds = 10
    """The window of the budget."""
    budget_floor: int = Field(default=3, ge=0, le=1000)
    """Retries at once that are allowed while the share of the calls comes to less. Divided among workers, with at least
    1 for each unless it is 0."""
    backoff_base_s: PositiveSeconds = 0.1
    """Before the first retry of the same backend: uniformly between 0 and this, doubling."""
    backoff_max_s: PositiveSeconds = 2
    """The cap of that."""
    retry_after_max_s: PositiveSeconds = 300
    """A provider's longer wait is not believed."""


class Ejection(Section):
    """Taking a failing backend out of rotation."""

    consecutive_failures: int = Field(default=5, ge=1, le=1000)
    """Failures in a row that eject."""
    failure_share: Share = 0.5
    """Or this share of at least failure_min_calls over failure_window_s."""
    failure_min_calls: int = Field(default=10, ge=1, le=100_000)
    """See failure_share."""
    failure_window_s: PositiveSeconds = 10
    """See failure_share."""
    base_s: PositiveSeconds = 30
    """First ejection; the n-th in a row lasts n times as long."""
    max_s: PositiveSeconds = 300
    """The cap of that."""
    jitter: Share = 0.1
    """Random part added to it."""
    max_ejected_share: Share = 0.5
    """Of a model's backends; with more in trouble the surplus is used all the same."""
