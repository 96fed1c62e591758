"""The values: each documented, each checked, and a wrong one refused with its path."""

import json

import pytest
import yaml

from tests.chart.rendering import CHART, Refused, leaves, render
from tools.chart import documented

VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

WRONG = {
    "replicas=3": ("''", "replicas"),
    "image.registry=x": ("/image", "registry"),
    "image.digest=sha256:12": ("/image/digest", "pattern"),
    "image.pullPolicy=Sometimes": ("/image/pullPolicy", "Always"),
    "replicaCount=many": ("/replicaCount", "integer"),
    "replicaCount=-1": ("/replicaCount", "minimum"),
    "config.sevrer.max_calls=3": ("/config", "sevrer"),
    "config.server.max_cals=3": ("/config/server", "max_cals"),
    "config.server.max_calls=0": ("/config/server/max_calls", "minimum"),
    "config.server.listen=0.0.0.0:1": ("/config/server", "listen"),
    "config.server.tls.certificate_file=a": ("/config/server", "tls"),
    "config.ops.listen=0.0.0.0:1": ("/config", "ops"),
    "config.admin.listen=0.0.0.0:1": ("/config/admin", "listen"),
    "config.auth.mode=open": ("/config/auth/mode", "api_key"),
    "config.backends.a.url=http://x/v1": ("/config/backends/a", "provider"),
    "config.backends.a.credentials.type=none": ("/config/backends/a/credentials", "bearer"),
    "config.models.m.targets[0].weight=heavy": ("/config/models/m/targets/0", "weight"),
    "rollOnConfigChange=please": ("/rollOnConfigChange", "boolean"),
    "secretEnv[0].name=A,secretEnv[0].value=secret": ("/secretEnv/0", "value"),
    "secretFiles[0].secretName=a,secretFiles[0].mountPath=relative": ("/secretFiles/0/mountPath", "pattern"),
    "env[0].name=A": ("/env/0", "value"),
    "tls.clientCaKey=ca.crt": ("/tls/secretName", "minLength"),
    "ports.grpc=80": ("/ports/grpc", "minimum"),
    "service.type=ExternalName": ("/service/type", "ClusterIP"),
    "service.port=70000": ("/service/port", "maximum"),
    "autoscaling.minReplicas=0": ("/autoscaling/minReplicas", "minimum"),
    "keda.serverAddress=prometheus": ("/keda/serverAddress", "pattern"),
    "podDisruptionBudget.maxUnavailable=some": ("/podDisruptionBudget/maxUnavailable", "pattern"),
    "networkPolicy.grpcFrom=everybody": ("/networkPolicy/grpcFrom", "array"),
    "metrics.serviceMonitor.interval=30": ("/metrics/serviceMonitor/interval", "string"),
    "topologySpread.whenUnsatisfiable=Always": ("/topologySpread/whenUnsatisfiable", "DoNotSchedule"),
    "podLabels.a=1": ("/podLabels/a", "string"),
    "test.maxTokens=0": ("/test/maxTokens", "minimum"),
}
CONTRADICTIONS = {
    "terminationGracePeriodSeconds=60": "terminationGracePeriodSeconds: 60",
    "autoscaling.enabled=true,keda.enabled=true": "autoscaling.enabled and keda.enabled",
    "autoscaling.enabled=true,autoscaling.minReplicas=20": "autoscaling.minReplicas: 20",
    "autoscaling.enabled=true,autoscaling.callsInFlight=0,autoscaling.cpuUtilization=0": "autoscaling: one of",
    "keda.enabled=true": "keda.serverAddress",
    "metrics.serviceMonitor.enabled=true,headlessService.enabled=false": "metrics.serviceMonitor.enabled",
    "grpcRoute.enabled=true": "grpcRoute.parentRefs",
}


@pytest.mark.parametrize("setting", WRONG)
def test_a_wrong_value_is_refused_with_its_path(setting):
    """Unknown keys, wrong types and values out of bounds, down into the service's own configuration."""
    path, word = WRONG[setting]
    with pytest.raises(Refused) as refused:
        render(settings=[setting])
    (line,) = [
        line for line in str(refused.value).splitlines() if line.strip().startswith("- at") and word in line
    ][:1]
    assert path in line


@pytest.mark.parametrize("setting", CONTRADICTIONS)
def test_values_that_contradict_each_other_are_refused(setting):
    """What no schema can see is told by name, too."""
    with pytest.raises(Refused, match=CONTRADICTIONS[setting]):
        render(settings=[setting])


def _free(schema: dict) -> bool:
    """Whether a part of the schema is for the user to fill: no keys of its own are known."""
    return "properties" not in schema


def _known(schema: dict, path: str = "") -> set[str]:
    """Every path that the chart's own part of the schema knows."""
    found = set()
    for name, inner in schema["properties"].items():
        here = f"{path}.{name}" if path else name
        reference = inner.get("$ref", "").rpartition("/")[2]
        target = SCHEMA["$defs"][reference] if reference else inner
        if reference == "Config" or _free(target):
            found.add(here)
        else:
            found |= _known(target, here)
    return found


def test_every_value_has_a_default_and_a_rule():
    """values.yaml and the schema know the same values, so that nothing is hidden and nothing unchecked."""
    rules = _known(SCHEMA) - {"global"}
    defaults = set(leaves(VALUES))
    free = {rule for rule in rules for leaf in defaults if leaf == rule or leaf.startswith(f"{rule}.")}
    assert rules - free == set()
    assert {
        leaf for leaf in defaults if not any(leaf == rule or leaf.startswith(f"{rule}.") for rule in rules)
    } == set()


def test_every_value_is_documented():
    """Each has a comment, or stands under a key that has one."""
    explained = [path for path, _, _ in documented()]
    bare = [
        leaf
        for leaf in leaves(VALUES)
        if not any(leaf == path or leaf.startswith(f"{path}.") for path in explained)
    ]
    assert bare == []


def test_values_may_come_through_a_parent_chart():
    """Helm gives every subchart a key `global`."""
    assert render(settings=["global.environment=test"]) == render()
