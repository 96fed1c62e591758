"""`python -m bench [--quick] [--write]`: the service beside the bare relay in one run; prints one table.

Every figure of speed is a ratio of CPU time or an added latency, taken in alternating rounds, the median of which
counts: an absolute time on a shared machine means little. `--write` puts the table into bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import ROOT, cpu_s, fetch_json, free_port, load, rss_mb, running

_KEY = "bench.0123456789abcdef0123456789abcdef"
_STREAMS = 300


@dataclass
class Gateway:
    """A gateway under measurement."""

    name: str
    pid: int
    target: str
    key: str


@dataclass
class Table:
    """Rows: what, measured, bound, held."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, value: float, bound: float, unit: str = "", note: str = "") -> None:
        """A figure with the bound that it must not pass."""
        held = "yes" if value <= bound else f"no, by {value - bound:.2f}{unit}"
        self.rows.append((what, f"{value:.2f}{unit}{note}", f"{bound:g}{unit}", held))
        print(f"{what}: {value:.2f}{unit}{note} (at most {bound:g}{unit}): {held}", flush=True)

    def text(self, command: str) -> str:
        """The table as Markdown."""
        lines = [
            "# Results", "",
            f"Made by `{command}`: {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}.",
            "Ratios are CPU time of the gateway process to that of the bare relay (`bench/relay.py`) in the same run;",
            "medians of alternating rounds.", "",
            "| figure | measured | bound | held |", "|---|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in self.rows), "",
        ]  # fmt: skip
        return "\n".join(lines)


