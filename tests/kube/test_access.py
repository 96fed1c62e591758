"""Who gets in, and what the API server says about the objects of every set of values."""

import base64
import json

import pytest
import trustme
import yaml

from pointsman import TlsConfig, Unauthenticated
from pointsman_server.admission.auth import new_key
from tests.chart.rendering import SETS, text
from tests.kube.conftest import HERE
from tests.kube.release import FULL, Release
from tests.kube.waiting import until


@pytest.fixture(scope="module")
def custom_kinds(cluster) -> None:
    """Kinds of the Gateway API, KEDA and the Prometheus operator are known."""
    for file in (HERE / "crds").glob("*.yaml"):
        definition = yaml.safe_load(file.read_text())
        # Kubernetes asks this of groups below its own domain.
        definition["metadata"]["annotations"]["api-approved.kubernetes.io"] = "unapproved, of a test"
        cluster.apply(definition)
    for kind in ("grpcroutes", "scaledobjects", "servicemonitors", "podmonitors"):
        until(f"{kind} are known", lambda kind=kind: kind in cluster.kubectl("api-resources", "-o", "name"))


@pytest.mark.parametrize("name", SETS)
def test_the_api_server_takes_what_is_rendered(name, custom_kinds, cluster, restricted):
    """Strictly, and without a warning about pods with rights."""
    manifests = text(SETS[name]).replace("namespace: inference", f"namespace: {restricted}")
    wanted = len([each for each in yaml.safe_load_all(manifests) if each])
    how = ("--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors")
    assert len(cluster.kubectl("apply", *how, "-o", "name", "-f", "-", stdin=manifests).split()) == wanted


@pytest.fixture
def release(cluster, node, restricted, tmp_path) -> Release:
    """A release to be."""
    return Release(cluster, restricted, tmp_path)


def secret(release: Release, name: str, **files: bytes | str) -> None:
    """Write a Secret."""
    data = {
        key.replace("__", "."): base64.b64encode(
            value if isinstance(value, bytes) else value.encode()
        ).decode()
        for key, value in files.items()
    }
    release.cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": release.namespace},
            "data": data,
        }
    )


def test_a_key_is_exchanged_without_a_restart(release):
    """Callers' keys are hashes in a Secret; a new one is in force soon, the old one is not, and no pod was replaced.
    The chart's own test calls with a key from a Secret, too.
    """
    old, new = new_key(), new_key()
    key_id = old.key.partition(".")[0]
    secret(release, "callers", search=_hash(old))
    secret(release, "smoke", key=old.key)
    principals = [
        {
            "name": "search",
            "api_keys": [{"id": key_id, "hash_from": {"file": "/etc/pointsman/callers/search"}}],
        }
    ]
    release.install(
        {
            "replicaCount": 1,
            "secretFiles": [{"secretName": "callers", "mountPath": "/etc/pointsman/callers"}],
            "config": {"auth": {"mode": "api_key", "principals": principals}},
            "test": {"apiKeySecretName": "smoke"},
        }
    )
    assert "Succeeded" in release.test()
    pods = release.uids()
    with pytest.raises(Unauthenticated):
        release.ask("hello")
    assert release.ask("hello", api_key=old.key, allow_insecure_key=True)

    renewed = f"{key_id}.{new.key.partition('.')[2]}"
    secret(release, "callers", search=_hash(new))

    def accepted() -> bool:
        try:
            return bool(release.ask("hello", api_key=renewed, allow_insecure_key=True))
        except Unauthenticated:
            return False

    until("the new key is accepted", accepted)
    with pytest.raises(Unauthenticated):
        release.ask("hello", api_key=old.key, allow_insecure_key=True)
    assert release.uids() == pods


def _hash(made) -> str:
    """The hash in the snippet of configuration that a new key comes with."""
    (found,) = yaml.safe_load(made.snippet)
    return found["hash"]


def test_pods_with_mutual_tls_are_ready_and_let_in_only_who_they_know(release, tmp_path):
    """Probes go to the ops port; the chart's own test shows a certificate."""
    authority = trustme.CA()
    served = authority.issue_cert(f"{FULL}.{release.namespace}.svc", *_addresses())
    caller = authority.issue_cert("smoke.internal")
    chain = b"".join(blob.bytes() for blob in served.cert_chain_pems)
    ca = authority.cert_pem.bytes()
    secret(release, "served", tls__crt=chain, tls__key=served.private_key_pem.bytes(), ca__crt=ca)
    own = caller.cert_chain_pems[0].bytes()
    secret(release, "caller", tls__crt=own, tls__key=caller.private_key_pem.bytes(), ca__crt=ca)
    principals = [{"name": "smoke", "mtls_identities": ["smoke.internal"]}]
    release.install(
        {
            "replicaCount": 1,
            "tls": {"secretName": "served", "clientCaKey": "ca.crt"},
            "test": {"tlsSecretName": "caller"},
            "config": {"auth": {"mode": "mtls", "principals": principals}},
        }
    )
    assert "Succeeded" in release.test()
    for name, data in (("ca", ca), ("crt", own), ("key", caller.private_key_pem.bytes())):
        (tmp_path / name).write_bytes(data)
    tls = TlsConfig(ca=tmp_path / "ca", cert=tmp_path / "crt", key=tmp_path / "key")
    assert release.ask("hello", tls=tls)


def _addresses() -> list[str]:
    """Those that the next pods may get: the certificate is good for any of them."""
    return [f"10.244.{high}.{low}" for high in (1, 2) for low in range(1, 251)]


def allowed(release: Release, verb: str, resource: str, namespace: str) -> bool:
    """Whether the release's account may do that."""
    group, _, name = resource.rpartition("/")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{release.namespace}:{FULL}",
            "resourceAttributes": {"namespace": namespace, "verb": verb, "group": group, "resource": name},
        },
    }
    answer = release.cluster.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def test_without_discovery_a_pod_has_no_token_and_no_rights(release):
    """Nothing is mounted, and the account may read nothing."""
    release.install({"replicaCount": 1})
    (pod,) = release.pods()
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["config"]
    assert not allowed(release, "list", "discovery.k8s.io/endpointslices", release.namespace)
    assert "token" not in json.dumps(pod["spec"]["volumes"])
