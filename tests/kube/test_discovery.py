"""EndpointSlices of a real API server, followed by the real service as a process, with calls under way meanwhile."""

import asyncio
import contextlib
import json
import signal
from functools import partial
from pathlib import Path

import pytest

from pointsman import AsyncClient, PointsmanError
from tests.fakes import chat
from tests.fakes.load import Load
from tests.fakes.provider import Provider
from tests.fakes.running_app import model_over, until
from tests.fakes.service_process import ServiceProcess
from tests.kube.forwarder import Forwarder
from tests.kube.places import SERVICE, free_port
from tests.kube.release import Release
from tests.kube.waiting import until as wait_until

SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
ACCOUNT = "router"
MODEL_SERVER = Path(__file__).parent / "model_server.py"
LONG_S = 60.0
"""A bound on a hang: an API server takes some seconds to start."""


def role(namespace, verbs=("list", "watch")):
    """What a router may do, as the documentation has it."""
    where = {"name": ACCOUNT, "namespace": namespace}
    rule = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": list(verbs)}
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": where, "rules": [rule]},
        {
            "apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": where,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
        },
    ]  # fmt: skip


class World:
    """A cluster with a Service, a router outside of it that follows the Service, and the network between the two."""

    def __init__(self, cluster, namespace, folder):
        self.cluster = cluster
        self.namespace = namespace
        self.folder = folder
        self.path = SLICES.format(namespace)
        self.network = Forwarder(*cluster.url.removeprefix("https://").split(":"))

    async def call(self, what, *arguments, **named):
        """Ask the cluster, without holding this loop up, which serves as well."""
        return await asyncio.to_thread(partial(what, *arguments, **named))

    async def grant(self, *verbs):
        await self.call(self.cluster.apply, *role(self.namespace, verbs))

    async def router(self, stack, *, kubernetes=None, **section):
        """The service as a pod would have it: environment, token, CA; entered once it is ready.

        With `kubernetes` it has only what that section says.
        """
        mounted = self.folder / "serviceaccount"
        mounted.mkdir()
        token = await self.call(self.cluster.token, self.namespace, ACCOUNT)
        for name, text in (
            ("token", token),
            ("namespace", self.namespace),
            ("ca.crt", self.cluster.ca.read_text()),
        ):
            (mounted / name).write_text(text)
        discovery = {"type": "kubernetes", "service": "models", "port": "http", **section}
        backend = {
            "provider": "openai_compatible",
            "url": "http://models.internal/v1",
            "discovery": discovery,
        }
        settings = {
            "kubernetes": kubernetes
            or {"token_file": str(mounted / "token"), "ca_file": str(mounted / "ca.crt")},
            "backends": {"gpu": backend},
            "models": {"chat": model_over("gpu", policy="round_robin")},
        }
        in_pod = {"KUBERNETES_SERVICE_HOST": SERVICE, "KUBERNETES_SERVICE_PORT": str(self.network.port)}
        environment = {} if kubernetes else in_pod
        self.service = await stack.enter_async_context(
            ServiceProcess(self.folder, settings, environment=environment)
        )
        client = AsyncClient(self.service.target, retries=0)
        return await stack.enter_async_context(client)

    async def put(self, provider, **conditions):
        """A slice with this provider as its one endpoint; without conditions it is ready."""
        name = f"models-{provider.host.replace('.', '-')}"
        made = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {"kubernetes.io/service-name": "models"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": provider.port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [provider.host], "conditions": conditions or {"ready": True}}],
        }
        await self.call(self.cluster.apply, made)

    async def remove(self, provider):
        name = f"models-{provider.host.replace('.', '-')}"
        await self.call(self.cluster.request, "DELETE", f"{self.path}/{name}")

    async def counts(self):
        """Endpoints by condition, as the service tells them."""
        _, metrics = await self.service.get("/metrics")
        lines = [line for line in metrics.splitlines() if line.startswith("pointsman_discovery_endpoints{")]
        told = {line.partition('condition="')[2].partition('"')[0]: float(line.split()[-1]) for line in lines}
        return tuple(int(told[name]) for name in ("ready", "draining", "unready"))

    async def knows(self, ready, draining=0, unready=0):
        """Until it knows so many endpoints."""
        wanted = (ready, draining, unready)

        async def known():
            return await self.counts() == wanted

        await until(f"{wanted} endpoints are known", known, LONG_S, every_s=0.05)

    def events(self, name):
        return [line for line in self.service.lines if line["event"] == name]

    async def says(self, name, **fields):
        """Until it logged this."""

        def said():
            return [line for line in self.events(name) if fields.items() <= line.items()]

        await until(f"{name} {fields}", said, LONG_S, every_s=0.05)


@pytest.fixture
async def stack():
    async with contextlib.AsyncExitStack() as entered:
        yield entered


@pytest.fixture
async def world(cluster, namespace, tmp_path, stack):
    made = World(cluster, namespace, tmp_path)
    await made.grant("list", "watch")
    await stack.enter_async_context(made.network)
    return made


