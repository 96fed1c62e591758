"""Alert rules against what the running service really exports: promtool is given its samples, and time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes import chat
from tests.fakes.provider import Provider
from tests.fakes.replies import json_reply
from tests.fakes.running_app import RunningApp, backend_at, model_over
from tests.system.asking import ask

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "helm" / "pointsman" / "files"
RULES = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"][0]["rules"]
NAMES = [rule["alert"] for rule in RULES]
OWN = re.compile(r"\b((?:pointsman|gen_ai|rpc|process)_[a-z_]+)")
MINUTES = 40
"""How long a told story goes on."""

Samples = Mapping[str, float]


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not on PATH (Debian: apt-get install prometheus): THE ALERTS WERE NOT TRIED")
    return found


@pytest.fixture
async def provider():
    async with Provider() as fake:
        yield fake


@pytest.fixture
async def app(tmp_path, provider):
    """The service with one backend that is easily ejected, and with two keys."""
    keys = [{"type": "bearer", "secret": {"env": name}} for name in ("KEY_A", "KEY_B")]
    backend = backend_at(provider, credentials=keys[0], more_credentials=keys[1:])
    settings = {
        "backends": {"only": backend, "cheap": backend_at(provider)},
        "models": {"chat": model_over("only", price={"input": 1, "output": 1}), "other": model_over("cheap")},
        "ejection": {"consecutive_failures": 2, "base_s": 30, "max_ejected_share": 1},
        "retry": {"max_attempts": 1},
    }
    environment = {"KEY_A": "a-secret", "KEY_B": "b-secret"}
    async with RunningApp(tmp_path / "pointsman.yaml", settings, environment=environment) as running:
        yield running


async def samples(app: RunningApp) -> dict[str, float]:
    """What a scrape finds, by series."""
    _, text = await app.get("/metrics")
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {**sample.labels, "instance": "pod-1", "job": "pointsman"}
            written = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(labels.items()))
            found[f"{sample.name}{{{written}}}"] = sample.value
    return found


def story(before: Samples, after: Samples) -> list[dict[str, str]]:
    """Five quiet minutes; fifteen in which each minute is like what happened; then quiet again."""
    series = []
    for name in sorted({*before, *after}):
        start, end = before.get(name, after.get(name, 0.0)), after.get(name, before.get(name, 0.0))
        if name not in before:
            start = 0.0
        if re.search(r"_(total|count|sum|bucket)\{", name):
            step = max(0.0, end - start)
            values = [start] * 5 + [start + step * minute for minute in range(1, 16)]
            values += [values[-1]] * (MINUTES - len(values))
        else:
            values = [start] * 5 + [end] * 15 + [start] * (MINUTES - 20)
        series.append({"series": name, "values": " ".join(f"{value:.17g}" for value in values)})
    return series


def firing(promtool: str, folder: Path, series: Sequence[Mapping[str, str]], *minutes: int) -> list[set[str]]:
    """The alerts that fire at each of these minutes."""
    # promtool compares with what is expected: where nothing is, what differs is an alert that fires.
    asked = [
        {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []}
        for minute in minutes
        for name in NAMES
    ]
    suite: dict[str, Any] = {
        "rule_files": [str(FILES / "alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": list(series), "alert_rule_test": asked}],
    }
    file = folder / "story.yaml"
    file.write_text(yaml.safe_dump(suite))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    found = re.findall(r"alertname:\s*(\w+),\s*time:\s*(\w+)", said)
    assert bool(found) == bool(done.returncode), said
    return [{name for name, time in found if _minutes(time) == minute} for minute in minutes]


def _minutes(time: str) -> int:
    hours, minutes = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?", time).groups()
    return int(hours or 0) * 60 + int(minutes or 0)


def told(promtool: str, folder: Path, series: Sequence[Mapping[str, str]]) -> list[set[str]]:
    """Before, during and long after."""
    return firing(promtool, folder, series, 4, 19, MINUTES - 1)


async def attempts(app: RunningApp, count: int = 6, **options: Any) -> None:
    client = await app.client()
    for _ in range(count):
        try:
            await ask(client, stream=False, **options)
        except Exception:  # noqa: BLE001 - failures are what is wanted
            continue


def test_the_rules_are_rules(promtool):
    """In Prometheus' own judgement."""
    subprocess.run([promtool, "check", "rules", str(FILES / "alerts.yaml")], check=True)


async def test_all_is_well(app, provider, promtool, tmp_path):
    """Good calls, and calls that are their callers' own fault, raise no alert."""
    provider.handler = chat.as_asked
    before = await samples(app)
    await attempts(app)
    await attempts(app, model="nothing-of-that-name")
    await app.settled_calls()
    quiet, during, after = told(promtool, tmp_path, story(before, await samples(app)))
    assert quiet == during == after == set()


