import io
import re
from pathlib import Path

import pytest

from pointsman_server.config.load import check_config
from pointsman_server.upstreams.registry import PROVIDERS, backend_findings
from pointsman_server.upstreams.translation.templates import template_fault

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "config").glob("*.yaml"))
PRINTED = [
    (page.stem, block)
    for page in sorted((ROOT / "docs").glob("*.md"))
    for block in re.findall(
        r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    if re.search(r"^backends:", block, re.MULTILINE) and re.search(r"^models:", block, re.MULTILINE)
]
"""What the pages show as a whole: backends and the models on them."""
MOUNTED = "/etc/pointsman/"
HASH = "sha256:" + "0" * 64


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_configuration_without_faults(example, tmp_path):
    """Every file in examples/config can be served as it is, once its secrets and certificates are there."""
    text = example.read_text(encoding="utf-8").replace(MOUNTED, f"{tmp_path}/")
    for name in ("tls/tls.crt", "tls/tls.key", "tls/callers-ca.crt", "tls/internal-ca.crt", "keys/gpu"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("there")
    for name in ("keys/search", "keys/billing"):
        (tmp_path / name).write_text(HASH)
    file = tmp_path / "pointsman.yaml"
    file.write_text(text, encoding="utf-8")
    check(file, {"OPENAI_API_KEY": "sk-for-this-test"})


@pytest.mark.parametrize(
    ("page", "block"), PRINTED, ids=[f"{page}-{n}" for n, (page, _) in enumerate(PRINTED)]
)
def test_what_a_page_shows_is_a_configuration_without_faults(page, block, tmp_path):
    """Backends and models that the documentation prints can be served, once their secrets and files are there."""
    file = tmp_path / "pointsman.yaml"
    mounted = block.replace(MOUNTED, f"{tmp_path}/")
    for name in re.findall(rf"{re.escape(str(tmp_path))}/([\w./-]+)", mounted):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("there")
    file.write_text(mounted, encoding="utf-8")
    check(file, dict.fromkeys(re.findall(r"env: ([A-Z][A-Z0-9_]+)", block), "for-this-test"))


def check(file, environment):
    """There is no fault in the file."""
    out = io.StringIO()
    found = check_config(
        file,
        environment=environment,
        known_providers=PROVIDERS,
        check_backend=backend_findings,
        check_template=template_fault,
        out=out,
    )
    assert found == 0, out.getvalue()


def test_there_are_examples():
    """The folder has not moved away from under the test above."""
    assert len(EXAMPLES) >= 6
    assert len(PRINTED) >= 2
