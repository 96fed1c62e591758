"""A release of the chart on the cluster, as a person handles it with Helm, and what runs of it."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointsman import Client
from tests.kube.cluster import Cluster
from tests.kube.waiting import until
from tools.go_tools import find

Object = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "pointsman"
NAME = "pm"
FULL = "pm-pointsman"

QUICK: Object = {
    "probes": {"periodSeconds": 1, "startSeconds": 120},
    "preStopSeconds": 1,
    "config": {
        "server": {"drain": {"delay_s": 0.5, "grace_s": 60, "flush_s": 1}},
        "deadlines": {"maximum_s": 60, "unary_default_s": 30, "stream_default_s": 30},
    },
}
"""What makes tests short: the same paths, with shorter pauses."""


class HelmFailed(Exception):
    """Helm ended badly; the text is what it said."""


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> Object:
    """Both, the second one's values going before, key by key."""
    both = dict(first)
    for key, value in second.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return both


class Release:
    """One release, named NAME."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path, program: str = "helm") -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._folder = folder
        self._program = find(program)

    def helm(self, *arguments: str) -> str:
        """What Helm prints. Raises HelmFailed."""
        home = {f"HELM_{kind}_HOME": str(self._folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(
            [self._program, *arguments, "--namespace", self.namespace],
            env={**os.environ, **home, "KUBECONFIG": str(self.cluster.kubeconfig)},
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        if done.returncode:
            raise HelmFailed(done.stderr)
        return done.stdout

    def _values(self, values: Mapping[str, Any]) -> str:
        file = self._folder / "values.json"
        file.write_text(json.dumps(merged(QUICK, values)))
        return str(file)

    def install(self, values: Mapping[str, Any]) -> str:
        """Install, and wait until all pods are ready and in the headless Service."""
        given = ["--values", self._values(values), "--wait", "--timeout", "2m"]
        notes = self.helm("install", NAME, str(CHART), *given)
        # The slices are written by a controller of their own, a moment after the pods are ready.
        until("every pod takes calls", lambda: len(self.targets()) == len(self.pods()))
        return notes

    def upgrade(self, values: Mapping[str, Any], *arguments: str) -> str:
        """Upgrade to exactly these values, and wait until all pods are ready."""
        given = ["--values", self._values(values), "--wait", "--timeout", "2m", *arguments]
        return self.helm("upgrade", NAME, str(CHART), "--reset-values", *given)

    def rollback(self, revision: int, *arguments: str) -> str:
        """Go back, and wait until all pods are ready."""
        return self.helm("rollback", NAME, str(revision), "--wait", "--timeout", "2m", *arguments)

    def test(self) -> str:
        """Run the chart's own tests."""
        return self.helm("test", NAME, "--timeout", "2m")

    def uninstall(self) -> str:
        """Remove it, and wait until it is gone."""
        return self.helm("uninstall", NAME, "--wait", "--timeout", "2m")

    # --- what runs ---

    @property
    def deployment(self) -> Object:
        """The Deployment."""
        return self.cluster.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{FULL}")

    def pods(self) -> list[Object]:
        """Its pods that serve and were not told to go."""
        selector = f"app.kubernetes.io%2Finstance%3D{NAME},app.kubernetes.io%2Fcomponent%3Dserver"
        found = self.cluster.get(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={selector}")
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def uids(self) -> set[str]:
        """What names those pods for good."""
        return {pod["metadata"]["uid"] for pod in self.pods()}

    def targets(self) -> list[str]:
        """Addresses of pods that take calls, as the headless Service has them."""
        selector = f"kubernetes.io%2Fservice-name%3D{FULL}-headless"
        path = (
            f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices?labelSelector={selector}"
        )
        return [
            f"{endpoint['addresses'][0]}:50051"
            for each in self.cluster.get(path)["items"]
            for endpoint in each["endpoints"] or []
            if endpoint["conditions"]["ready"]
        ]

    def ask(self, question: str, *, model: str = "simulator", **options: Any) -> str:
        """What the first pod answers."""
        with Client(self.targets()[0], **options) as client:
            return client.generate(question, model=model, timeout_s=20).text

    def until_models(self, target: str, wanted: set[str]) -> None:
        """Waits until a pod has these models and no others."""
        with Client(target) as client:
            until(f"{target} serves {wanted}", lambda: {model.name for model in client.models()} == wanted)