async def test_calls_that_fail(app, provider, promtool, tmp_path):
    """A broken backend: calls fail, and it is taken out; both alerts clear when it is back."""
    provider.handler = lambda _: json_reply({"error": {"message": "broken"}}, status=500)
    before = await samples(app)
    await attempts(app, 8)
    await app.settled_calls()
    quiet, during, after = told(promtool, tmp_path, story(before, await samples(app)))
    assert quiet == set()
    assert {"PointsmanCallsFail", "PointsmanBackendOut"} <= during
    assert after == set()


@pytest.mark.parametrize("case", [(401, "PointsmanCredentialsRefused"), (402, "PointsmanQuotaExhausted")])
async def test_keys_and_quotas(app, provider, promtool, tmp_path, case):
    """Refused keys and quotas that are used up are told apart, at the first."""
    status, alert = case
    provider.handler = lambda _: json_reply({"error": {"message": "no"}}, status=status)
    before = await samples(app)
    await attempts(app, 2)
    await app.settled_calls()
    quiet, during, after = told(promtool, tmp_path, story(before, await samples(app)))
    assert alert not in quiet
    assert alert in during
    assert alert not in after


async def test_one_key_of_several(app, provider, promtool, tmp_path):
    """Callers see nothing of it, but the alert does."""
    provider.handler = lambda request: (
        json_reply({"error": {"message": "no"}}, status=401)
        if request.headers["authorization"].endswith("a-secret")
        else chat.as_asked(request)
    )
    before = await samples(app)
    await attempts(app, 2)
    await app.settled_calls()
    _, during, after = told(promtool, tmp_path, story(before, await samples(app)))
    assert during == {"PointsmanCredentialsRefused"}
    assert after == set()


async def test_a_configuration_that_is_refused(app, promtool, tmp_path):
    """The old one stays in force, and somebody is told."""
    before = await samples(app)
    app.path.write_text("nonsense: true\n")
    await app.app.reload()
    _, during, after = told(promtool, tmp_path, story(before, await samples(app)))
    assert during == {"PointsmanConfigRefused"}
    assert after == set()


async def test_load_that_is_shed(app, provider, promtool, tmp_path):
    """Calls that are refused because of load."""
    app.rewrite(server={"max_calls": 1})
    assert (await app.app.reload()).applied
    provider.handler = chat.as_asked
    before = await samples(app)
    app.app.gate.take()
    await attempts(app, 20)
    app.app.gate.leave()
    await app.settled_calls()
    _, during, after = told(promtool, tmp_path, story(before, await samples(app)))
    assert "PointsmanSheds" in during
    assert after == set()


async def test_nothing_is_scraped(promtool, tmp_path, app):
    """When no replica is left."""
    found = await samples(app)
    series = [
        {"series": name, "values": f"{value:.17g}x4 _x30"}
        for name, value in found.items()
        if "build_info" in name
    ]
    early, late = firing(promtool, tmp_path, series, 4, 20)
    assert "PointsmanDown" not in early
    assert "PointsmanDown" in late


async def test_two_configurations_for_long(promtool, tmp_path, app):
    """A rollout is no alert, a quarter of an hour is."""
    [name] = [name for name in await samples(app) if "config_info" in name]
    other = name.replace("pod-1", "pod-2").replace('hash="', 'hash="x')
    series = [{"series": name, "values": "1x40"}, {"series": other, "values": "_x4 1x35"}]
    early, late = firing(promtool, tmp_path, series, 10, 25)
    assert "PointsmanConfigsDiffer" not in early
    assert "PointsmanConfigsDiffer" in late


async def exported(app: RunningApp, provider: Provider) -> set[str]:
    """Names of what the service exports once it has worked."""
    provider.handler = chat.as_asked
    client = await app.client()
    for stream in (False, True):
        await ask(client, stream=stream)
    await app.settled_calls()
    _, text = await app.get("/metrics")
    return set(re.findall(r"(?m)^(?:# TYPE )?([a-z_]+)", text))


async def test_every_metric_that_is_asked_for_is_there(app, provider):
    """In the dashboard and in the rules, by its name on the running service."""
    there = await exported(app, provider)
    dashboard = json.loads((FILES / "dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    queries += [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if "refresh" in variable
    ]
    assert len(queries) > 30
    for query in [*queries, *(rule["expr"] for rule in RULES)]:
        names = set(OWN.findall(query)) - {"pointsman"}
        labels = set(re.findall(r"\b(\w+)\s*(?:=~|!~|!=|=)", query)) | set(
            re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", query)))
        )
        for name in names - labels:
            assert name in there or f"{name}_total" in there, (name, query)


def test_every_alert_has_its_chapter():
    """Whoever is woken up finds what to do."""
    chapters = set(re.findall(r"(?m)^### (\w+)$", (ROOT / "docs" / "operations.md").read_text()))
    assert chapters == set(NAMES)
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
