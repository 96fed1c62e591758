from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pointsman_server.context import Target
from pointsman_server.errors import Reason
from pointsman_server.telemetry import instruments as table
from pointsman_server.telemetry.facade import Telemetry
from pointsman_server.telemetry.instruments import OTHER, TABLE, Kind
from pointsman_server.telemetry.registry import Metrics
from tests.unit.telemetry.conftest import Build


def samples(text: str) -> dict[str, float]:
    """Every sample by name and labels."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_is_the_facade(build: Build) -> None:
    """The implementation has the form that the other rooms rely on."""
    telemetry: Telemetry = build().telemetry
    assert telemetry is not None


def test_one_call_is_counted_everywhere(build: Build) -> None:
    """A call with a failover is in the counts of calls, attempts, retries, tokens and durations, once each."""
    bench = build()
    span = bench.start()
    failed = bench.attempt(span, reason=Reason.UPSTREAM_UNAVAILABLE, target=Target("gpu-2", "vllm", "qwen3"))
    again = bench.attempt(
        span, reason=Reason.UPSTREAM_UNAVAILABLE, number=2, target=Target("gpu-2", "vllm", "qwen3")
    )
    bench.end(span, (failed, again, bench.attempt(span, number=3)))
    found = samples(bench.metrics())
    genai = "gen_ai_operation_name=chat gen_ai_provider_name=vllm gen_ai_request_model=qwen3"
    for name, value in {
        "pointsman_calls_total model=chat reason=OK": 1,
        "pointsman_attempts_total backend=gpu-2 reason=UPSTREAM_UNAVAILABLE": 2,
        "pointsman_attempts_total backend=gpu-1 reason=OK": 1,
        "pointsman_retries_total kind=same_backend model=chat": 1,
        "pointsman_retries_total kind=failover model=chat": 1,
        "pointsman_tokens_total model=chat principal=team-a type=input": 10,
        "pointsman_tokens_total model=chat principal=team-a type=output": 21,
        f"gen_ai_client_operation_duration_seconds_count error_type= {genai}": 1,
        f"gen_ai_client_operation_duration_seconds_sum error_type=UPSTREAM_UNAVAILABLE {genai}": 1.0,
        f"gen_ai_client_operation_time_to_first_chunk_seconds_sum {genai}": 0.1,
        f"gen_ai_client_operation_time_per_output_chunk_seconds_sum {genai}": 0.02,
        f"gen_ai_client_token_usage_sum {genai} gen_ai_token_type=output": 21,
        "pointsman_queue_wait_seconds_count": 1,
        "pointsman_calls_in_flight": 0,
        "pointsman_attempts_in_flight backend=gpu-1": 0,
        "pointsman_build_info version=1.2.3": 1,
    }.items():
        assert found[name] == pytest.approx(value), name


def test_gauges_follow_what_is_in_progress(build: Build) -> None:
    """Calls in progress are those begun and not ended; a source is asked anew at each scrape."""
    bench = build()
    first, _ = bench.start(), bench.start()
    assert samples(bench.metrics())["pointsman_calls_in_flight"] == 2
    bench.end(first)
    states = {"gpu-1": "HEALTHY"}
    bench.telemetry.read(
        table.BACKEND_STATE, lambda: [((name, state), 1.0) for name, state in states.items()]
    )
    states["gpu-1"] = "EJECTED"
    found = samples(bench.metrics())
    assert found["pointsman_calls_in_flight"] == 1
    assert found["pointsman_backend_state backend=gpu-1 state=EJECTED"] == 1


def test_events_are_counted(build: Build) -> None:
    """Ejections and reloads count beside their line."""
    bench = build()
    bench.telemetry.event("backend_ejected", backend="gpu-1", reason="UPSTREAM_TIMEOUT")
    bench.telemetry.event("config_reloaded", config_hash="abc")
    bench.telemetry.event("config_refused", faults=1)
    found = samples(bench.metrics())
    assert found["pointsman_backend_ejections_total backend=gpu-1"] == 1
    assert found["pointsman_config_reloads_total result=applied"] == 1
    assert found["pointsman_config_reloads_total result=refused"] == 1


def test_series_are_bounded(build: Build) -> None:
    """A thousand tenants, ten thousand ids and hundreds of models leave at most 2,000 series, and no call uncounted."""
    bench = build()
    for number in range(1000):
        span = bench.start(request_id=f"id-{number}")
        target = Target(f"backend-{number % 50}", "vllm", f"upstream-{number % 500}")
        bench.end(
            span,
            (bench.attempt(span, target=target),),
            principal=f"tenant-{number}",
            model=f"model-{number % 500}",
        )
        bench.end(bench.start(request_id=f"x-{number}"), code="NOT_FOUND", reason=Reason.MODEL_NOT_FOUND)
    found = samples(bench.metrics())
    assert len([name for name in found if not name.startswith(("process_", "python_"))]) <= 2000
    assert sum(value for name, value in found.items() if name.startswith("pointsman_calls_total")) == 2000
    assert found[f"pointsman_calls_total model={OTHER} reason=MODEL_NOT_FOUND"] == 1000
    assert found[f"pointsman_tokens_total model={OTHER} principal={OTHER} type={OTHER}"] > 0
    durations = [
        value
        for name, value in found.items()
        if name.startswith("gen_ai_client_operation_duration_seconds_count")
    ]
    assert sum(durations) == 1000
    assert "id-1" not in bench.metrics()


def test_buckets_hold_their_bounds() -> None:
    """A value equal to a bound is in that bound's bucket, one above in the next, and one above all under +Inf."""
    metrics = Metrics(process=False)
    waits = metrics.histogram(table.QUEUE_WAIT)
    for value in (0.001, 0.0011, 5, 6):
        waits.observe((), value)
    found = samples(metrics.exposition()[0].decode())
    assert found["pointsman_queue_wait_seconds_bucket le=0.001"] == 1
    assert found["pointsman_queue_wait_seconds_bucket le=0.0025"] == 2
    assert found["pointsman_queue_wait_seconds_bucket le=5"] == 3
    assert (
        found["pointsman_queue_wait_seconds_bucket le=+Inf"]
        == found["pointsman_queue_wait_seconds_count"]
        == 4
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_table_is_well_formed(row: table.Instrument) -> None:
    """Names, units and meanings follow one form, and no label is one that a caller could fill."""
    assert re.fullmatch(r"[a-z][a-z0-9_]+", row.name)
    assert row.name.endswith("_total") == (row.kind in (Kind.COUNTER, Kind.TOTAL))
    assert bool(row.buckets) == (row.kind is Kind.HISTOGRAM)
    assert list(row.buckets) == sorted(row.buckets)
    assert row.meaning.endswith(".")
    assert not {"request_id", "trace_id", "user", "peer", "path"} & set(row.labels)


def test_names_are_unique() -> None:
    """Every metric is there once."""
    assert len({row.name for row in TABLE}) == len(TABLE)


async def test_loop_lag_is_measured(build: Build) -> None:
    """The lag is what a sleep took beyond what was asked."""

    class Late(Exception):
        pass

    bench = build()

    async def sleep(delay_s: float) -> None:
        if bench.clock.time > 1_001:
            raise Late
        bench.clock.time += delay_s + 1

    bench.clock.sleep = sleep  # type: ignore[method-assign]
    with pytest.raises(Late):
        await bench.telemetry.watch_loop()
    assert samples(bench.metrics())["pointsman_loop_lag_seconds_sum"] == pytest.approx(1)
