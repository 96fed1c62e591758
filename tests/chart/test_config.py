"""The configuration that pods get is one that the service takes."""

from pathlib import Path

import pytest
import yaml

from pointsman_server.__main__ import main
from pointsman_server.config.schema import Drain, SecretRef
from tests.chart.rendering import SETS, config_text, container, render, text, the

MOUNTED = "/etc/pointsman/"
HASH = "sha256:" + "0" * 64


def _stand_in(config: str, folder: Path) -> Path:
    """The file, with all that it refers to there: certificates, keys, hashes."""
    for name in _files(yaml.safe_load(config)):
        file = folder / name.removeprefix(MOUNTED)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(HASH)
    path = folder / "pointsman.yaml"
    path.write_text(config.replace(MOUNTED, f"{folder}/"))
    return path


def _files(node: object) -> list[str]:
    if isinstance(node, dict):
        return [name for value in node.values() for name in _files(value)]
    if isinstance(node, list):
        return [name for value in node for name in _files(value)]
    return [node] if isinstance(node, str) and node.startswith(MOUNTED) else []


@pytest.mark.parametrize("name", SETS)
def test_the_rendered_file_passes_check_config(name, tmp_path, monkeypatch, capsys):
    """Every example, and every other set: the service would start with it."""
    file = _stand_in(config_text(render(SETS[name])), tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-this-test")
    assert main(["check-config", str(file)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", SETS)
def test_every_file_that_the_configuration_names_is_mounted(name):
    """No example refers to a Secret that no volume brings."""
    objects = render(SETS[name])
    mounts = [mount["mountPath"] for mount in container(objects)["volumeMounts"]]
    for file in _files(yaml.safe_load(config_text(objects))):
        assert any(file.startswith(f"{mount}/") for mount in mounts), file


def test_large_numbers_stay_whole():
    """Helm reads numbers as floating point; a file with 1.048576e+07 would be refused."""
    assert "10485760" in text(SETS["everything"])


def test_the_chart_knows_the_defaults_of_a_drain():
    """The grace of a pod is counted with the service's own defaults where the values name none."""
    drain = Drain()
    grace = the("Deployment", render())["spec"]["template"]["spec"]
    assert grace["terminationGracePeriodSeconds"] == 5 + drain.delay_s + drain.grace_s + drain.flush_s + 15


def test_a_reference_to_a_secret_is_all_that_the_values_take():
    """The configuration itself has no place for a secret, so neither has the chart."""
    assert set(SecretRef.model_fields) == {"env", "file"}
    assert "Secret" not in {each["kind"] for name in SETS for each in render(SETS[name])}
