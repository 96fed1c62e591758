"""The chart on a real control plane, from installation to removal, by Helm 3 and Helm 4."""

import asyncio
import time

import pytest

from pointsman import AsyncClient, PointsmanError
from tests.kube.release import FULL, HelmFailed, Release
from tests.kube.waiting import until

SIMULATED = {"provider": "simulator", "simulator": {"output_tokens": 4}}


def simulated(*models: str, **backend: object) -> dict:
    """A configuration with these models on a simulator."""
    return {
        "backends": {"sim": {**SIMULATED, **backend}},
        "models": {model: {"targets": [{"backend": "sim"}]} for model in models},
    }


@pytest.fixture(params=["helm", "helm3"])
def release(request, cluster, node, restricted, tmp_path) -> Release:
    """A release to be, by either version, where only pods without rights are let in."""
    return Release(cluster, restricted, tmp_path, request.param)


@pytest.fixture
def by_helm(cluster, node, restricted, tmp_path) -> Release:
    """A release to be, by the newer version."""
    return Release(cluster, restricted, tmp_path)


def left(release: Release) -> list[str]:
    """What is there of a release, but for what Kubernetes itself makes."""
    kinds = "deploy,rs,pod,svc,cm,secret,sa,hpa,pdb,networkpolicy,role,rolebinding,endpointslice"
    names = release.cluster.kubectl("get", kinds, "-n", release.namespace, "-o", "name").split()
    return [name for name in names if name not in ("configmap/kube-root-ca.crt", "serviceaccount/default")]


def test_a_release_is_installed_tested_changed_and_removed(release):
    """Two pods serve; the chart's test makes a call; a change is read in place; a rollout and a rollback roll; then
    nothing is left.
    """
    notes = release.install({"config": simulated("first")})
    assert 'grpcurl -plaintext -d \'{"model":"first"' in notes
    assert len(release.targets()) == 2
    assert release.ask("hello", model="first") == "hello:0 hello:1 hello:2 hello:3"
    assert "Succeeded" in release.test()

    pods = release.uids()
    release.upgrade({"config": simulated("first", "second")})
    for target in release.targets():
        release.until_models(target, {"first", "second"})
    assert release.uids() == pods

    release.upgrade({"config": simulated("third"), "rollOnConfigChange": True})
    until("new pods serve alone", lambda: len(release.uids()) == 2 and not release.uids() & pods)
    for target in release.targets():
        release.until_models(target, {"third"})

    release.rollback(1)
    until("older pods serve alone", lambda: len(release.targets()) == 2)
    for target in release.targets():
        release.until_models(target, {"first"})

    release.uninstall()
    until("nothing is left", lambda: left(release) == [])


def test_switching_autoscaling_on_keeps_the_pods(release):
    """Three pods stay three, and what the autoscaler made of them later stays, too; never does it fall to one."""
    release.install({"replicaCount": 3})
    on = {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 9}}
    seen: set[int] = set()
    release.upgrade(on)
    seen.add(release.deployment["spec"]["replicas"])
    assert seen == {3}

    _scale(release, 4)
    release.upgrade({**on, "podAnnotations": {"example.com/changed": "1"}})
    assert release.deployment["spec"]["replicas"] == 4
    release.upgrade({**on, "podAnnotations": {"example.com/changed": "2"}})
    assert release.deployment["spec"]["replicas"] == 4
    release.rollback(3)
    assert release.deployment["spec"]["replicas"] == 4

    release.upgrade({"replicaCount": 2}, *_forced(release))
    assert release.deployment["spec"]["replicas"] == 2


def _scale(release: Release, replicas: int) -> None:
    """What the autoscaler does: it writes the subresource, in its own name."""
    path = f"/apis/apps/v1/namespaces/{release.namespace}/deployments/{FULL}/scale?fieldManager=autoscaler"
    body = {"spec": {"replicas": replicas}}
    release.cluster.request("PATCH", path, body, kind="application/merge-patch+json")
    until("they are ready", lambda: release.deployment["status"].get("readyReplicas") == replicas)


