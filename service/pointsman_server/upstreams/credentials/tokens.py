"""Tokens that are fetched: one fetch at a time, ahead of expiry while calls go on, and once more on refusal."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from pointsman_server.clock import Clock, Watchdog
from pointsman_server.config.secrets import Secret
from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import HTTPRequest, Transport
from pointsman_server.upstreams.credentials.contract import Credentials
from pointsman_server.upstreams.translation.documents import as_object, parse
from pointsman_server.upstreams.translation.faults import retry_after_s, seconds

FETCH_S = 10.0
"""For one answer of a token endpoint, whole."""
MAX_AHEAD_S = 300.0
_AHEAD_SHARE = 0.2
"""Of a token's life: so long before its end the next one is fetched, MAX_AHEAD_S at most."""
_JITTER = 0.25
"""Of that time, so that replicas do not all ask in the same moment."""
_UNKNOWN_LIFE_S = 600.0
"""Of a token whose endpoint tells no life (RFC 6749, 5.1)."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 60.0
"""Between fetches that fail while the old token still holds: doubling."""
_MAX_ANSWER_BYTES = 64 * 1024
_HIDDEN = "***"
_CODES = frozenset(
    {
        "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
        "invalid_scope",
    }
)  # fmt: skip
"""RFC 6749, 5.2. Nothing else of an error's body is told: it may quote what was sent."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token endpoint gave."""

    value: Secret
    life_s: float


@dataclass(frozen=True, slots=True)
class Means:
    """What fetching needs: a way to the token endpoint, which the credentials close, time and chance."""

    transport: Transport
    clock: Clock
    rng: Random


FetchToken = Callable[[], Awaitable[Token]]


class FetchedToken:
    """The token that is in force. Its methods belong to one event loop."""

    def __init__(self, fetch: FetchToken, clock: Clock, rng: Random) -> None:
        self._fetch = fetch
        self._clock = clock
        self._rng = rng
        self._value: Secret | None = None
        self._refresh_at = 0.0
        self._expires_at = 0.0
        self._failures = 0
        self._task: asyncio.Task[Secret] | None = None
        self._seen: deque[Secret] = deque(maxlen=4)

    async def current(self) -> str:
        """A token that has not expired. Raises ServiceError when none can be had."""
        now, value = self._clock.now(), self._value
        if value is not None and now < self._refresh_at:
            return value.reveal()
        task = self._task or self._start()
        if value is not None and now < self._expires_at:
            return value.reveal()
        # Whoever leaves must not take the others' token along: so this waits beside the fetch, not in it.
        await asyncio.wait({task})
        if task.cancelled():
            raise ServiceError(Reason.UPSTREAM_UNREACHABLE, "the connections to this upstream are closed")
        if not isinstance(error := task.exception(), ServiceError):
            return task.result().reveal()
        # An error of one's own: several callers may wait for the same fetch.
        raise ServiceError(
            error.reason, error.detail, retry_after_s=error.retry_after_s, upstream=error.upstream
        )

    def drop(self, refused: str) -> None:
        """This token is refused: the next one is fetched, unless that has happened already."""
        if self._value is not None and self._value.reveal() == refused:
            self._value = None

    def hide(self, text: str) -> str:
        """The text without any of the last tokens."""
        for secret in self._seen:
            text = text.replace(secret.reveal(), _HIDDEN)
        return text

    async def close(self) -> None:
        """End a fetch that is under way."""
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _start(self) -> asyncio.Task[Secret]:
        task = self._task = asyncio.get_running_loop().create_task(self._run())
        # Nobody may wait for it, and its failure is no news then.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _run(self) -> Secret:
        dog = Watchdog(self._clock)
        dog.start(self._clock.now() + FETCH_S)
        try:
            token = await self._fetch()
        except ServiceError:
            self._pause()
            raise
        except asyncio.CancelledError:
            if not dog.claim():
                raise
            self._pause()
            raise ServiceError(
                Reason.UPSTREAM_UNAVAILABLE, "the token endpoint did not answer in time"
            ) from None
        finally:
            dog.stop()
            self._task = None
        self._keep(token)
        return token.value

    def _keep(self, token: Token) -> None:
        now = self._clock.now()
        ahead_s = min(token.life_s * _AHEAD_SHARE, MAX_AHEAD_S)
        ahead_s *= 1 + _JITTER * (2 * self._rng.random() - 1)
        self._value, self._failures = token.value, 0
        self._expires_at, self._refresh_at = now + token.life_s, now + token.life_s - ahead_s
        self._seen.append(token.value)

    def _pause(self) -> None:
        """Calls go on with the old token while it holds, and do not ask for the next one all the time."""
        pause_s = min(_FIRST_PAUSE_S * 2**self._failures, _LONGEST_PAUSE_S)
        self._failures = min(self._failures + 1, 10)
        self._refresh_at = min(self._clock.now() + pause_s, self._expires_at)


