"""ghz's results -> a report: a table, what failed and how, and plots of latency and throughput."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from tests.load.profiles import Profile

QUANTILES = (50, 75, 90, 95, 99, 99.9)
LARGEST_BUCKET_S = 1.0


@dataclass(frozen=True)
class Outcome:
    """One profile as it went."""

    profile: Profile
    result: Mapping[str, Any]
    memory_mb: tuple[float, float]
    """Of the service, before and after."""

    @property
    def calls(self) -> list[Mapping[str, Any]]:
        return list(self.result["details"] or ())

    @property
    def latencies_ms(self) -> list[float]:
        """Of calls that succeeded, sorted."""
        return sorted(call["latency"] / 1e6 for call in self.calls if call["status"] == "OK")

    @property
    def codes(self) -> Mapping[str, int]:
        return Counter(call["status"] for call in self.calls)

    @property
    def surprises(self) -> int:
        """Failures that the profile does not tolerate."""
        good = {"OK", *self.profile.tolerated}
        return sum(count for code, count in self.codes.items() if code not in good)

    @property
    def per_s(self) -> float:
        return float(self.result["rps"])

    def quantile(self, percent: float) -> float:
        found = self.latencies_ms
        return found[min(len(found) - 1, int(len(found) * percent / 100))] if found else float("nan")

    @property
    def line(self) -> str:
        codes = ", ".join(f"{count} {code}" for code, count in sorted(self.codes.items()))
        return f"{codes}; {self.per_s:.0f}/s, p50 {self.quantile(50):.1f} ms, p99 {self.quantile(99):.1f} ms"


def write_report(
    outcomes: Sequence[Outcome], folder: Path, *, command: str, machine: str, deaths: int
) -> None:
    """README.md with its pictures."""
    _draw_latency(outcomes, folder / "latency.png")
    _draw_time(outcomes, folder / "throughput.png")
    lines = [
        "# Load test\n",
        f"`{command}`, {dt.datetime.now(dt.UTC):%Y-%m-%d}, {machine}. ghz, the service and what",
        "stands behind it share the machine, so absolute numbers say little; failures, the shape of a curve and a",
        "ratio do.\n",
        "| profile | calls | per second | p50 ms | p95 ms | p99 ms | failures | memory MB |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(outcome) for outcome in outcomes),
        "",
    ]
    if deaths:
        lines += [f"Backends were killed {deaths} times while the profiles `faults-*` ran.\n"]
    lines += [_failures(outcomes)]
    lines += ["![Latency by percentile](latency.png)\n", "![Calls and latency over time](throughput.png)\n"]
    lines += [
        "Profiles: [`tests/load/profiles`](../../tests/load/profiles), files of ghz that can be used as they are."
    ]
    (folder / "README.md").write_text("\n".join([*lines, ""]))


def _row(outcome: Outcome) -> str:
    before, after = outcome.memory_mb
    failed = len(outcome.calls) - outcome.codes.get("OK", 0)
    told = f"{failed}" if not failed else f"{failed}, {outcome.surprises} unexpected"
    cells = (
        outcome.profile.config["name"], len(outcome.calls), f"{outcome.per_s:.0f}",
        *(f"{outcome.quantile(percent):.1f}" for percent in (50, 95, 99)), told, f"{before:.0f} to {after:.0f}",
    )  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _failures(outcomes: Sequence[Outcome]) -> str:
    rows = [
        f"- `{outcome.profile.name}`: {count} {code}"
        + (" (streams that had begun: `STREAM_INTERRUPTED`)" if code in outcome.profile.tolerated else "")
        for outcome in outcomes
        for code, count in sorted(outcome.codes.items())
        if code != "OK"
    ]
    return "No call failed.\n" if not rows else "\n".join(["Failures:\n", *rows, ""])


def _draw_latency(outcomes: Sequence[Outcome], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(9, 5))
    for outcome in outcomes:
        if outcome.latencies_ms:
            values = [outcome.quantile(percent) for percent in QUANTILES]
            axes.plot(range(len(QUANTILES)), values, marker="o", label=outcome.profile.name)
    axes.set_yscale("log")
    axes.set_xticks(range(len(QUANTILES)), [f"p{percent:g}" for percent in QUANTILES])
    axes.set_ylabel("latency of a whole call, ms")
    axes.set_title("Latency by percentile")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, path)


def _draw_time(outcomes: Sequence[Outcome], path: Path) -> None:
    figure, grid = plt.subplots(
        len(outcomes), 1, figsize=(9, 2.1 * len(outcomes)), squeeze=False, layout="constrained"
    )
    for outcome, axes in zip(outcomes, grid[:, 0], strict=True):
        seconds, done, median, failed = _by_second(outcome)
        axes.bar(seconds, done, width=0.9, color="tab:blue", alpha=0.5)
        axes.bar(seconds, failed, width=0.9, color="tab:red")
        axes.set_ylabel("calls/s", color="tab:blue")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(outcome.profile.config["name"], fontsize="small", loc="left")
        beside = axes.twinx()
        beside.plot(seconds, median, color="tab:orange", linewidth=1.5)
        beside.set_ylabel("median ms", color="tab:orange")
        beside.set_ylim(bottom=0)
    grid[-1, 0].set_xlabel("seconds since the first call; failed calls in red")
    _save(figure, path)


def _by_second(outcome: Outcome) -> tuple[list[int], list[int], list[float], list[int]]:
    """Calls by the second in which they began."""
    began = sorted(((_moment(call["timestamp"]), call) for call in outcome.calls), key=lambda pair: pair[0])
    first = began[0][0] if began else 0.0
    buckets: dict[int, list[Mapping[str, Any]]] = {}
    for moment, call in began:
        buckets.setdefault(int(moment - first), []).append(call)
    seconds = list(range(max(buckets, default=0) + 1))
    calls = [buckets.get(second, []) for second in seconds]
    done = [sum(call["status"] == "OK" for call in bucket) for bucket in calls]
    failed = [len(bucket) - good for bucket, good in zip(calls, done, strict=True)]
    return seconds, done, [_median(bucket) for bucket in calls], failed


def _median(calls: Sequence[Mapping[str, Any]]) -> float:
    found = sorted(call["latency"] / 1e6 for call in calls if call["status"] == "OK")
    return found[len(found) // 2] if found else float("nan")


def _moment(text: str) -> float:
    # Nanoseconds are more than the standard library reads.
    whole, _, rest = text.partition(".")
    digits = rest.rstrip("Z").partition("+")[0]
    return dt.datetime.fromisoformat(whole.rstrip("Z") + "Z").timestamp() + float(f"0.{digits or 0}")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