async def providers(stack, count):
    """Servers at addresses of their own."""
    made = [
        await stack.enter_async_context(Provider(host=f"10.245.7.{last}")) for last in range(1, count + 1)
    ]
    for provider in made:
        provider.handler = chat.as_asked
    return made


async def refusal(client):
    """The first failure of a call, which comes as soon as no endpoint is left."""
    errors = []

    async def refused():
        try:
            await client.generate("hello", model="chat")
        except PointsmanError as error:
            errors.append(error)
        return errors

    await until("a call is refused", refused, LONG_S)
    return errors[0]


async def rest(provider, load):
    """Nothing comes any more, once what was on its way is through."""

    async def rests():
        seen = len(provider.requests)
        await load.more(40)
        return len(provider.requests) == seen

    await until("it gets no calls", rests, LONG_S)


async def test_slices_through_add_drain_and_remove(world, stack):
    """New calls follow each change at once; what drains gets none and finishes; no call is lost."""
    first, second = await providers(stack, 2)
    await world.put(first)
    client = await world.router(stack)
    async with Load(client) as load:
        await load.more()
        await world.put(second)
        await until("the second gets calls", lambda: second.requests, LONG_S)
        await world.put(first, ready=False, serving=True, terminating=True)
        await world.knows(1, draining=1)
        await rest(first, load)
        await world.put(first, ready=False, serving=False, terminating=True)
        await world.knows(1, unready=1)
        await world.remove(first)
        await world.knows(1)
        await asyncio.wait_for(first.wait_idle(), LONG_S)
        await load.more()
    assert not world.events("discovery_failed")


async def test_only_a_draining_endpoint_is_left(world, stack):
    """It still serves, as kube-proxy has it; with none at all, calls are told to come again."""
    (first,) = await providers(stack, 1)
    await world.put(first, ready=False, serving=True, terminating=True)
    client = await world.router(stack)
    await world.knows(0, draining=1)
    await client.generate("hello", model="chat")
    await world.remove(first)
    error = await refusal(client)
    assert (error.reason, error.retryable) == ("NO_HEALTHY_BACKEND", True)


async def test_a_lost_watch_is_taken_up_again(world, stack):
    """The connection breaks, and for a while no other can be made; what changed meanwhile comes after it."""
    first, second = await providers(stack, 2)
    await world.put(first)
    client = await world.router(stack)
    async with Load(client) as load:
        await load.more()
        world.network.refusing = True
        assert world.network.cut() == 1
        await world.says("discovery_failed", backend="gpu")
        await world.put(second)
        await world.remove(first)
        await load.more()
        assert await world.counts() == (1, 0, 0)
        assert not second.requests
        world.network.refusing = False
        await until("the second gets calls", lambda: second.requests, LONG_S)
        await rest(first, load)
    await world.says("discovery_recovered", backend="gpu")


async def test_an_expired_version_is_listed_anew(world, stack):
    """The service resumes from a version that a compaction and a restart left behind: 410, in an answer with 200."""
    first, second = await providers(stack, 2)
    await world.put(first)
    old = (await world.call(world.cluster.get, world.path))["metadata"]["resourceVersion"]
    client = await world.router(stack)
    async with Load(client) as load:
        await load.more()
        world.network.refusing = True
        world.network.cut()
        await world.put(second)
        await world.remove(first)
        await world.call(world.cluster.stop_apiserver)
        await world.call(world.cluster.start_apiserver)
        await world.call(world.cluster.compact)
        expired = await world.call(world.cluster.open, "GET", f"{world.path}?watch=1&resourceVersion={old}")
        assert json.loads(expired)["object"]["code"] == 410
        await load.more()
        assert not second.requests
        world.network.refusing = False
        await until("the second gets calls", lambda: second.requests, LONG_S)
        await rest(first, load)
    assert "UPSTREAM_CONFLICT" not in {line["reason"] for line in world.events("discovery_failed")}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
async def test_the_api_server_restarts(world, stack, number):
    """Endpoints stay while it is away, and changes are followed when it is back."""
    first, second = await providers(stack, 2)
    await world.put(first)
    client = await world.router(stack)
    async with Load(client) as load:
        await load.more()
        stopping = asyncio.create_task(world.call(world.cluster.stop_apiserver, number))
        await load.more()
        if number is signal.SIGKILL:
            await stopping
            await world.says("discovery_failed", backend="gpu")
        await stopping
        await load.more()
        assert await world.counts() == (1, 0, 0)
        await world.call(world.cluster.start_apiserver)
        await world.put(second)
        await until("the second gets calls", lambda: second.requests, LONG_S)
        await world.remove(first)
        await world.knows(1)
        await rest(first, load)


async def test_rights_that_are_taken_away(world, stack):
    """A running watch goes on; the next one is refused: that is told, endpoints stay, and it mends when rights do."""
    first, second = await providers(stack, 2)
    await world.put(first)
    client = await world.router(stack)
    await world.grant("get")
    world.network.cut()
    await world.says("discovery_failed", backend="gpu", reason="UPSTREAM_PERMISSION_DENIED")
    await world.put(second)
    await client.generate("hello", model="chat")
    assert await world.counts() == (1, 0, 0)
    await world.grant("list", "watch")
    await world.knows(2)
    await world.says("discovery_recovered", backend="gpu")


