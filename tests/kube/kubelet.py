"""A kubelet for tests: every pod of its node is a real process on this machine, with its own address and volumes.

`python -m tests.kube.kubelet KUBECONFIG NODE FOLDER` runs until SIGTERM, which ends its pods as well. It does what the
chart relies on: probes, with their periods and thresholds; restarts; preStop; SIGTERM, grace, SIGKILL; ConfigMaps and
Secrets that are renewed in running pods (within a second, where a real one takes a minute). A container's image is
ignored: its command is looked up in this environment. Resources, users and security contexts are left to the tests of
the image.
"""

import asyncio
import contextlib
import datetime as dt
import json
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.kube.places import GATEWAY
from tests.kube.pod import Pod

Object = dict[str, Any]
_HEARTBEAT_S = 5.0
_RENEWAL_S = 1.0
_RETRY_S = 0.3
CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "200", "ephemeral-storage": "100Gi"}


def now() -> str:
    """The time as the API writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Api:
    """The API server, by a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.server = cluster["server"]
        self._headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Api":
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def call(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, Object]:
        """Status and answer, once there is one: tries on while the API server is away."""
        assert self._session is not None
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        data = None if body is None else json.dumps(body)
        while True:
            try:
                async with self._session.request(
                    method, self.server + path, params=query, data=data, headers={"Content-Type": kind}
                ) as answer:
                    return answer.status, await answer.json()
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(_RETRY_S)

    async def get(self, path: str) -> Object:
        """One object. Raises LookupError when there is none."""
        status, found = await self.call("GET", path)
        if status != 200:
            raise LookupError(f"{path}: {status}")
        return found

    async def token(self, namespace: str, account: str) -> str:
        """A token of a service account."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        _, found = await self.call("POST", path, {"spec": {"expirationSeconds": 3600}})
        made: str = found["status"]["token"]
        return made

    async def watch(self, path: str, **query: str) -> AsyncIterator[Object]:
        """Events of one watch, until it ends in whatever way."""
        assert self._session is not None
        try:
            async with self._session.get(self.server + path, params={"watch": "1", **query}) as answer:
                async for line in answer.content:
                    yield json.loads(line)
        except (aiohttp.ClientError, TimeoutError):
            return


class Kubelet:
    """One node."""

    def __init__(self, api: Api, node: str, folder: Path) -> None:
        self.api = api
        self.node = node
        self.folder = folder
        self.pods: dict[str, Pod] = {}
        self._given = 0

    async def run(self) -> None:
        """Register, then follow the pods of this node for ever."""
        labels = {"kubernetes.io/hostname": self.node, "kubernetes.io/os": "linux"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node, "labels": labels}}
        await self.api.call("POST", "/api/v1/nodes", node)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._heartbeat())
            tasks.create_task(self._renew())
            tasks.create_task(self._follow())

    async def _heartbeat(self) -> None:
        while True:
            condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
            times = {"lastHeartbeatTime": now(), "lastTransitionTime": now()}
            status = {"allocatable": CAPACITY, "capacity": CAPACITY, "conditions": [{**condition, **times}]}
            await self.api.call("PATCH", f"/api/v1/nodes/{self.node}/status", {"status": status})
            await asyncio.sleep(_HEARTBEAT_S)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEWAL_S)
            for pod in list(self.pods.values()):
                await pod.renew()

    async def _follow(self) -> None:
        here = {"fieldSelector": f"spec.nodeName={self.node}"}
        while True:
            status, found = await self.api.call("GET", "/api/v1/pods", **here)
            if status != 200:
                await asyncio.sleep(_RETRY_S)
                continue
            listed = {item["metadata"]["uid"]: item for item in found["items"]}
            for uid in self.pods.keys() - listed.keys():
                self.pods.pop(uid).vanish()
            for item in listed.values():
                self._see(item)
            version = found["metadata"]["resourceVersion"]
            async for event in self.api.watch("/api/v1/pods", resourceVersion=version, **here):
                if event["type"] == "ERROR":
                    break
                if event["type"] == "DELETED":
                    if pod := self.pods.pop(event["object"]["metadata"]["uid"], None):
                        pod.vanish()
                else:
                    self._see(event["object"])
            await asyncio.sleep(_RETRY_S)

    def _see(self, found: Object) -> None:
        meta = found["metadata"]
        leaving = meta.get("deletionTimestamp")
        pod = self.pods.get(meta["uid"])
        if pod is None and not leaving and found["status"].get("phase") == "Pending":
            self._given += 1
            address = f"10.244.{1 + self._given // 250}.{1 + self._given % 250}"
            folder = self.folder / f"{meta['namespace']}-{meta['name']}"
            self.pods[meta["uid"]] = Pod(self.api, found, address=address, folder=folder, host=GATEWAY)
        elif pod is not None and leaving:
            pod.leave(meta.get("deletionGracePeriodSeconds", 30))


async def main() -> None:
    """Entry point."""
    kubeconfig, node, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    async with Api(kubeconfig) as api:
        kubelet = Kubelet(api, node, folder)
        running = asyncio.ensure_future(kubelet.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running
        for pod in kubelet.pods.values():
            pod.vanish()


if __name__ == "__main__":
    asyncio.run(main())
