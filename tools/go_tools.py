"""Programs in Go that tests and checks need: from `.cache/go`, built there once where a Go toolchain is at hand.

Enters: a name of TOOLS. Leaves: the path of a program, of exactly that version where it could be built, else whatever
PATH has. `python tools/go_tools.py NAME...` prints paths, or says what is missing and exits with 3. Standard library
only: it runs before any environment is made.
"""

from __future__ import annotations

import hashlib
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
    "ghz": Tool("github.com/bojand/ghz/cmd/ghz", "v0.121.0", "ghz"),
    "grpcurl": Tool("github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3", "grpcurl"),
    "helm": Tool("helm.sh/helm/v4/cmd/helm", "v4.2.4", "helm"),
    "helm3": Tool("helm.sh/helm/v3/cmd/helm", "v3.22.0", "helm3"),
    "kubeconform": Tool("github.com/yannh/kubeconform/cmd/kubeconform", "v0.7.0", "kubeconform"),
    "kube-score": Tool("github.com/zegl/kube-score/cmd/kube-score", "v1.20.0", "kube-score"),
    "protoc-gen-go": Tool("google.golang.org/protobuf/cmd/protoc-gen-go", "v1.36.11", "protoc-gen-go"),
    "protoc-gen-go-grpc": Tool(
        "google.golang.org/grpc/cmd/protoc-gen-go-grpc", "v1.6.0", "protoc-gen-go-grpc"
    ),
    "syft": Tool("github.com/anchore/syft/cmd/syft", "v1.54.1", "syft"),
}

# Of this repository: name -> folder of its module, and flags of the linker.
_RELEASE = "k8s.io/component-base/version"
OWN = {
    "kube": (
        ROOT / "tests" / "kube" / "binary",
        f"-X {_RELEASE}.gitVersion=v1.36.2 -X {_RELEASE}.gitMajor=1 -X {_RELEASE}.gitMinor=36",
    ),
}


class ToolMissing(Exception):
    """It is not there and cannot be built; the text says why."""


def find(name: str) -> Path:
    """The program, built if need be (minutes, once). Raises ToolMissing."""
    return _own(name) if name in OWN else _foreign(name)


def there(name: str) -> bool:
    """Whether a program of TOOLS need not be built first."""
    return _place(TOOLS[name], name).exists() or shutil.which(TOOLS[name].program) is not None


def _place(tool: Tool, name: str) -> Path:
    return FOLDER / f"{name}-{tool.version}" / tool.package.rpartition("/")[2]


def _foreign(name: str) -> Path:
    tool = TOOLS[name]
    built = _place(tool, name)
    if built.exists():
        return built
    if go := shutil.which("go"):
        print(f"building {name} {tool.version}, once", file=sys.stderr, flush=True)
        _install(go, tool, built.parent)
        return built
    if there := shutil.which(tool.program):
        return Path(there)
    raise ToolMissing(f"{name} {tool.version} is needed, and there is no Go toolchain to build it with")


def _own(name: str) -> Path:
    module, flags = OWN[name]
    content = b"".join(path.read_bytes() for path in sorted(module.iterdir()) if path.is_file())
    key = hashlib.sha256(content + flags.encode()).hexdigest()[:16]
    built = FOLDER / f"{name}-{key}" / name
    if built.exists():
        return built
    if not (go := shutil.which("go")):
        raise ToolMissing(f"{name} is needed, and there is no Go toolchain to build it with")
    print(f"building {name}, once: about five minutes on two cores", file=sys.stderr, flush=True)
    built.parent.mkdir(parents=True, exist_ok=True)
    command = [go, "build", "-trimpath", f"-ldflags=-s -w {flags}", f"-o={built}", "."]
    _run(command, name, cwd=module)
    return built


def _run(command: list[str], what: str, *, cwd: Path | None = None, **environment: str) -> None:
    variables = {**os.environ, "CGO_ENABLED": "0", **environment}
    done = subprocess.run(command, env=variables, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolMissing(f"{what} could not be built: {done.stderr[-500:]}")


def _install(go: str, tool: Tool, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    package = f"{tool.package}@{tool.version}"
    _run([go, "install", "-trimpath", "-ldflags=-s -w", package], package, GOBIN=str(folder))


def main() -> int:
    """Entry point."""
    missing = 0
    for name in sys.argv[1:]:
        try:
            print(find(name))
        except ToolMissing as error:
            print(error, file=sys.stderr)
            missing = EXIT_MISSING
    return missing


if __name__ == "__main__":
    sys.exit(main())
