"""One control plane and one node for the whole run; a namespace of its own for each test.

For whoever tests against Kubernetes: `cluster` is the control plane (see cluster.py), `node` a kubelet that runs pods
as processes, `namespace` a fresh namespace without limits, `restricted` one that enforces PodSecurity `restricted`.
"""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kube.cluster import Cluster
from tests.kube.places import is_sealed
from tests.kube.waiting import until
from tools.go_tools import ToolMissing, find

HERE = Path(__file__).parent
_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nothing here belongs to `make test`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kube)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The control plane. A test that stops its API server starts it again."""
    if not is_sealed():
        pytest.skip("these tests need a network of their own: `make test-kube` makes it")
    try:
        binary = find("kube")
    except ToolMissing as error:
        pytest.skip(str(error))
    with Cluster(tmp_path_factory.mktemp("cluster"), binary) as started:
        yield started


@pytest.fixture(scope="session")
def node(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A node on which pods run; the folder has `NAMESPACE-POD/output.log` of each."""
    folder = tmp_path_factory.mktemp("node")
    with (cluster.folder / "kubelet.log").open("ab") as log:
        kubelet = subprocess.Popen(
            [sys.executable, "-m", "tests.kube.kubelet", cluster.kubeconfig, "node-1", folder],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        until("the node is ready", lambda: _is_ready(cluster))
        yield folder
    finally:
        kubelet.terminate()
        kubelet.wait()


def _is_ready(cluster: Cluster) -> bool:
    if not cluster.exists("/api/v1/nodes/node-1"):
        return False
    conditions = cluster.get("/api/v1/nodes/node-1")["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh namespace."""
    yield from _namespace(cluster, {})


@pytest.fixture
def restricted(cluster: Cluster) -> Iterator[str]:
    """A fresh namespace that takes only pods without any rights."""
    levels = ("enforce", "audit", "warn")
    yield from _namespace(cluster, {f"pod-security.kubernetes.io/{level}": "restricted" for level in levels})


def _namespace(cluster: Cluster, labels: dict[str, str]) -> Iterator[str]:
    name = f"test-{next(_numbers)}"
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }
    cluster.request("POST", "/api/v1/namespaces", made)
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    until(f"{name} has its account", lambda: cluster.exists(account))
    yield name
    cluster.request("DELETE", f"/api/v1/namespaces/{name}")
