"""The chart as Helm renders it, as parsed objects."""

import functools
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.go_tools import find

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "pointsman"
EXAMPLES = sorted((ROOT / "helm" / "examples").glob("*.yaml"))
HERE = Path(__file__).parent
SETS = {
    "defaults": None,
    **{path.stem: path for path in EXAMPLES},
    **{path.stem: path for path in sorted((HERE / "values").glob("*.yaml"))},
}
"""Name -> file of values, for what is rendered in every test."""
NEWEST = "1.37"

Object = dict[str, Any]


class Refused(Exception):
    """Helm would not render; the text is what it says."""


def helm(*arguments: str, program: str = "helm") -> str:
    """What Helm prints. Raises Refused."""
    command = [str(find(program)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def text(
    values: Path | None = None, settings: Sequence[str] = (), *, kube: str = NEWEST, program: str = "helm"
) -> str:
    """The manifests of a release `pm` in the namespace `inference`. Raises Refused."""
    return _text(values, tuple(settings), kube, program)


@functools.cache
def _text(values: Path | None, settings: tuple[str, ...], kube: str, program: str) -> str:
    files = ["--values", str(values)] if values else []
    sets = [part for setting in settings for part in ("--set", setting)]
    where = ["--namespace", "inference", "--kube-version", kube]
    return helm("template", "pm", str(CHART), *files, *sets, *where, program=program)


def render(
    values: Path | None = None, settings: Sequence[str] = (), *, kube: str = NEWEST, program: str = "helm"
) -> list[Object]:
    """As `text`, parsed and in a fixed order."""
    found = [each for each in yaml.safe_load_all(text(values, settings, kube=kube, program=program)) if each]
    return sorted(found, key=lambda each: (each["kind"], each["metadata"]["name"]))


def the(kind: str, objects: Sequence[Object], suffix: str = "") -> Object:
    """The one object of a kind whose name ends so."""
    (found,) = [
        each for each in objects if each["kind"] == kind and each["metadata"]["name"].endswith(suffix)
    ]
    return found


def config_text(objects: Sequence[Object]) -> str:
    """The service's configuration file."""
    (found,) = [
        each["data"]["pointsman.yaml"]
        for each in objects
        if each["kind"] == "ConfigMap" and "pointsman.yaml" in each["data"]
    ]
    return str(found)


def container(objects: Sequence[Object]) -> Object:
    """The one container of the Deployment."""
    (found,) = the("Deployment", objects)["spec"]["template"]["spec"]["containers"]
    return found


def leaves(node: object, path: str = "") -> Iterator[str]:
    """The paths of everything that is no further object."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path
