"""A provider is added by its file, its row in the registry and its cases: the example is, to a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman_server.upstreams.registry import PROVIDERS

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "examples" / "provider"
UPSTREAMS = Path("service", "pointsman_server", "upstreams")
COPIED = ("service", "tests/conformance", "tests/unit/routing", "tests/wire", "tools", "pyproject.toml")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The project with the example in it."""
    root = tmp_path_factory.mktemp("project")
    for name in COPIED:
        source, to = ROOT / name, root / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to)
    shutil.copy(EXAMPLE / "loom.py", root / UPSTREAMS / "dialects")
    shutil.copytree(EXAMPLE / "wire", root / "tests" / "wire" / "loom")
    registry = root / UPSTREAMS / "registry.py"
    text = registry.read_text(encoding="utf-8")
    for ahead, added in (
        ("dialects import (\n", "    loom,\n"),
        ("Provider] = {\n", '    "loom": loom.LOOM,\n'),
    ):
        assert text.count(ahead) == 1
        text = text.replace(ahead, ahead + added)
    registry.write_text(text, encoding="utf-8")
    return root


def run(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "service")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_it_passes_the_suite_that_all_providers_pass(copy):
    """Its requests, answers, cuts, properties, hostile calls and capabilities are tested without a word about it."""
    told = run(copy, "-m", "pytest", "tests/conformance", "-k", "loom", "-q", "-p", "no:cacheprovider")
    passed = re.search(r"(\d+) passed", told)
    assert passed is not None
    assert int(passed[1]) > 100


def test_it_is_configured_shown_and_offered_as_the_others_are(copy):
    """The names that a configuration may use, the table of capabilities and the list of a model's abilities know it."""
    code = (
        "import json\n"
        "from pointsman_server.upstreams import registry\n"
        "from pointsman_server.config.schema import Backend\n"
        "from pointsman_server.domain import Operation\n"
        "from tools.capabilities import page\n"
        "offers = registry.offers(Backend(provider='loom'), [Operation.GENERATE])\n"
        "shown = '`loom`' in ''.join(page())\n"
        "print(json.dumps(['loom' in registry.PROVIDERS, shown, sorted(offers['capabilities'])]))\n"
    )
    known, shown, offered = json.loads(run(copy, "-c", code).splitlines()[-1])
    assert known
    assert shown
    assert offered == ["GENERATE", "IMAGE_INPUT", "SEED", "STREAMING", "TOOLS"]
    assert "loom" not in PROVIDERS
