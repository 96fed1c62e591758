"""The image, built as `make image` builds it, where no registry need be reachable.

The base is PYTHON_IMAGE where that is set, else the Dockerfile's own if it is in the local storage, else a stand-in
that debootstrap makes once (Debian with its Python 3.11). Wheels are fetched once by pip; the build has no network.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "image"
OWN_BASE = "docker.io/library/python:3.11-slim-bookworm"
STAND_IN = "localhost/pointsman-test-base:bookworm"
TAG = "localhost/pointsman:test"
PROGRAMS = ("buildah", "podman", "runc")
ENVIRONMENT = {**os.environ, "CONTAINERS_CONF": str(HERE / "containers.conf")}


class CannotBuild(Exception):
    """This machine has not what it takes; the text says what."""


def run(*command: str | Path, **environment: str) -> str:
    """What a command prints. Raises AssertionError with what it complains about."""
    done = subprocess.run(
        command,
        env={**ENVIRONMENT, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{command[0]} {command[1]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def exists(image: str) -> bool:
    """Whether the local storage has an image."""
    done = subprocess.run(
        ["podman", "image", "exists", image], env=ENVIRONMENT, capture_output=True, check=False
    )
    return done.returncode == 0


def inspect(image: str) -> dict[str, Any]:
    """What the storage knows of an image."""
    found: dict[str, Any] = json.loads(run("podman", "image", "inspect", image))[0]
    return found


@functools.cache
def base() -> str:
    """The image to build on. Raises CannotBuild."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        raise CannotBuild(f"{', '.join(missing)} is not there")
    if given := os.environ.get("PYTHON_IMAGE"):
        return given
    if exists(OWN_BASE):
        return OWN_BASE
    if not exists(STAND_IN):
        _make_stand_in()
    return STAND_IN


def _make_stand_in() -> None:
    if os.geteuid() or not shutil.which("debootstrap"):
        raise CannotBuild(
            f"{OWN_BASE} is not in the local storage, and a stand-in takes root and debootstrap"
        )
    with tempfile.TemporaryDirectory() as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        packages = "--include=python3,python3-venv,ca-certificates"
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", packages, "bookworm", root],
            capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip
        if made.returncode:
            raise CannotBuild(f"debootstrap failed: {made.stdout[-500:]}")
        run("tar", "--directory", root, "--create", "--file", archive, ".")
        run("podman", "import", archive, STAND_IN)


def _wheels() -> Path:
    """A folder with every wheel that the locks name."""
    folder = CACHE / "wheels"
    locks = [ROOT / "requirements" / name for name in ("build.txt", "service.txt", "tokenizers.txt")]
    stamp, wanted = folder / "locks", "".join(lock.read_text() for lock in locks)
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for lock in locks:
            # A lock is complete, but for the one that is installed without what it needs.
            fetch = ("download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:")
            run(sys.executable, "-m", "pip", *fetch, "--dest", str(folder), "--requirement", str(lock))
        stamp.write_text(wanted)
    return folder


def build(tag: str, *more: str) -> None:
    """`make image`, without a network. Raises CannotBuild."""
    offline = [
        "--build-arg=PIP_NO_INDEX=1",
        "--build-arg=PIP_FIND_LINKS=/wheels",
        f"--volume={_wheels()}:/wheels:ro",
    ]
    how = ["--isolation=chroot", "--pull-never", *offline, *more]
    run(sys.executable, "tools/image.py", "build", "--tag", tag, "--", *how, PYTHON_IMAGE=base())
