"""Several credentials of one backend, in turn."""

from __future__ import annotations

import pytest

from pointsman_server.config.secrets import Secret
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.credentials.contract import Credentials
from pointsman_server.upstreams.credentials.header import bearer
from pointsman_server.upstreams.credentials.ring import KeyRing
from tests.fakes.clock import FakeClock

REQUEST = HTTPRequest("POST", "https://a.example/", {"content-type": "x"}, b"body")
LIMITED = Reason.UPSTREAM_RATE_LIMITED


class Renewable(Credentials):
    """Can be renewed so many times."""

    def __init__(self, name, renewals):
        self.name, self.renewals, self.closed = name, renewals, False

    async def authorize(self, request):
        return HTTPRequest(
            request.method, request.url, {"authorization": f"Bearer {self.name}"}, request.body
        )

    def hide(self, text):
        return text.replace(self.name, "***")

    def renew(self, used, error):
        self.renewals -= 1
        return self.renewals >= 0

    async def close(self):
        self.closed = True


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def noticed():
    return []


@pytest.fixture
def ring(clock, noticed):
    members = [bearer(Secret(f"key-{name}")) for name in "abc"]
    return KeyRing(members, clock, lambda *told: noticed.append(told))


async def used(ring):
    request = await ring.authorize(REQUEST)
    return request, request.headers["authorization"].removeprefix("Bearer key-")


def refusal(reason, wait_s=None):
    return ServiceError(reason, "no", retry_after_s=wait_s)


async def test_in_turn(ring):
    """The load is shared, and a request stays what it was but for its proof."""
    assert [(await used(ring))[1] for _ in range(5)] == list("abcab")
    request, _ = await used(ring)
    assert (request.method, request.url, request.body) == ("POST", "https://a.example/", b"body")
    assert request.headers["content-type"] == "x"


@pytest.mark.parametrize(
    "case",
    [
        (Reason.UPSTREAM_CREDENTIALS_INVALID, None, 60),
        (Reason.UPSTREAM_QUOTA_EXHAUSTED, None, 60),
        (Reason.UPSTREAM_PERMISSION_DENIED, None, 60),
        (LIMITED, None, 1),
        (LIMITED, 7.5, 7.5),
        (LIMITED, 10_000, 300),
    ],
)
async def test_a_refused_one_rests(ring, clock, noticed, case):
    """For as long as the provider asks, within a bound; the next goes on, and it comes back."""
    reason, asked_s, rests_s = case
    request, name = await used(ring)
    assert name == "a"
    assert ring.renew(request, refusal(reason, asked_s))
    assert noticed == [(0, reason, rests_s)]
    assert [(await used(ring))[1] for _ in range(3)] == list("bcb")
    clock.advance(rests_s)
    assert "a" in [(await used(ring))[1] for _ in range(3)]


@pytest.mark.parametrize(
    "reason",
    sorted(
        set(Reason)
        - {
            LIMITED,
            Reason.UPSTREAM_CREDENTIALS_INVALID,
            Reason.UPSTREAM_QUOTA_EXHAUSTED,
            Reason.UPSTREAM_PERMISSION_DENIED,
        }
    ),
)
async def test_other_failures_say_nothing_of_it(ring, noticed, reason):
    """A bad request is bad with every key, a broken backend broken."""
    request, _ = await used(ring)
    assert not ring.renew(request, refusal(reason))
    assert noticed == []


async def test_rate_limits_in_a_row_rest_longer(ring, clock, noticed):
    """1, 2, 4 s and so on to 30 s; a quiet time begins anew."""
    for _ in range(7):
        for _ in range(3):
            request, _ = await used(ring)
            ring.renew(request, refusal(LIMITED))
        clock.advance(30)
    waits = [rest for index, _, rest in noticed if index == 0]
    assert waits[:5] == [1, 2, 4, 8, 16]
    assert max(waits) == 30
    noticed.clear()
    clock.advance(300)
    request, _ = await used(ring)
    ring.renew(request, refusal(LIMITED))
    assert noticed[0][2] == 1


async def test_when_all_rest(ring):
    """The failure stands, with the wait until the first is back; who asks all the same gets that one."""
    for wait_s in (30, 5, 20):
        request, _ = await used(ring)
        error = refusal(LIMITED, wait_s)
        more = ring.renew(request, error)
    assert not more
    assert error.retry_after_s == pytest.approx(5)
    assert (await used(ring))[1] == "b"


async def test_one_that_can_be_renewed_is_renewed_first(clock, noticed):
    """A token of its own is asked again before another credential is."""
    first, second = Renewable("first", 1), Renewable("second", 0)
    ring = KeyRing([first, second], clock, lambda *told: noticed.append(told))
    assert ring.chances == 3
    request = await ring.authorize(REQUEST)
    invalid = refusal(Reason.UPSTREAM_CREDENTIALS_INVALID)
    assert ring.renew(request, invalid)
    assert noticed == []
    request = await ring.authorize(REQUEST)
    assert request.headers["authorization"] == "Bearer first"
    assert ring.renew(request, invalid)
    assert [index for index, _, _ in noticed] == [0]
    assert (await ring.authorize(REQUEST)).headers["authorization"] == "Bearer second"
    await ring.close()
    assert first.closed
    assert second.closed


async def test_one_that_was_renewed_in_vain_gives_way(clock, noticed):
    """However often it could be renewed: a second refusal is about the credential, for every call that is under way."""
    first, second = Renewable("first", 99), Renewable("second", 99)
    ring = KeyRing([first, second], clock, lambda *told: noticed.append(told))
    invalid = refusal(Reason.UPSTREAM_CREDENTIALS_INVALID)
    one = await ring.authorize(REQUEST)
    assert ring.renew(one, invalid)
    one = await ring.authorize(REQUEST)
    assert one.headers["authorization"] == "Bearer first"
    assert ring.renew(one, invalid)
    assert [index for index, _, _ in noticed] == [0]
    assert (await ring.authorize(REQUEST)).headers["authorization"] == "Bearer second"
    assert (first.renewals, second.renewals) == (98, 99)


def test_no_secret_is_told(ring):
    """Of any of them."""
    assert ring.hide("key-a, key-b and key-c") == "***, *** and ***"