@dataclass(frozen=True, slots=True)
class Proof:
    """How a fetched token travels, and how a provider refuses one."""

    put: Callable[[HTTPRequest, str], HTTPRequest]
    taken: Callable[[HTTPRequest], str]
    """The token that `put` put there."""
    refused: Callable[[ServiceError], bool]


class FetchedCredentials(Credentials):
    """Authorizes with a fetched token; a refused one is renewed."""

    def __init__(
        self, make: Callable[[], HTTPRequest], proof: Proof, means: Means, *, secrets: tuple[Secret, ...]
    ) -> None:
        """`make` gives the request for a token, anew each time: what it proves with may have changed."""
        self._make = make
        self._proof = proof
        self._transport = means.transport
        self._secrets = secrets
        self._token = FetchedToken(self._fetch, means.clock, means.rng)

    async def authorize(self, request: HTTPRequest) -> HTTPRequest:
        """As the protocol says; waits for a token where there is none yet."""
        return self._proof.put(request, await self._token.current())

    def hide(self, text: str) -> str:
        """As the protocol says: neither tokens nor what they are fetched with."""
        for secret in self._secrets:
            if len(value := secret.reveal()) >= 4:
                text = text.replace(value, _HIDDEN)
        return self._token.hide(text)

    def renew(self, used: HTTPRequest, error: ServiceError) -> bool:
        """As the protocol says."""
        if not self._proof.refused(error):
            return False
        self._token.drop(self._proof.taken(used))
        return True

    async def close(self) -> None:
        """As the protocol says."""
        try:
            await self._token.close()
        finally:
            await self._transport.close()

    async def _fetch(self) -> Token:
        return await ask_for_token(self._transport, self._make())


async def ask_for_token(transport: Transport, request: HTTPRequest) -> Token:
    """One request to a token endpoint. Raises ServiceError, which tells nothing of what was sent or answered."""
    body = bytearray()
    try:
        async with transport.open(request) as response:
            while len(body) < _MAX_ANSWER_BYTES and (data := await response.read()):
                body += data
    except ServiceError as error:
        fault = ServiceError(error.reason, "the token endpoint cannot be reached")
    else:
        return read_token(response.status, bytes(body), wait_s=retry_after_s(response.headers))
    raise fault


def read_token(status: int, body: bytes, *, wait_s: float | None = None) -> Token:
    """The token of an answer (RFC 6749, 5.1). Raises ServiceError for any other answer."""
    told = as_object(parse(body))
    value, error = told.get("access_token"), told.get("error")
    if 200 <= status < 300 and isinstance(value, str) and value.isascii() and value.isprintable() and value:
        life_s = seconds(told.get("expires_in"))
        return Token(Secret(value), _UNKNOWN_LIFE_S if life_s is None else life_s)
    code = error if isinstance(error, str) and error in _CODES else ""
    upstream = UpstreamFault(http_status=status, code=code)
    if status == 429 or status >= 500:
        reason, text = Reason.UPSTREAM_UNAVAILABLE, "the token endpoint is not available"
    elif status >= 400 or error:
        reason, text = Reason.UPSTREAM_CREDENTIALS_INVALID, "the token endpoint refused our credentials"
    else:
        reason, text = Reason.UPSTREAM_BAD_RESPONSE, "the token endpoint gave no token"
    raise ServiceError(reason, f"{text}: {code}" if code else text, retry_after_s=wait_s, upstream=upstream)
