from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.config.rules import findings
from pointsman_server.config.schema import Config
from pointsman_server.config.share import share
from pointsman_server.upstreams.registry import backend_findings, model_findings

HOME = "127.0.0.1:7"


def config(workers, *, whole=1000, **more):
    return Config.model_validate({
        "workers": workers,
        "server": {"max_calls": whole, "http2": {"max_connections": whole}},
        "max_queued_calls": whole,
        "backends": {"a": {"provider": "simulator", "max_concurrency": whole}},
        "models": {"m": {"targets": [{"backend": "a"}]}},
        **more,
    })  # fmt: skip


@given(workers=st.integers(1, 64), beyond=st.integers(0, 5000))
def test_the_parts_add_up_to_the_whole(workers, beyond):
    """Of every bound on the whole, none left without a part, and no two parts further apart than one."""
    whole = config(workers, whole=workers + beyond)
    parts = [share(whole, number, address=HOME) for number in range(workers)]
    for read in (
        lambda part: part.server.max_calls,
        lambda part: part.max_queued_calls,
        lambda part: part.backends["a"].max_concurrency,
    ):
        sizes = [read(part) for part in parts]
        assert sum(sizes) == workers + beyond
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("workers", [2, 4, 16])
@pytest.mark.parametrize("each", [25, 250])
def test_connections_have_room_for_chance(workers, each):
    """As many connections as the whole may have, spread by chance: no worker is asked to refuse one."""
    whole = config(workers, whole=workers * each)
    rng = Random(1)
    for _ in range(20):
        spread = Counter(rng.randrange(workers) for _ in range(workers * each))
        for number in range(workers):
            bound = share(whole, number, address=HOME).server.http2.max_connections
            assert spread[number] <= bound < 2 * each


@pytest.mark.parametrize(("floor", "parts"), [(0, [0, 0, 0]), (1, [1, 1, 1]), (3, [1, 1, 1]), (8, [3, 3, 2])])
def test_every_worker_may_retry_where_the_whole_may(floor, parts):
    """A floor that is not 0 is at least 1 everywhere."""
    whole = config(3, retry={"budget_floor": floor})
    assert [share(whole, number, address=HOME).retry.budget_floor for number in range(3)] == parts


def test_everything_else_stays():
    """What is no bound on the whole is the same in each worker; only where it listens is its own."""
    whole = config(4, retry={"budget_floor": 0})
    part = share(whole, 1, address=HOME).model_dump()
    written = whole.model_dump()
    assert part["server"].pop("listen") == HOME
    for tree in (part, written):
        del tree["server"]["max_calls"], tree["server"]["http2"]["max_connections"], tree["max_queued_calls"]
        del tree["backends"]["a"]["max_concurrency"]
    written["server"].pop("listen")
    assert part == written


def test_a_bound_below_the_number_of_workers_is_a_fault():
    """Each of them is named; one worker may have any."""
    found = dict(findings(config(4, whole=3), {"simulator"}, backend_findings, model_findings))
    assert set(found) == {
        ("server", "max_calls"),
        ("server", "http2", "max_connections"),
        ("backends", "a", "max_concurrency"),
    }
    assert "workers (4)" in found["server", "max_calls"]
    assert not list(findings(config(4, whole=4), {"simulator"}, backend_findings, model_findings))
    assert not list(findings(config(1, whole=1), {"simulator"}, backend_findings, model_findings))