async def test_rights_to_list_alone(world, stack):
    """Enough to go on: it asks again and again, and says what is missing."""
    first, second = await providers(stack, 2)
    await world.grant("list")
    await world.put(first)
    await world.router(stack)
    await world.says("discovery_failed", backend="gpu", reason="UPSTREAM_PERMISSION_DENIED")
    await world.knows(1)
    await world.put(second)
    await world.knows(2)


async def test_several_pages(world, stack):
    """More slices than a page holds come in several, all of the Service and none of another."""
    first, *_ = await providers(stack, 1)
    await world.put(first)
    many = [
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {
                "name": f"many-{number}", "namespace": world.namespace,
                "labels": {"kubernetes.io/service-name": "models" if number % 2 else "others"},
            },
            "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}],
            "endpoints": [
                {"addresses": [f"10.245.{number // 250 + 10}.{number % 250 + 1}"], "conditions": {"ready": False}}
            ],
        }
        for number in range(1100)
    ]  # fmt: skip
    await world.call(world.cluster.apply, *many)
    await world.router(stack)
    await world.knows(1, unready=550)


async def test_from_outside_of_the_cluster(world, stack):
    """Through `kubectl proxy`, in plain text on loopback: no token, no CA, the namespace written down."""
    first, second = await providers(stack, 2)
    await world.put(first)
    port = free_port("127.0.0.1")
    command = ("kubectl", f"--kubeconfig={world.cluster.kubeconfig}", "proxy", f"--port={port}")
    proxy = await asyncio.create_subprocess_exec(
        world.cluster.binary, *command, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        client = await world.router(
            stack, kubernetes={"api_server": f"http://127.0.0.1:{port}"}, namespace=world.namespace
        )
        await world.knows(1)
        await world.put(second)
        await world.knows(2)
        await client.generate("hello", model="chat")
    finally:
        proxy.terminate()
        await proxy.wait()


MODELS = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "models"},
    "spec": {
        "selector": {"app": "models"},
        "ports": [{"name": "http", "port": 80, "targetPort": "serve"}],
    },
}


def deployment(replicas, **annotations):
    """Model servers as pods: real processes with probes, a pause before SIGTERM, and calls that finish after it."""
    container = {
        "name": "server",
        "image": "model-server",
        "command": ["python", str(MODEL_SERVER)],
        "ports": [{"name": "serve", "containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": "serve"}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    }
    pod = {"terminationGracePeriodSeconds": 30, "containers": [container]}
    labels = {"app": "models"}
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "models"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": rolling,
            "template": template,
        },
    }


async def test_calls_follow_real_pods(world, stack, node):
    """A Deployment grows, is rolled, shrinks, and goes to nothing and back; its pods finish what they began."""

    async def run(replicas, **annotations):
        for made in (MODELS, deployment(replicas, **annotations)):
            there = {**made, "metadata": {**made["metadata"], "namespace": world.namespace}}
            await world.call(world.cluster.apply, there)

    def pods(answers):
        """Which pods served, by what they said."""
        assert all(len(set(answer.text.split())) == 1 for answer in answers)
        return {answer.text.split()[0] for answer in answers}

    async def served_by(load, count, *, others=frozenset()):
        """Until just so many pods serve, none of those among them."""

        async def served():
            found = pods(await load.more(load.callers * 3, within_s=LONG_S))
            return len(found) == count and not found & others

        await until(f"{count} pods serve", served, LONG_S)
        return pods(load.answers[-load.callers * 3 :])

    await run(1)
    client = await world.router(stack)
    await world.knows(1)
    async with Load(client, callers=6) as load:
        await served_by(load, 1)
        await run(3)
        before = await served_by(load, 3)
        await run(3, rolled="once")
        await served_by(load, 3, others=before)
        await world.knows(3)
        await run(1, rolled="once")
        await served_by(load, 1)
        await world.knows(1)
    await run(0, rolled="once")
    await world.knows(0)
    assert "no endpoint" in str(await refusal(client))
    await run(2, rolled="once")
    await world.knows(2)
    await client.generate("hello", model="chat")
    assert not world.events("discovery_failed")


def test_what_the_chart_brings_along_is_enough(cluster, namespace, node, tmp_path):
    """A pod of the chart finds real pods by its own account, role and mounted token, with nothing configured for it."""
    for made in (MODELS, deployment(2)):
        cluster.apply({**made, "metadata": {**made["metadata"], "namespace": namespace}})
    backend = {
        "provider": "openai_compatible",
        "url": "http://models.internal/v1",
        "discovery": {"type": "kubernetes", "service": "models", "port": "http"},
    }
    release = Release(cluster, namespace, tmp_path)
    release.install({"config": {"backends": {"gpu": backend}, "models": {"chat": model_over("gpu")}}})
    found = set()

    def all_found():
        with contextlib.suppress(PointsmanError):
            found.add(release.ask("hello", model="chat").split()[0])
        return len(found) == 2

    wait_until("calls reach every pod", all_found)
    assert all(name.startswith("models-") for name in found)
