"""`python -m tests.kube [ARGUMENTS OF PYTEST]`: runs the suite in its sealed network, or says why it cannot.

Skipping is loud and ends with 0, so that machines without a Go toolchain or without namespaces can run everything else.
"""

import os
import shutil
import subprocess
import sys

from tests.kube.places import FREE, PODS, SET_UP, VARIABLE
from tools.go_tools import ToolMissing, find

HERE = "tests/kube"


def unshare() -> list[str]:
    """The command that runs another in a network namespace of its own, as root or as what looks like it there."""
    return ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def missing() -> str:
    """Why the suite cannot run here; empty when it can. Builds what can be built."""
    for program in ("unshare", "ip"):
        if not shutil.which(program):
            return f"{program} is needed (packages util-linux and iproute2)"
    try:
        for tool in ("kube", "helm", "helm3"):
            find(tool)
    except ToolMissing as error:
        return str(error)
    tried = subprocess.run([*unshare(), "sh", "-ec", SET_UP], capture_output=True, text=True, check=False)
    return (
        f"no network namespace with a bridge can be made here: {tried.stderr.strip()}"
        if tried.returncode
        else ""
    )


def main() -> None:
    """Entry point."""
    if reason := missing():
        sys.stdout.write(f"SKIPPED: the Kubernetes tests did not run: {reason}\n")
        return
    os.environ[VARIABLE] = f"{PODS},{FREE}"
    script = f'{SET_UP}\nexec "$@"'
    where = [] if any(argument.startswith(HERE) for argument in sys.argv[1:]) else [HERE]
    pytest = [sys.executable, "-m", "pytest", "-m", "kube", *where, *sys.argv[1:]]
    sys.stdout.flush()
    os.execvp("unshare", [*unshare(), "sh", "-ec", script, "sh", *pytest])


if __name__ == "__main__":
    main()