def _forced(release: Release) -> list[str]:
    """Helm 4 does not take a field from somebody else unless it is told to."""
    return ["--force-conflicts"] if release.helm("version", "--short").startswith("v4") else []


def test_left_out_the_number_would_fall_to_one(by_helm):
    """Why the chart repeats it: a field that nobody holds any more goes back to the API server's own default."""
    by_helm.install({"replicaCount": 3})
    by_helm.upgrade({"autoscaling": {"enabled": True, "keepReplicas": False}})
    assert by_helm.deployment["spec"]["replicas"] == 1


def test_a_conflict_over_the_number_of_pods_is_told(by_helm):
    """Without autoscaling the number is the chart's; who changed it by hand is not overruled in silence."""
    by_helm.install({})
    _scale(by_helm, 3)
    with pytest.raises(HelmFailed, match=r"\.spec\.replicas"):
        by_helm.upgrade({"replicaCount": 1})


async def _streams(targets: list[str], number: int, tokens: int, meanwhile) -> list[str]:
    """Streams that are all under way before something happens; how many tokens each came to, and its end."""

    async def one(target: str, begun: asyncio.Queue) -> str:
        text, began, end = "", time.monotonic(), "ended well"
        try:
            async with clients[target].stream(
                "go", model="slow", max_output_tokens=tokens, timeout_s=50
            ) as stream:
                async for event in stream:
                    if not text:
                        begun.put_nowait(None)
                    text += event.text
        except PointsmanError as error:
            begun.put_nowait(None)
            end = f"{error!r} of {target} after {time.monotonic() - began:.1f} s"
        return f"{len(text.split())} tokens, {end}"

    begun: asyncio.Queue = asyncio.Queue()
    clients = {target: AsyncClient(target) for target in targets}
    try:
        tasks = [asyncio.create_task(one(targets[n % len(targets)], begun)) for n in range(number)]
        for _ in tasks:
            await begun.get()
        await asyncio.to_thread(meanwhile)
        return await asyncio.gather(*tasks)
    finally:
        for client in clients.values():
            await client.close()


async def test_a_rollout_under_live_streams_loses_none(by_helm):
    """Pods that go finish their streams within the grace period, and end well."""
    by_helm.install({"config": simulated("slow", simulator={"output_tokens": 60, "tokens_per_s": 6})})
    pods = {pod["metadata"]["name"] for pod in by_helm.pods()}

    def restart() -> None:
        by_helm.cluster.kubectl("rollout", "restart", f"deploy/{FULL}", "-n", by_helm.namespace)

    assert await _streams(by_helm.targets(), 40, 60, restart) == ["60 tokens, ended well"] * 40
    log = by_helm.cluster.folder / "kubelet.log"

    def ended() -> bool:
        lines = [line for line in log.read_text().splitlines() if any(f"/{name} " in line for name in pods)]
        return len(lines) == 2 and all(" ended with 0 " in line for line in lines)

    until("both old pods have ended well", ended)


def test_one_pod_at_a_time_may_be_evicted(by_helm):
    """The disruption budget is that of the pods that serve."""
    by_helm.install({})
    first, second = (pod["metadata"]["name"] for pod in by_helm.pods())
    until("the budget knows the pods", lambda: _budget(by_helm)["status"].get("disruptionsAllowed") == 1)
    _evict(by_helm, first)
    with pytest.raises(Exception, match="429"):
        _evict(by_helm, second)


def _budget(release: Release) -> dict:
    path = f"/apis/policy/v1/namespaces/{release.namespace}/poddisruptionbudgets/{FULL}"
    return release.cluster.get(path)


def _evict(release: Release, pod: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    release.cluster.request("POST", f"/api/v1/namespaces/{release.namespace}/pods/{pod}/eviction", body)
