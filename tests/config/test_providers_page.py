import re
from pathlib import Path

import pytest

from pointsman_server.config.load import load
from pointsman_server.upstreams.registry import PROVIDERS, backend_findings
from pointsman_server.upstreams.translation.templates import template_fault

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: re.search(r"provider: (\w+)", text)[1])
def test_an_example_of_the_page_is_a_configuration(example, tmp_path):
    """Each can be served as it is, once its secrets are there."""
    for place in re.findall(r"file: ([^\s},]+)", example):
        there = tmp_path / Path(place).name
        there.write_text("there")
        example = example.replace(place, str(there))
    path = tmp_path / "pointsman.yaml"
    path.write_text(example, encoding="utf-8")
    secrets = dict.fromkeys(re.findall(r"env: (\w+)", example), "there")
    loaded = load(
        path,
        environment=secrets,
        known_providers=PROVIDERS,
        check_backend=backend_findings,
        check_template=template_fault,
    )
    assert loaded.config.backends


def test_there_are_examples():
    """The page has not moved away from under the test above."""
    assert EXAMPLES
