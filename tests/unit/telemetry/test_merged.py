from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.telemetry import instruments as table
from pointsman_server.telemetry.instruments import OTHER, TABLE, Kind, Merge
from pointsman_server.telemetry.merged import MergedMetrics
from pointsman_server.telemetry.registry import Metrics, Snapshot
from tests.unit.telemetry.test_metrics import samples

EMPTY = Snapshot({}, {})


def process(*, calls: float = 0, waits: Sequence[float] = (), states: Sequence[str] = ()) -> Metrics:
    """A process that has counted something."""
    metrics = Metrics(process=False)
    metrics.counter(table.CALLS).add(("chat", "OK"), calls)
    for wait in waits:
        metrics.histogram(table.QUEUE_WAIT).observe((), wait)
    metrics.read(table.CALLS_IN_FLIGHT, lambda: [((), calls)])
    metrics.read(
        table.BACKEND_STATE,
        lambda: [(("gpu", state), float(state in states)) for state in ("HEALTHY", "EJECTED")],
    )
    metrics.read(table.CONFIG_INFO, lambda: [(("abc",), 1.0)])
    return metrics


def shown(merged: MergedMetrics, *living: Snapshot, own: Snapshot = EMPTY) -> dict[str, float]:
    """What a scraper is shown."""
    return samples(merged.exposition(own, living)[0].decode())


def test_counts_add_up_and_states_are_shares() -> None:
    """Counters, histograms and loads are sums; a state is the share of the processes that see it; facts stay 1."""
    three = [
        process(calls=2, waits=(0.001, 9), states=("HEALTHY",)).snapshot(),
        process(calls=3, waits=(0.02,), states=("HEALTHY",)).snapshot(),
        process(calls=5, states=("EJECTED",)).snapshot(),
    ]
    found = shown(MergedMetrics(), *three)
    assert found["pointsman_calls_total model=chat reason=OK"] == 10
    assert found["pointsman_calls_in_flight"] == 10
    assert found["pointsman_queue_wait_seconds_bucket le=0.001"] == 1
    assert found["pointsman_queue_wait_seconds_bucket le=0.025"] == 2
    assert found["pointsman_queue_wait_seconds_count"] == 3
    assert found["pointsman_queue_wait_seconds_sum"] == pytest.approx(9.021)
    assert found["pointsman_backend_state backend=gpu state=HEALTHY"] == pytest.approx(2 / 3)
    assert found["pointsman_backend_state backend=gpu state=EJECTED"] == pytest.approx(1 / 3)
    assert found["pointsman_config_info hash=abc"] == 1


def test_one_process_alone_is_shown_as_it_is() -> None:
    """Merging one changes nothing, samples and texts alike."""
    metrics = process(calls=2, waits=(0.001, 9), states=("HEALTHY",))
    alone = metrics.exposition()[0].decode()
    merged = MergedMetrics().exposition(metrics.snapshot(), ())[0].decode()
    assert sorted(merged.splitlines()) == sorted(alone.splitlines())


def test_what_a_process_counted_outlives_it() -> None:
    """No sum falls when a process goes or another takes its place; what was only in progress goes with it."""
    merged = MergedMetrics()
    first, second = process(calls=4, waits=(0.1,)), process(calls=6)
    before = shown(merged, first.snapshot(), second.snapshot())
    merged.depart(first.snapshot())
    after = shown(merged, second.snapshot(), process().snapshot())
    for name in ("pointsman_calls_total model=chat reason=OK", "pointsman_queue_wait_seconds_count"):
        assert after[name] == before[name] > 0
    assert after["pointsman_calls_in_flight"] == 6
    merged.depart(second.snapshot())
    assert shown(merged)["pointsman_calls_total model=chat reason=OK"] == 10
    assert "pointsman_calls_in_flight" not in shown(merged)


@given(st.lists(st.tuples(st.sampled_from("cd-"), st.integers(0, 2), st.integers(1, 9)), max_size=40))
def test_no_sum_ever_falls(moves: list[tuple[str, int, int]]) -> None:
    """Whatever three processes count and whenever they go, each look shows at least what the one before did."""
    merged, living = MergedMetrics(), [process() for _ in range(3)]
    total, seen = 0, 0.0
    for move, number, amount in moves:
        if move == "c":
            living[number].counter(table.CALLS).add(("chat", "OK"), amount)
            total += amount
        elif move == "d":
            merged.depart(living[number].snapshot())
            living[number] = process()
        found = shown(merged, *(metrics.snapshot() for metrics in living))
        now = found["pointsman_calls_total model=chat reason=OK"]
        assert now >= seen
        seen = now
    assert seen in (0, total)


def test_what_has_gone_is_bounded() -> None:
    """However many processes with however many names have gone, the series that stay are few, and nothing is lost."""
    merged = MergedMetrics(max_series=600)
    for number in range(40):
        metrics = Metrics(process=False)
        for name in range(50):
            metrics.counter(table.CALLS).add((f"model-{number}-{name}", "OK"))
            metrics.histogram(table.RPC_DURATION).observe((f"method-{number}-{name}", "OK"), 1)
        merged.depart(metrics.snapshot())
    found = shown(merged)
    assert len(found) <= 600 + 200
    counted = {name: value for name, value in found.items() if name.startswith("pointsman_calls_total")}
    assert sum(counted.values()) == 2000
    assert counted[f"pointsman_calls_total model={OTHER} reason={OTHER}"] > 0
    durations = [
        value for name, value in found.items() if name.startswith("rpc_server_call_duration_seconds_count")
    ]
    assert sum(durations) == 2000


def test_process_samples_are_those_of_all() -> None:
    """CPU, memory and descriptors are sums, the start is that of the process that is asked; CPU outlives a process."""

    def snapshot(cpu: float, start: float) -> Snapshot:
        names = ("virtual_memory_bytes", "resident_memory_bytes", "open_fds", "max_fds")
        usual = dict.fromkeys((f"process_{name}" for name in names), 100.0)
        return Snapshot({}, {**usual, "process_cpu_seconds_total": cpu, "process_start_time_seconds": start})

    merged = MergedMetrics()
    merged.depart(snapshot(5, 1))
    found = shown(merged, snapshot(2, 20), snapshot(3, 30), own=snapshot(1, 10))
    assert found == {
        "process_virtual_memory_bytes": 300,
        "process_resident_memory_bytes": 300,
        "process_open_fds": 300,
        "process_max_fds": 300,
        "process_cpu_seconds_total": 11,
        "process_start_time_seconds": 10,
    }


def test_a_snapshot_travels(build: Callable[..., object]) -> None:
    """What another process unpacks is what was packed."""
    before = process(calls=2, waits=(0.001, 9), states=("HEALTHY",)).snapshot()
    after = msgspec.msgpack.decode(msgspec.msgpack.encode(before), type=Snapshot)
    assert after == msgspec.convert(msgspec.to_builtins(before), Snapshot)
    assert shown(MergedMetrics(), after) == shown(MergedMetrics(), before)
    assert all(math.isfinite(value) for value in shown(MergedMetrics(), after).values())


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_only_gauges_are_merged_otherwise_than_by_adding(row: table.Instrument) -> None:
    """A count that is not added up would be wrong by the number of processes."""
    assert row.merge is Merge.SUM or row.kind is Kind.GAUGE
