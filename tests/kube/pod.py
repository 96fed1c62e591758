"""One pod on the kubelet for tests: its process, its probes, and what the API server is told about it."""

import asyncio
import contextlib
import datetime as dt
import itertools
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Protocol

from tests.kube import box, volumes
from tests.kube.places import BRIDGE
from tests.kube.probes import passes

Object = dict[str, Any]
ENTRYPOINT = ["pointsman-server"]
"""That of the image."""
_RESTART_S = 0.5
_SANDBOX_S = 2.0
"""How long the network of a pod outlives its process, as that of a real one does: what the process wrote last is still
delivered, and who speaks to its port is refused."""
_devices = itertools.count()


class Server(Protocol):
    """What a pod needs of the API server."""

    server: str

    async def call(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, Object]:
        """Status and answer of a request."""

    async def get(self, path: str) -> Object:
        """One object."""

    async def token(self, namespace: str, account: str) -> str:
        """A token of a service account."""


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _network(pid: int) -> Path:
    """What names the network namespace of a process."""
    return Path(f"/proc/{pid}/ns/net").readlink()


class Pod:
    """Runs from its making on."""

    def __init__(self, api: Server, found: Object, *, address: str, folder: Path, host: str) -> None:
        self.api = api
        self.found = found
        self.address = address
        self.folder = folder
        self.host = host
        self.container: Object = found["spec"]["containers"][0]
        self.path = f"/api/v1/namespaces/{found['metadata']['namespace']}/pods/{found['metadata']['name']}"
        self.restarts = 0
        self._grace_s: float | None = None
        self._leaving = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._sandbox: int | None = None
        """Keeps the network namespace, which would go with its last process."""
        self._told: Object | None = None
        self._mounted: dict[str, dict[str, bytes]] = {}
        self._generation = itertools.count()
        self._task = asyncio.create_task(self._run())
        # An error here is a fault of this kubelet: it must not pass in silence.
        self._task.add_done_callback(lambda task: None if task.cancelled() else task.result())

    def leave(self, grace_s: float) -> None:
        """It was deleted, and has so long to end."""
        self._grace_s = grace_s if self._grace_s is None else min(self._grace_s, grace_s)
        self._leaving.set()

    def vanish(self) -> None:
        """The API server knows it no more."""
        self.leave(0)
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    # --- volumes ---

    async def renew(self) -> None:
        """Bring what changed of ConfigMaps and Secrets into the running pod; what is gone stays as it was."""
        for volume in self.found["spec"].get("volumes", []):
            with contextlib.suppress(LookupError):
                await self._mount(volume)

    async def _mount(self, volume: Object) -> None:
        name = volume["name"]
        if "projected" in volume and name in self._mounted:
            return  # A token is good for an hour here.
        files = await volumes.contents(volume, self.found, self.api.get, self.api.token)
        if self._mounted.get(name) == files:
            return
        folder = self.folder / "volumes" / name
        folder.mkdir(parents=True, exist_ok=True)
        if "emptyDir" not in volume:
            volumes.write(folder, files, generation=next(self._generation))
        self._mounted[name] = files

    # --- the process ---

    async def _start(self) -> None:
        self._leave_sandbox()
        for volume in self.found["spec"].get("volumes", []):
            await self._mount(volume)
        root = self.folder / f"root-{self.restarts}"
        root.mkdir(parents=True)
        hosts = self.folder / "hosts"
        hosts.write_text(await self._hosts())
        mounts = {"/etc/hosts": hosts}
        for mount in self.container.get("volumeMounts", []):
            target = str(mount["mountPath"]).replace("/var/run/", "/run/")
            mounts[target] = self.folder / "volumes" / mount["name"]
        host, _, port = self.api.server.removeprefix("https://").rpartition(":")
        variables = {
            **os.environ,
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
            **await volumes.environment(self.container, self.found, self.api.get),
        }
        command = [*(self.container.get("command") or ENTRYPOINT), *self.container.get("args", [])]
        command[0] = str(Path(sys.executable).parent / command[0])
        name = self.found["metadata"]["name"]
        inside = box.script(root, mounts, name=name, address=self.address)
        with (self.folder / "output.log").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(*box.NAMESPACES, "sh", "-c", inside, "sh"),
                *command,
                env=variables,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        await self._connect(self._process)

    async def _connect(self, process: asyncio.subprocess.Process) -> None:
        """Puts one end of a pair of devices into the pod, once it has its own network."""
        while process.returncode is None and _network(process.pid) == _network(os.getpid()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self._sandbox = os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        device = f"pod{next(_devices)}"
        peer = ["type", "veth", "peer", "name", "eth0", "netns", str(process.pid)]
        for command in (["add", device, *peer], ["set", device, "master", BRIDGE, "up"]):
            done = await asyncio.create_subprocess_exec("ip", "link", *command)
            if await done.wait():
                raise RuntimeError(f"ip link {' '.join(command)} failed")
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()

    def _leave_sandbox(self) -> None:
        """Lets the network go with its last process."""
        if self._sandbox is not None:
            os.close(self._sandbox)
            self._sandbox = None

    async def _hosts(self) -> str:
        """Names of this machine and of the namespace's Services, in place of the cluster's DNS, as they are now."""
        namespace = self.found["metadata"]["namespace"]
        lines = ["127.0.0.1 localhost", f"{self.address} {self.found['metadata']['name']}"]
        slices = await self.api.get(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
        for entry in slices["items"]:
            service = entry["metadata"]["labels"].get("kubernetes.io/service-name", "")
            names = f"{service} {service}.{namespace} {service}.{namespace}.svc {service}.{namespace}.svc.cluster.local"
            for endpoint in entry["endpoints"] or []:
                if endpoint["conditions"].get("ready"):
                    lines += [f"{address} {names}" for address in endpoint["addresses"]]
        return "\n".join(lines) + "\n"

    # --- its life ---

    async def _run(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            started_at = _now()
            try:
                await self._start()
            except LookupError:
                # Something that it refers to is not there yet.
                await self._tell("Pending", state={"waiting": {"reason": "ContainerCreating"}})
                if await self._left_within(_RESTART_S):
                    await self._gone()
                    return
                continue
            assert self._process is not None
            ended = asyncio.create_task(self._process.wait())
            await self._watch_over(ended, {"running": {"startedAt": started_at}})
            if self._leaving.is_set():
                await self._end(ended)
            over = self._over(started_at)
            if self._leaving.is_set():
                await self._tell("Failed" if ended.result() else "Succeeded", state=over)
                await self._gone()
                return
            policy = self.found["spec"].get("restartPolicy", "Always")
            if policy == "Never" or (policy == "OnFailure" and not ended.result()):
                await self._tell("Failed" if ended.result() else "Succeeded", state=over)
                return
            self.restarts += 1
            await self._tell("Running", state=over)
            await self._left_within(_RESTART_S)

    async def _watch_over(self, ended: asyncio.Task[int], state: Object) -> None:
        """Probes until the process ends or the pod is deleted."""
        await self._tell("Running", state=state, started="startupProbe" not in self.container)
        probing = asyncio.create_task(self._probe(state))
        leaving = asyncio.create_task(self._leaving.wait())
        await asyncio.wait({ended, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (probing, leaving):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await probing

    async def _probe(self, state: Object) -> None:
        """Tells the process to go when a startup or liveness probe fails for good."""
        if not await self._succeeds("startupProbe"):
            self._terminate()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._readiness(state))
            group.create_task(self._liveness())

    async def _succeeds(self, kind: str) -> bool:
        probe = self.container.get(kind)
        if probe is None:
            return True
        for _ in range(probe.get("failureThreshold", 3)):
            if await self._passes(probe):
                return True
            await asyncio.sleep(probe.get("periodSeconds", 10))
        return False

    async def _readiness(self, state: Object) -> None:
        probe = self.container.get("readinessProbe")
        failures, ready = 0, False
        while True:
            good = probe is None or await self._passes(probe)
            failures = 0 if good else failures + 1
            ready = good or (ready and failures < (probe or {}).get("failureThreshold", 3))
            await self._tell("Running", state=state, started=True, ready=ready)
            if probe is None:
                return
            await asyncio.sleep(probe.get("periodSeconds", 10))

    async def _liveness(self) -> None:
        if probe := self.container.get("livenessProbe"):
            while await self._succeeds("livenessProbe"):  # noqa: ASYNC110 -- a period, not a wait
                await asyncio.sleep(probe.get("periodSeconds", 10))
            self._terminate()

    async def _passes(self, probe: Object) -> bool:
        ports = {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}
        return await passes(self.address, probe, ports)

    def _terminate(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def _end(self, ended: asyncio.Task[int]) -> None:
        """preStop, SIGTERM, the rest of the grace, SIGKILL."""
        grace_s = self._grace_s or 0
        pause_s = self.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        began = asyncio.get_running_loop().time()
        await asyncio.wait({ended}, timeout=min(pause_s, grace_s))
        self._terminate()
        left_s = max(0.0, began + grace_s - asyncio.get_running_loop().time())
        await asyncio.wait({ended}, timeout=left_s)
        if not ended.done():
            assert self._process is not None
            self._process.kill()
            await ended
        took_s = asyncio.get_running_loop().time() - began
        line = f"{self.path} ended with {ended.result()} after {took_s:.1f} of {grace_s} s"
        print(line, flush=True)  # noqa: T201 -- the kubelet's log

    async def _left_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leaving.wait()
        return self._leaving.is_set()

    async def _gone(self) -> None:
        condition = {"uid": self.found["metadata"]["uid"]}
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "gracePeriodSeconds": 0,
            "preconditions": condition,
        }
        await self.api.call("DELETE", self.path, body)
        asyncio.get_running_loop().call_later(_SANDBOX_S, self._leave_sandbox)
        shutil.rmtree(self.folder / "volumes", ignore_errors=True)

    def _over(self, started_at: str) -> Object:
        assert self._process is not None
        code = self._process.returncode or 0
        reason = "Completed" if code == 0 else "Error"
        shown = code if code >= 0 else 128 - code
        times = {"startedAt": started_at, "finishedAt": _now()}
        return {"terminated": {"exitCode": shown, "reason": reason, **times}}

    async def _tell(self, phase: str, *, state: Object, started: bool = False, ready: bool = False) -> None:
        told = {"phase": phase, "state": state, "started": started, "ready": ready, "restarts": self.restarts}
        if told == self._told:
            return
        self._told = told
        conditions = [
            {"type": kind, "status": str(value), "lastTransitionTime": _now()}
            for kind, value in (
                ("PodScheduled", True),
                ("Initialized", True),
                ("ContainersReady", ready),
                ("Ready", ready),
            )
        ]
        container = {
            "name": self.container["name"],
            "image": self.container["image"],
            "imageID": "",
            "ready": ready,
            "started": started,
            "restartCount": self.restarts,
            "state": state,
        }
        addresses = {"podIP": self.address, "podIPs": [{"ip": self.address}]}
        host = {"hostIP": self.host, "hostIPs": [{"ip": self.host}]}
        status = {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [container],
            **addresses,
            **host,
        }
        await self.api.call("PATCH", f"{self.path}/status", {"status": status})
