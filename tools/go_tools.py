"""Programs in Go that tests and checks need: from `.cache/go`, built there once where a Go toolchain is at hand.

Enters: a name of TOOLS. Leaves: the path of a program, of exactly that version where it could be built, else whatever
PATH has. `python tools/go_tools.py NAME` prints the path, or says what is missing and exits with 3. Standard library
only: it runs before any environment is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "go"
EXIT_MISSING = 3


@dataclass(frozen=True, slots=True)
class Tool:
    """A program by its package."""

    package: str
    version: str
    program: str
    """Its name on PATH."""


TOOLS = {
    "helm": Tool("helm.sh/helm/v4/cmd/helm", "v4.2.4", "helm"),
    "helm3": Tool("helm.sh/helm/v3/cmd/helm", "v3.22.0", "helm3"),
    "kubeconform": Tool("github.com/yannh/kubeconform/cmd/kubeconform", "v0.7.0", "kubeconform"),
    "kube-score": Tool("github.com/zegl/kube-score/cmd/kube-score", "v1.20.0", "kube-score"),
    "syft": Tool("github.com/anchore/syft/cmd/syft", "v1.54.1", "syft"),
}


class ToolMissing(Exception):
    """It is not there and cannot be built; the text says why."""


def find(name: str) -> Path:
    """The program, built if need be (a minute or two, once). Raises ToolMissing."""
    tool = TOOLS[name]
    folder = FOLDER / f"{name}-{tool.version}"
    built = folder / tool.package.rpartition("/")[2]
    if built.exists():
        return built
    if go := shutil.which("go"):
        print(f"building {name} {tool.version}, once", file=sys.stderr, flush=True)
        _install(go, tool, folder)
        return built
    if there := shutil.which(tool.program):
        return Path(there)
    raise ToolMissing(f"{name} {tool.version} is needed, and there is no Go toolchain to build it with")


def _install(go: str, tool: Tool, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"}
    command = [go, "install", "-trimpath", "-ldflags=-s -w", f"{tool.package}@{tool.version}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolMissing(f"{tool.package}@{tool.version} could not be built: {done.stderr[-500:]}")


def main() -> int:
    """Entry point."""
    try:
        print(find(sys.argv[1]))
    except ToolMissing as error:
        print(error, file=sys.stderr)
        return EXIT_MISSING
    return 0


if __name__ == "__main__":
    sys.exit(main())
