"""A real control plane for tests: etcd, API server, controllers, scheduler, each a process; nodes come from kubelet.py.

Enters: a folder for its state. Leaves: a kubeconfig, and a client for the few requests that tests make themselves. The
API server can be stopped, killed and started again at the same address, and etcd's history can be cut off.
"""

import contextlib
import json
import os
import secrets
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.kube.places import GATEWAY, free_port
from tests.kube.waiting import until

Object = dict[str, Any]

CONTROLLERS = (
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
)


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status


class Cluster:
    """One control plane; a context manager, entered once its controllers work."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self.folder = folder
        self.binary = binary
        self.port = free_port()
        self.url = f"https://{GATEWAY}:{self.port}"
        self.kubeconfig = folder / "kubeconfig"
        self.ca = folder / "certs" / "apiserver.crt"
        self._tokens = {name: secrets.token_hex(16) for name in ("admin", "controllers", "scheduler")}
        self._etcd = f"http://127.0.0.1:{free_port('127.0.0.1')}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    # --- processes ---

    def __enter__(self) -> "Cluster":
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._write_identities()
            self._start_etcd()
            self.start_apiserver()
            self._write_kubeconfigs()
            self._start_controllers()
            until("the controllers work", self._has_default_account)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running)[::-1]:
            self._stop(name, signal.SIGTERM if name != "kube-apiserver" else signal.SIGKILL)

    def run(self, name: str, command: Sequence[str | Path], **environment: str) -> None:
        """Start a process that ends with the cluster; its output goes to NAME.log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> str:
        """What a process wrote."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _stop(self, name: str, number: int) -> None:
        process = self._running.pop(name)
        process.send_signal(number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start_apiserver(self) -> None:
        """Start the API server at its one address, and wait until it is ready."""
        folder = self.folder
        self.run(
            "kube-apiserver",
            [
                *(self.binary, "kube-apiserver", f"--etcd-servers={self._etcd}"),
                *(
                    f"--bind-address={GATEWAY}",
                    f"--advertise-address={GATEWAY}",
                    f"--secure-port={self.port}",
                ),
                *(f"--cert-dir={folder}/certs", f"--token-auth-file={folder}/tokens.csv"),
                *("--anonymous-auth=false", "--authorization-mode=RBAC", "--endpoint-reconciler-type=none"),
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={folder}/accounts.key",
                f"--service-account-signing-key-file={folder}/accounts.key",
                *("--service-cluster-ip-range=10.96.0.0/16", "--profiling=false"),
            ],
        )
        until("the API server is ready", self._is_ready)

    def stop_apiserver(self, number: int = signal.SIGKILL) -> None:
        """End the API server: at once by SIGKILL; by SIGTERM its watches go on for up to a minute before."""
        self._stop("kube-apiserver", number)

    def _start_etcd(self) -> None:
        peer = f"http://127.0.0.1:{free_port('127.0.0.1')}"
        self.run(
            "etcd",
            [
                *(self.binary, "etcd", f"--data-dir={self.folder}/etcd", "--log-level=warn"),
                *(f"--listen-client-urls={self._etcd}", f"--advertise-client-urls={self._etcd}"),
                *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
                *(f"--initial-cluster=default={peer}", "--unsafe-no-fsync"),
            ],
        )

    def _start_controllers(self) -> None:
        folder, local = self.folder, "--bind-address=127.0.0.1"
        self.run(
            "kube-controller-manager",
            [
                *(self.binary, "kube-controller-manager", local, f"--secure-port={free_port('127.0.0.1')}"),
                *(f"--kubeconfig={folder}/controllers.kubeconfig", f"--cert-dir={folder}/certs-controllers"),
                *("--leader-elect=false", f"--controllers={','.join(CONTROLLERS)}"),
                f"--service-account-private-key-file={folder}/accounts.key",
                f"--root-ca-file={self.ca}",
            ],
        )
        self.run(
            "kube-scheduler",
            [
                *(self.binary, "kube-scheduler", local, f"--secure-port={free_port('127.0.0.1')}"),
                *(f"--kubeconfig={folder}/scheduler.kubeconfig", f"--cert-dir={folder}/certs-scheduler"),
                "--leader-elect=false",
            ],
        )

    def _write_identities(self) -> None:
        users = {"admin": "admin", "controllers": "controllers", "scheduler": "system:kube-scheduler"}
        lines = [f'{self._tokens[name]},{user},{name},"system:masters"' for name, user in users.items()]
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("\n".join(lines) + "\n")
        key = ["openssl", "genrsa", "-out", str(self.folder / "accounts.key"), "2048"]
        subprocess.run(key, check=True, capture_output=True)

    def _write_kubeconfigs(self) -> None:
        files = {
            "admin": "kubeconfig",
            "controllers": "controllers.kubeconfig",
            "scheduler": "scheduler.kubeconfig",
        }
        for name, file in files.items():
            self.write_kubeconfig(self.folder / file, self._tokens[name])

    def write_kubeconfig(self, file: Path, token: str) -> None:
        """A kubeconfig for the holder of a token."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [
                {"name": "test", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}
            ],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        file.touch(mode=0o600)
        file.write_text(json.dumps(config))

    # --- requests ---

    def open(self, method: str, path: str, body: object = None, *, kind: str = "application/json") -> bytes:
        """One request as administrator. Raises ApiError, and OSError while nobody listens."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._tokens['admin']}", "Content-Type": kind}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                found: bytes = answer.read()
                return found
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, error.read().decode(errors="replace")) from None

    def request(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json"
    ) -> Object:
        """As `open`, for what answers with an object."""
        found: Object = json.loads(self.open(method, path, body, kind=kind))
        return found

    def get(self, path: str) -> Object:
        """One object, or a list of them."""
        return self.request("GET", path)

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            self.get(path)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints. Raises AssertionError with what it complains about."""
        command = [self.binary, "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects on the server, which checks them strictly."""
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=listed)

    def token(self, namespace: str, account: str) -> str:
        """A token of a service account."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        found: str = self.request("POST", path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
        return found

    def compact(self) -> None:
        """Cut etcd's history off at the present: whoever resumes from before is told 410."""
        status = self._etcd_call("/v3/maintenance/status", {})
        revision = int(status["header"]["revision"])
        self._etcd_call("/v3/kv/compaction", {"revision": revision, "physical": True})

    def _etcd_call(self, path: str, body: Object) -> Object:
        request = urllib.request.Request(self._etcd + path, data=json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: Object = json.load(answer)
            return found

    def _is_ready(self) -> bool:
        process = self._running["kube-apiserver"]
        assert process.poll() is None, f"the API server ended:\n{self.log('kube-apiserver')[-3000:]}"
        with contextlib.suppress(OSError, ApiError):
            return self.ca.exists() and self.open("GET", "/readyz") == b"ok"
        return False

    def _has_default_account(self) -> bool:
        with contextlib.suppress(OSError):
            return self.exists("/api/v1/namespaces/default/serviceaccounts/default")
        return False
