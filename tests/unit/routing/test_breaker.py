from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.routing.breaker import Breaker, BreakerState, EjectionRules
from pointsman_server.routing.window import FailureWindow

RULES = EjectionRules()


def breaker(rules=RULES):
    return Breaker(rules, Random(3))


def fail(one, now, times=1):
    return [one.failure(now, one.begin(now)) for _ in range(times)]


def ejected(now=0.0):
    one = breaker()
    fail(one, now, 5)
    return one


def test_five_in_a_row_eject():
    """The fifth failure in a row ejects, not the fourth, and only it says so."""
    one = breaker()
    assert fail(one, 0, 6) == [False] * 4 + [True, False]
    assert one.state(0) is BreakerState.OPEN
    assert not one.allows(0)


def test_a_success_breaks_the_row():
    """Four failures, a success and four failures do not eject."""
    one = breaker()
    fail(one, 0, 4)
    one.success(0, one.begin(0))
    assert fail(one, 0, 4) == [False] * 4


def test_share_of_the_window():
    """Half of at least ten calls within ten seconds ejects, although no five fail in a row."""
    one = breaker()
    for _ in range(4):
        one.success(1, one.begin(1))
        fail(one, 1)
    one.success(2, one.begin(2))
    assert fail(one, 2) == [True]


def test_old_failures_do_not_count():
    """What happened before the window is forgotten."""
    one = breaker()
    for at in range(0, 200, 4):
        one.success(at, one.begin(at))
        assert fail(one, at) == [False]


def test_length_grows_and_is_capped():
    """The n-th ejection in a row lasts n times 30 s, up to 300 s, and up to a tenth longer."""
    one, now = breaker(), 0.0
    for n in range(1, 13):
        assert one.failure(now, one.begin(now)) if n > 1 else fail(one, now, 5)[-1]
        length = one.until - now
        assert min(30 * n, 300) <= length <= min(30 * n, 300) * 1.1
        assert one.state(one.until - 0.01) is BreakerState.OPEN
        now = one.until


def test_history_is_forgiven():
    """A backend that served well for longer than the cap begins with 30 s again."""
    one = ejected()
    now = one.until
    assert one.failure(now, one.begin(now))
    now = one.until
    one.success(now, one.begin(now))
    now += 301
    fail(one, now, 5)
    assert one.until - now <= 33


def test_one_probe_at_a_time():
    """After the ejection one attempt is let through; the next only when it has ended."""
    one = ejected()
    now = one.until
    assert one.allows(now)
    probe = one.begin(now)
    assert probe.probe
    assert not one.allows(now)
    assert not one.begin(now).probe
    one.neutral(probe)
    assert one.allows(now)
    assert one.state(now) is BreakerState.HALF_OPEN


def test_probe_decides():
    """A probe that is served closes the breaker, one that fails ejects again."""
    one = ejected()
    now = one.until
    assert one.failure(now, one.begin(now))
    assert one.until - now >= 60
    now = one.until
    one.success(now, one.begin(now))
    assert one.state(now) is BreakerState.CLOSED
    assert one.error_ratio(now) == 0


def test_stragglers_prove_nothing():
    """An attempt from before the ejection neither ends it nor prolongs it."""
    one = breaker()
    old = [one.begin(0) for _ in range(4)]
    fail(one, 0, 5)
    until = one.until
    one.success(1, old[0])
    one.failure(1, old[1])
    assert one.state(1) is BreakerState.OPEN
    assert one.until == until
    one.success(until, old[2])
    one.failure(until, old[3])
    assert one.state(until) is BreakerState.HALF_OPEN


def test_attempt_made_all_the_same():
    """An ejected backend that is used because too many are, and serves, is taken back at once."""
    one = ejected()
    one.success(2, one.begin(1))
    assert one.state(2) is BreakerState.CLOSED


def test_an_old_probe_frees_only_itself():
    """The late end of a probe of an earlier ejection does not let a second one beside the present probe."""
    one = ejected()
    now = one.until
    old = one.begin(now)
    one.success(now, one.begin(now))  # Not the probe, but begun since.
    fail(one, now, 5)
    now = one.until
    probe = one.begin(now)
    one.neutral(old)
    assert not one.allows(now)
    assert not one.failure(now, old)
    one.neutral(probe)
    assert one.allows(now)


def test_error_ratio_of_an_ejected_one():
    """People see why it was ejected."""
    assert ejected().error_ratio(1) == 1
    assert ejected().error_ratio(30) == 0


def test_other_rules():
    """After a reload what is known stays, and the new numbers count."""
    one = breaker()
    fail(one, 0, 2)
    one.use(EjectionRules(consecutive_failures=3))
    assert fail(one, 0) == [True]


@given(st.lists(st.tuples(st.sampled_from(["begin", "ok", "bad", "nothing"]), st.floats(0, 40)), max_size=80))
@settings(deadline=None)
def test_never_two_probes(steps):
    """Whatever happens in whatever order, at most one probe is under way and a free one is always found."""
    one, now, running = breaker(), 0.0, []
    for step, pause in steps:
        now += pause
        if step == "begin" or not running:
            allowed = one.allows(now)
            half_open = one.state(now) is BreakerState.HALF_OPEN
            ticket = one.begin(now)
            assert ticket.probe == (allowed and half_open)
            running.append(ticket)
            continue
        ticket = running.pop(0)
        {"ok": one.success, "bad": one.failure}.get(step, lambda now, ticket: one.neutral(ticket))(
            now, ticket
        )
        current = [t for t in running if t.probe and one._is_probe(t)]
        assert len(current) <= 1
        assert one._probing == bool(current)


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=60))
@settings(deadline=None)
def test_window_counts(steps):
    """The window holds what a list of the same events holds, but for the tenth that is under way."""
    window, now, events = FailureWindow(10), 100.0, []
    for pause, failed in steps:
        now += pause
        window.add(now, failed=failed)
        events.append((now, failed))
    window.ratio(now)
    surely = [failed for at, failed in events if at > now - 9]
    maybe = [failed for at, failed in events if at > now - 10.0001]
    assert len(surely) <= window._total <= len(maybe)
    assert sum(surely) <= window._failures <= sum(maybe)
