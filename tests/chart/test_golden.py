"""What the chart renders, whole, for every set of values."""

import os
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import HERE, SETS, helm, render
from tools.go_tools import ToolMissing, find

GOLDEN = HERE / "golden"


@pytest.mark.parametrize("name", SETS)
def test_what_is_rendered_is_what_was_looked_at(name):
    """Every object, field by field. `UPDATE_GOLDEN=1 make chart` takes a change in, to be looked at in the diff."""
    rendered, file = render(SETS[name]), GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        _write(file, rendered)
    assert rendered == list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def _write(file: Path, rendered: list) -> None:
    file.write_text(yaml.safe_dump_all(rendered, sort_keys=False, width=120), encoding="utf-8")


def test_no_golden_file_is_left_over():
    """Each belongs to a set of values."""
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_helm_3_renders_the_same(name):
    """No function, and no order, of one major version alone is used."""
    try:
        find("helm3")
    except ToolMissing as error:
        pytest.skip(str(error))
    assert render(SETS[name], program="helm3") == render(SETS[name])


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("program", ["helm", "helm3"])
def test_the_chart_is_free_of_complaints(name, program):
    """`helm lint --strict`."""
    try:
        find(program)
    except ToolMissing as error:
        pytest.skip(str(error))
    values = ["--values", str(SETS[name])] if SETS[name] else []
    helm(
        "lint",
        "--strict",
        "--kube-version",
        "1.37.0",
        str(HERE.parents[1] / "helm" / "pointsman"),
        *values,
        program=program,
    )
