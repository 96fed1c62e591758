"""What others say about the rendered objects: the schemas of every Kubernetes release, and a linter for security."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import HERE, SETS, Object, text
from tools.go_tools import ToolMissing, find

# Of the environment of `make chart`; other runs collect this file too, and leave it out.
kubernetes_validate = pytest.importorskip("kubernetes_validate")

CRDS = HERE.parent / "kube" / "crds"
OLDEST = 28
VERSIONS = [
    version
    for version in kubernetes_validate.utils.all_versions()
    if version.endswith(".0") and int(version.split(".")[1]) >= OLDEST
]
VERSIONS = list(dict.fromkeys(VERSIONS))

# What kube-score holds against the chart and does not fit here, with the reason.
ACCEPTED = {
    "container-image-pull-policy": "tags are of releases, or digests, and those do not change",
    "deployment-targeted-by-hpa-does-not-have-replicas-configured": "rendered without a cluster the least stands "
    "there; with one, the number that there is: tests/kube proves that it is kept",
}


def _tool(name: str) -> Path:
    try:
        return find(name)
    except ToolMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Schemas as kubeconform reads them without a network: those of Kubernetes by release, and of other kinds."""
    folder = tmp_path_factory.mktemp("schemas")
    package = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    for version in VERSIONS:
        made = folder / f"v{version}"
        made.mkdir()
        for file in (package / f"v{version}-local-strict").glob("*.json"):
            if file.name != "all.json":
                schema = json.loads(file.read_text().replace("/api/_definitions.json", "_definitions.json"))
                schema.pop("$id", None)
                (made / file.name).write_text(json.dumps(schema))
    (folder / "others").mkdir()
    for file in CRDS.glob("*.yaml"):
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            schema = _closed(version["schema"]["openAPIV3Schema"])
            name = f"{spec['names']['kind'].lower()}-{spec['group'].partition('.')[0]}-{version['name']}.json"
            (folder / "others" / name).write_text(json.dumps(schema))
    return folder


def _closed(node: Object) -> Object:
    """Unknown fields refused, as the API server does when it is asked to be strict."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _closed(value) for key, value in node.items()}
    fields = made.get("properties")
    if isinstance(fields, dict) and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def _conforms(manifests: str, version: str, schemas: Path) -> subprocess.CompletedProcess[str]:
    own = f"{schemas}/v{version}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    others = f"{schemas}/others/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = [_tool("kubeconform"), "-strict", "-summary", "-kubernetes-version", version]
    return subprocess.run(
        [*command, "-schema-location", own, "-schema-location", others],
        input=manifests, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_every_release_of_kubernetes_takes_what_is_rendered(version, schemas):
    """Every set of values against the closed schemas of the release, nothing skipped for want of one."""
    manifests = "\n---\n".join(text(values, kube=version) for values in SETS.values())
    done = _conforms(manifests, version, schemas)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Skipped: 0" in done.stdout


def test_there_are_releases():
    """From the oldest that the chart is for to one of this year."""
    assert VERSIONS[0] == f"1.{OLDEST}.0"
    assert len(VERSIONS) >= 10


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("Deployment", "replicas: many"),
        ("Deployment", "replica: 1"),
        ("GRPCRoute", "hostname: a"),
        ("ScaledObject", "maxReplicas: 1"),
        ("ServiceMonitor", "endpoint: []"),
        ("PodMonitor", "jobLabel: 1"),
    ],
)
def test_the_schemas_see_what_is_wrong(kind, wrong, schemas):
    """An unknown field or a wrong type does not pass: else the test above proved nothing."""
    values = SETS["keda"] if kind == "ScaledObject" else SETS["everything"]
    (found,) = [each for each in text(values).split("\n---\n") if f"\nkind: {kind}\n" in f"\n{each}"]
    good = _conforms(found, VERSIONS[-1], schemas)
    assert good.returncode == 0, good.stdout
    bad = _conforms(found.replace("\nspec:\n", f"\nspec:\n  {wrong}\n"), VERSIONS[-1], schemas)
    assert bad.returncode == 1
    assert wrong.partition(":")[0] in bad.stdout


@pytest.mark.parametrize("name", [name for name in SETS if name != "bare"])
def test_the_linter_finds_nothing_critical(name):
    """kube-score, but for what is accepted above with a reason. (`bare` turns off what it asks for.)"""
    scored = subprocess.run(
        # CPU has no limit on purpose: throttling makes streams stutter.
        [_tool("kube-score"), "score", "-", "--output-format=json", "--ignore-container-cpu-limit"],
        input=text(SETS[name]), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    critical = 1
    found = [
        (each["object_name"], check["check"]["id"], [comment["summary"] for comment in check["comments"]])
        for each in json.loads(scored.stdout)
        for check in each["checks"]
        if not check["skipped"] and check["grade"] <= critical and check["check"]["id"] not in ACCEPTED
    ]
    assert found == []
