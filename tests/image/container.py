"""A container of the image, with everything taken away from it that can be taken away."""

import json
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fakes.ports import free_port
from tests.image.building import ENVIRONMENT, run

STRICT = (
    "--read-only",
    # Else podman mounts writable folders on /tmp, /run and others.
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--memory=256m",
    "--pids-limit=64",
)


class Container:
    """One that runs, with a configuration of its own, on ports of this machine's loopback."""

    def __init__(self, image: str, folder: Path, config: Mapping[str, Any]) -> None:
        self.name = f"pointsman-test-{uuid.uuid4().hex[:8]}"
        self.port, self.ops = free_port(), free_port()
        places = {
            "server": {"listen": f"127.0.0.1:{self.port}", "drain": {"delay_s": 0.5, "grace_s": 60}},
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
            "ops": {"listen": f"127.0.0.1:{self.ops}"},
        }
        # JSON is YAML, too.
        (folder / "pointsman.yaml").write_text(json.dumps({**places, **config}))
        folder.chmod(0o755)
        mount = f"--volume={folder}:/etc/pointsman:ro"
        run("podman", "run", "--detach", "--name", self.name, "--network=host", *STRICT, mount, image)

    @property
    def target(self) -> str:
        """Where it takes calls."""
        return f"127.0.0.1:{self.port}"

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        return subprocess.run(
            ["podman", "exec", self.name, *command],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )

    def logs(self) -> str:
        """What it wrote."""
        done = subprocess.run(
            ["podman", "logs", self.name], env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def terminate(self) -> None:
        """What Kubernetes sends at first."""
        run("podman", "kill", "--signal=TERM", self.name)

    def ended(self) -> int:
        """Its exit status, once it has one."""
        return int(run("podman", "wait", self.name))

    def remove(self) -> None:
        """End and forget it."""
        subprocess.run(
            ["podman", "rm", "--force", self.name], env=ENVIRONMENT, capture_output=True, check=False
        )
