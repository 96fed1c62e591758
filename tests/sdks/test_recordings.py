"""The fake provider plays every recording to the provider's own client, which is given our adapter's body to send."""

from __future__ import annotations

import pytest

from tests.conformance.vendors import CASES, Case
from tests.fakes.provider import Provider
from tests.sdks.differences import (
    ERRORS,
    MISHEARD,
    NAMED_BY_CODE,
    OTHER_ERRORS,
    OVER_TLS,
    PACKAGES,
    SPEECHLESS,
    UNLIKE,
)
from tests.sdks.speech import Exchange, exchange, misheard, recorded, unlike

SPOKEN = [case for case in CASES if case.vendor.client and str(case) not in SPEECHLESS]
CONFIRMED = {"error.kind", "choices"}
"""What recordings say of a client that is ours to conclude from what it told, or of other candidates than the first."""


@pytest.fixture(scope="module")
def spoken(ask, authority):
    """Each recording is played once."""
    done: dict[str, Exchange] = {}

    async def speak(case: Case) -> Exchange:
        if str(case) not in done:
            tls = authority.context if str(case) in OVER_TLS else None
            async with Provider(recorded(case), ssl_context=tls) as provider:
                done[str(case)] = await exchange(ask, case, provider, authority)
        return done[str(case)]

    return speak


@pytest.mark.parametrize("case", SPOKEN, ids=str)
async def test_the_client_sends_what_the_adapter_sends(case: Case, spoken) -> None:
    """Its own models take the adapter's body, and what it then sends is the same in path, query, headers and body."""
    allowed, _ = UNLIKE.get(str(case)) or UNLIKE.get(case.vendor.folder) or (frozenset(), "")
    found = unlike(case, await spoken(case))
    assert set(found) == allowed, found


@pytest.mark.parametrize("case", SPOKEN, ids=str)
async def test_the_client_hears_what_is_expected(case: Case, spoken) -> None:
    """Text, calls, reason, usage and errors of the recording, but for what is declared with its reason."""
    heard = (await spoken(case)).heard
    allowed, _ = MISHEARD.get(str(case), (frozenset(), ""))
    found = misheard(heard, case.record["expect"])
    assert set(found) == allowed, found
    # What was once seen of this client still holds.
    assert not allowed & (set(case.record.get("sdk_confirmed", ())) - CONFIRMED)


@pytest.mark.parametrize("case", [case for case in SPOKEN if case.failed], ids=str)
async def test_an_error_is_of_the_clients_own_class(case: Case, spoken) -> None:
    """Whoever uses the client catches what the provider's documentation names."""
    error = (await spoken(case)).heard["error"]
    if "error" in MISHEARD.get(str(case), ((), ""))[0]:
        assert error is None
        return
    client, expected = case.vendor.client.removesuffix("-older"), case.record["expect"]["error"]
    assert error["package"] == PACKAGES.get(client, client) or case.dropped, error
    names = {expected["code"]: expected["code"]} if client in NAMED_BY_CODE else {}
    wanted = (
        OTHER_ERRORS.get(str(case)) or names.get(expected["code"]) or ERRORS.get(client, {}).get(case.status)
    )
    assert wanted in (None, error["class"]), error


def test_what_is_declared_is_recorded() -> None:
    """No row is left of a recording that is gone."""
    names, folders = {str(case) for case in CASES}, {case.vendor.folder for case in CASES}
    assert {*SPEECHLESS, *MISHEARD, *OTHER_ERRORS, *OVER_TLS} <= names
    assert set(UNLIKE) <= names | folders
