"""A gate and an authenticator that are told what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pointsman_server.context import AuthMethod, CallContext, Principal
from pointsman_server.domain import Call
from pointsman_server.errors import Reason, ServiceError


@dataclass
class FakeAdmission:
    """Lets calls in, or refuses them with `refusal`; counts who is inside."""

    refusal: ServiceError | None = None
    entered: list[tuple[Call, CallContext]] = field(default_factory=list)
    inside: int = 0

    @asynccontextmanager
    async def enter(self, call: Call, context: CallContext) -> AsyncIterator[Call]:
        """A place."""
        if self.refusal is not None:
            raise self.refusal
        self.entered.append((call, context))
        self.inside += 1
        try:
            yield call
        finally:
            self.inside -= 1


@dataclass
class FakeAuthenticator:
    """Knows the principals of `keys` (an authorization header's value) and of `names` (of certificates).

    With neither, everybody is `tester`.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    error: BaseException | None = None
    asked: int = 0

    def authenticate(self, metadata: Mapping[str, str], peer_identities: Sequence[str]) -> Principal:
        """Who it is. Raises UNAUTHENTICATED."""
        self.asked += 1
        if self.error is not None:
            raise self.error
        if not self.keys and not self.names:
            return Principal("tester", AuthMethod.NONE)
        known = [self.names[name] for name in peer_identities if name in self.names]
        name = known[0] if known else self.keys.get(metadata.get("authorization", ""))
        if name is None:
            raise ServiceError(Reason.UNAUTHENTICATED, "the credential is missing or not valid")
        return Principal(name, AuthMethod.MTLS if known else AuthMethod.API_KEY)
