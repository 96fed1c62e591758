"""Several credentials of one backend, used in turn. One that the provider refuses rests, for as long as the provider
asks, and the request is sent again with the next: to the rest of the service that looks like one attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pointsman_server.clock import Clock
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.credentials.contract import Credentials
from pointsman_server.values import value

MAX_REST_S = 300.0
"""A provider's longer wait is not believed."""
FIRST_REST_S = 1.0
LONGEST_REST_S = 30.0
"""Where the provider names no wait after a rate limit, it doubles from the first to the longest."""
_RESTS_S: Mapping[Reason, float] = {
    Reason.UPSTREAM_CREDENTIALS_INVALID: 60.0,
    Reason.UPSTREAM_QUOTA_EXHAUSTED: 60.0,
    Reason.UPSTREAM_PERMISSION_DENIED: 60.0,
    Reason.UPSTREAM_RATE_LIMITED: FIRST_REST_S,
}
"""What says something of the credentials rather than of the request (401, 402, 403, 429), and how long it counts."""

Notice = Callable[[int, Reason, float], None]
"""Told which credential rests (from 0), why, and for how many seconds."""


@value(frozen=True, slots=True)
class _Signed(HTTPRequest):
    """A request that remembers who signed it."""

    member: int = 0
    renewed: bool = False
    """Whether this is the member's answer to a refusal: a second one is about the member itself."""


@dataclass(slots=True)
class _Member:
    credentials: Credentials
    rests_until: float = 0.0
    renewals: int = 0
    """Requests that will be signed again with something new of it."""
    limited: int = 0
    """Rate limits in a row, without a wait of the provider's own."""


class KeyRing(Credentials):
    """Credentials in turn. All methods but `authorize` and `close` are synchronous, so no lock is needed."""

    def __init__(self, members: Sequence[Credentials], clock: Clock, notice: Notice) -> None:
        self._members = [_Member(credentials) for credentials in members]
        self._clock = clock
        self._notice = notice
        self._next = 0

    @property
    def chances(self) -> int:
        """Each member may renew what it has, and then give way to the next."""
        return sum(member.credentials.chances for member in self._members) + len(self._members) - 1

    async def authorize(self, request: HTTPRequest) -> HTTPRequest:
        """By the next that does not rest; where all do, by the one that rests least."""
        index = self._pick()
        self._next = (index + 1) % len(self._members)
        member = self._members[index]
        renewed = member.renewals > 0
        member.renewals -= renewed
        signed = await member.credentials.authorize(request)
        return _Signed(signed.method, signed.url, signed.headers, signed.body, index, renewed)

    def hide(self, text: str) -> str:
        """Without the secrets of any of them."""
        for member in self._members:
            text = member.credentials.hide(text)
        return text

    def renew(self, used: HTTPRequest, error: ServiceError) -> bool:
        """Whether another credential can be tried now, or the same one with something new."""
        assert isinstance(used, _Signed)
        member = self._members[used.member]
        if not used.renewed and member.credentials.renew(used, error):
            member.renewals += 1
            self._next = used.member
            return True
        if error.reason not in _RESTS_S:
            return False
        self._rest(used.member, error)
        now = self._clock.now()
        wait_s = min(other.rests_until for other in self._members) - now
        if wait_s > 0:
            # Nobody is left: the backend rests until the first of them is back.
            error.retry_after_s = wait_s
        return wait_s <= 0

    async def close(self) -> None:
        """All of them, whatever becomes of one."""
        faults = []
        for member in self._members:
            try:
                await member.credentials.close()
            except Exception as fault:  # noqa: BLE001 - raised below, once all are closed
                faults.append(fault)
        if faults:
            raise faults[0]

    def _pick(self) -> int:
        now, count = self._clock.now(), len(self._members)
        turn = [(self._next + step) % count for step in range(count)]
        awake = [index for index in turn if self._members[index].rests_until <= now]
        return awake[0] if awake else min(turn, key=lambda index: self._members[index].rests_until)

    def _rest(self, index: int, error: ServiceError) -> None:
        member, now = self._members[index], self._clock.now()
        rest_s = _RESTS_S[error.reason]
        if error.retry_after_s is not None:
            rest_s = min(max(error.retry_after_s, 0.0), MAX_REST_S)
        elif error.reason is Reason.UPSTREAM_RATE_LIMITED:
            # A rest that ended long ago was enough.
            again = now - member.rests_until <= LONGEST_REST_S
            member.limited = member.limited + 1 if again else 0
            rest_s = min(FIRST_REST_S * 2**member.limited, LONGEST_REST_S)
        member.rests_until = now + rest_s
        self._notice(index, error.reason, rest_s)