def _config(upstream: int, listen: int, ops: int) -> str:
    digest = hashlib.sha256(_KEY.split(".")[1].encode()).hexdigest()
    backends = {
        "unary": "unary", "stream": "stream/20/100", "hang": "hang", "flood": "stream/100000/20000",
    }  # fmt: skip
    lines = [
        "server:", f"  listen: 127.0.0.1:{listen}", "  drain: {delay_s: 0, grace_s: 5}",
        "admin: {enabled: false}", f"ops: {{listen: '127.0.0.1:{ops}'}}",
        "auth:", "  mode: api_key", "  principals:",
        f"    - {{name: bench, api_keys: [{{id: bench, hash: 'sha256:{digest}'}}]}}",
        "telemetry:", "  sample_ratio: 0.01", "  log_level: info",
        f"  otlp: {{endpoint: 'http://127.0.0.1:{upstream}'}}",
        "backends:",
        *(
            f"  {name}: {{provider: openai_compatible, url: 'http://127.0.0.1:{upstream}/{path}'}}"
            for name, path in backends.items()
        ),
        "models:",
        *(f"  {name}: {{targets: [{{backend: {name}}}]}}" for name in backends),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def _gateways(folder: Path, upstream: int) -> Iterator[tuple[dict[str, Gateway], float]]:
    """The service and its rivals, idle but for the one that is measured; and the service's start-up time."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Gateway] = {}
        for name, path, window in (
            ("relay", "unary", 0), ("relay-stream", "stream/20/100", 0),
            ("relay-100ms", "stream/20/100", 100), ("relay-250ms", "stream/20/100", 250),
        ):  # fmt: skip
            port = free_port()
            url = f"http://127.0.0.1:{upstream}/{path}/chat/completions"
            process = stack.enter_context(
                running(("bench.relay", str(port), url, str(window)), port, folder / f"{name}.log")
            )
            found[name] = Gateway(name, process.pid, f"127.0.0.1:{port}", "-")
        listen, ops = free_port(), free_port()
        config = folder / "pointsman.yaml"
        config.write_text(_config(upstream, listen, ops))
        arguments = ("pointsman_server", "serve", "--config", str(config))
        # The first start compiles.
        with running(arguments, listen, folder / "pointsman.log"):
            pass
        began = time.monotonic()
        process = stack.enter_context(running(arguments, listen, folder / "pointsman.log"))
        load("calls", f"127.0.0.1:{listen}", _KEY, 1, 1)
        started_s = time.monotonic() - began
        found["pointsman"] = Gateway("pointsman", process.pid, f"127.0.0.1:{listen}", _KEY)
        yield found, started_s


Run = Callable[[Gateway], dict[str, object]]


def _cost(gateway: Gateway, run: Callable[[Gateway], dict[str, object]], per: str) -> float:
    """CPU microseconds of the gateway per unit of work."""
    before = cpu_s(gateway.pid)
    result = run(gateway)
    spent = cpu_s(gateway.pid) - before
    if result["failed"] or not result[per]:
        raise RuntimeError(f"{gateway.name} failed: {result}")
    return spent * 1e6 / float(str(result[per]))


def _ratio(
    table: Table, what: str, bound: float, sides: tuple[Gateway, Gateway], runs: tuple[Run, Run], *,
    per: str, rounds: int,
) -> None:  # fmt: skip
    """Alternate both sides; the median of each round's ratio counts."""
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(_cost(sides[1], runs[1], per))
        ours.append(_cost(sides[0], runs[0], per))
    ratio = statistics.median(our / their for our, their in zip(ours, theirs, strict=True))
    note = f" ({statistics.median(ours):.0f} us beside {statistics.median(theirs):.0f} us)"
    table.add(what, ratio, bound, note=note)


def _speed(table: Table, found: dict[str, Gateway], *, rounds: int) -> None:
    ours = found["pointsman"]

    def unary(gateway: Gateway) -> dict[str, object]:
        return load("unary", gateway.target, gateway.key, 3, 16)

    def stream(coalesce_ms: float) -> Callable[[Gateway], dict[str, object]]:
        return lambda gateway: load("stream", gateway.target, gateway.key, _STREAMS, coalesce_ms)

    unary(ours)
    _ratio(table, "unary call", 1.35, (ours, found["relay"]), (unary, unary), per="calls", rounds=rounds)
    for name, coalesce_ms in (("relay-stream", 0), ("relay-100ms", 100), ("relay-250ms", 250)):
        what = f"streamed token, merging for {coalesce_ms} ms on both sides"
        both = (stream(coalesce_ms), stream(0))
        _ratio(table, what, 1.15, (ours, found[name]), both, per="tokens", rounds=max(3, rounds // 2))
    both = (stream(250), stream(0))
    what = "streamed token, merging for 250 ms, beside the relay without"
    _ratio(table, what, 0.55, (ours, found["relay-stream"]), both, per="tokens", rounds=max(3, rounds // 2))


def _latency(table: Table, found: dict[str, Gateway], upstream: int, *, rounds: int) -> None:
    """Added to the same question put to the upstream directly, by HTTP; the relay's beside it."""
    added: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        alone = load("direct", f"http://127.0.0.1:{upstream}/unary/chat/completions", "-", 3)
        for name in ("relay", "pointsman"):
            result = load("unary", found[name].target, found[name].key, 3, 1)
            for quantile in ("p50_ms", "p99_ms"):
                ms = float(str(result[quantile])) - float(str(alone[quantile]))
                added.setdefault((name, quantile), []).append(ms)
    for quantile, bound in (("p50_ms", 1.5), ("p99_ms", 3)):
        ours, theirs = (statistics.median(added[name, quantile]) for name in ("pointsman", "relay"))
        what = f"added latency with one call in flight, {quantile[:3]}"
        table.add(what, ours, bound, " ms", f" (the relay {theirs:.2f} ms)")


def _times(table: Table, found: dict[str, Gateway], upstream: int, *, count: int) -> None:
    """The figures of deadlines and cancellation."""
    ours = found["pointsman"]
    seen = len(_closed(upstream))
    result = load("deadline", ours.target, ours.key, 200, 2)
    table.add(
        "200 calls with a deadline of 2 s to a hung backend: last ends",
        float(str(result["last_s"])),
        2.1,
        " s",
    )
    table.add("the same: first ends this long before 2.1 s", 2.1 - float(str(result["first_s"])), 0.2, " s")
    table.add("the same: statuses that the server did not make", 200 - int(str(result["server_made"])), 0)
    late = max(_closed(upstream)[seen:]) - float(str(result["end"]))
    table.add(
        "the same: last upstream socket closed after the last answer", max(0.0, late) * 1000, 100, " ms"
    )
    for when in ("unary", "before", "after", "unread"):
        seen = len(_closed(upstream))
        cancelled = load("cancel", ours.target, ours.key, count, when)["cancelled"]
        time.sleep(0.5)
        closed = _closed(upstream)[seen:]
        what = f"{count} calls cancelled ({when})"
        table.add(f"{what}: upstream sockets left open", count - len(closed), 0)
        if isinstance(cancelled, list) and len(closed) == count:
            worst = max(end - start for start, end in zip(cancelled, sorted(closed), strict=True))
            table.add(f"{what}: slowest close", worst * 1000, 100, " ms")


def _closed(upstream: int) -> list[float]:
    found = fetch_json(f"http://127.0.0.1:{upstream}/closed")
    return [float(when) for when in found] if isinstance(found, list) else []


def _memory(table: Table, found: dict[str, Gateway], *, calls: int) -> None:
    ours = found["pointsman"]
    load("calls", ours.target, ours.key, calls // 5, 32)
    before = rss_mb(ours.pid)
    load("calls", ours.target, ours.key, calls, 32)
    after = rss_mb(ours.pid)
    table.add("resident memory", after, 120, " MB")
    table.add(f"growth over {calls:,} calls", after - before, 3, " MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and calls")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    options = parser.parse_args()
    rounds, count, calls = (3, 100, 20_000) if options.quick else (7, 500, 100_000)
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        upstream = free_port()
        with (
            running(("bench.upstream", str(upstream)), upstream, Path(folder) / "upstream.log"),
            _gateways(Path(folder), upstream) as (found, started_s),
        ):
            table.add("start-up to the first answer, client included", started_s, 2, " s")
            _latency(table, found, upstream, rounds=3)
            _times(table, found, upstream, count=count)
            _speed(table, found, rounds=rounds)
            _memory(table, found, calls=calls)
    command = f"make bench ARGS='{' '.join(sys.argv[1:])}'" if sys.argv[1:] else "make bench"
    if options.write:
        profile = (ROOT / "bench" / "PROFILE.md").read_text()
        (ROOT / "bench" / "RESULTS.md").write_text(f"{table.text(command)}\n{profile}")
    print(table.text(command))


if __name__ == "__main__":
    main()
