"""The fixtures themselves: whoever builds tests on them may rely on this."""

import json

import pytest

from tests.kube.cluster import ApiError
from tests.kube.waiting import until


def _slice(name: str, address: str) -> dict:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "models"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


def test_what_was_written_survives_a_killed_api_server(cluster, namespace):
    """The API server comes back at the same address, with the same certificate, and knows everything."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    cluster.request("POST", path, _slice("models-1", "10.245.0.1"))
    cluster.stop_apiserver()
    with pytest.raises(OSError):  # noqa: PT011 -- refused or reset, as it happens
        cluster.get(path)
    cluster.start_apiserver()
    assert [item["metadata"]["name"] for item in cluster.get(path)["items"]] == ["models-1"]


def test_an_account_may_only_what_it_is_bound_to(cluster, namespace):
    """Roles are enforced for the tokens that pods get."""
    who = f"system:serviceaccount:{namespace}:default"
    reviewed = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": who,
            "resourceAttributes": {
                "namespace": namespace,
                "verb": "list",
                "group": "discovery.k8s.io",
                "resource": "endpointslices",
            },
        },
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert not cluster.request("POST", path, reviewed)["status"]["allowed"]
    assert cluster.token(namespace, "default").count(".") == 2


def test_an_object_with_an_unknown_field_is_refused(cluster, namespace):
    """Validation on the server is strict."""
    wrong = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": namespace},
        "dat": {},
    }
    with pytest.raises(AssertionError, match="dat"):
        cluster.apply(wrong)
    with pytest.raises(ApiError, match="404"):
        cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/a")


def test_a_pod_with_rights_is_not_let_in(cluster, restricted):
    """PodSecurity `restricted` is enforced, and told of a Deployment before its pods are missing."""
    pod = {"containers": [{"name": "main", "image": "python"}]}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod}
    with pytest.raises(ApiError, match="runAsNonRoot"):
        cluster.request("POST", f"/api/v1/namespaces/{restricted}/pods", made)
    labels = {"app": "a"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    where = {"name": "d", "namespace": restricted}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": where, "spec": spec}
    with pytest.raises(AssertionError, match="PodSecurity"):
        cluster.kubectl(
            "apply", "--dry-run=server", "--warnings-as-errors", "-f", "-", stdin=json.dumps(deployment)
        )


def test_a_pod_is_a_process_with_its_own_address(cluster, node, namespace):
    """It sees its ConfigMap as files that are renewed, and its exit status is told."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": namespace}}
    cluster.apply({**config, "data": {"text": "first"}})
    waits = (
        "import socket, pathlib, time; f = pathlib.Path('/etc/pod/text'); assert f.read_text() == 'first'\n"
        "s = socket.create_server(('0.0.0.0', 5000)); print(socket.gethostbyname(socket.gethostname()), flush=True)\n"
        "while f.read_text() != 'second': time.sleep(0.05)\n"
    )
    container = {
        "name": "main",
        "image": "python",
        "command": ["python", "-c", waits],
        "volumeMounts": [{"name": "c", "mountPath": "/etc/pod"}],
    }
    volumes = [{"name": "c", "configMap": {"name": "c"}}]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    pod = f"/api/v1/namespaces/{namespace}/pods/p"
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    cluster.request("POST", f"/api/v1/namespaces/{namespace}/pods", made)
    output = node / f"{namespace}-p" / "output.log"
    address = until("it writes its address", lambda: output.exists() and output.read_text().strip())
    assert address == cluster.get(pod)["status"]["podIP"]
    cluster.apply({**config, "data": {"text": "second"}})
    ended = until(
        "it ends", lambda: cluster.get(pod)["status"]["containerStatuses"][0]["state"].get("terminated")
    )
    assert ended["exitCode"] == 0, output.read_text()
