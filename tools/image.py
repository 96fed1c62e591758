"""Builds the container image with whichever of buildah, podman and docker is there, and writes its bill of materials.

`image.py build [--tag TAG]`, `image.py sbom [--tag TAG] FILE`. With PYTHON_IMAGE in the environment another base is
taken. Times of files are those of the commit, so that the same tree gives the same image. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tools.go_tools import ToolMissing, find

ROOT = Path(__file__).resolve().parent.parent
BUILDERS = ("buildah", "podman", "docker")
TAG = "pointsman:dev"


class ImageError(Exception):
    """What went wrong, for a person."""


def builder() -> str:
    """The first program that can build. Raises ImageError."""
    for name in BUILDERS:
        if found := shutil.which(name):
            return found
    raise ImageError(f"one of {', '.join(BUILDERS)} is needed")


def build_command(
    program: str,
    *,
    tag: str,
    labels: Mapping[str, str],
    base: str | None,
    epoch: str,
    more: Sequence[str] = (),
) -> list[str]:
    """How to build; `labels` become build arguments, `more` goes through as it is."""
    arguments = [f"--build-arg={name}={value}" for name, value in labels.items()]
    if base:
        arguments.append(f"--build-arg=PYTHON_IMAGE={base}")
    if Path(program).name == "docker":
        reproducible = [f"--build-arg=SOURCE_DATE_EPOCH={epoch}"]
    else:
        # Docker's own format: the other one has no place for some of what a Dockerfile says.
        reproducible = [f"--timestamp={epoch}", "--format=docker"]
    return [program, "build", f"--tag={tag}", *arguments, *reproducible, *more, str(ROOT)]


def commit() -> tuple[str, str]:
    """Hash and time of the commit that is checked out; without git the beginning of time."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%H %ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    revision, _, epoch = done.stdout.strip().partition(" ")
    return revision or "unknown", epoch or "0"


def version() -> str:
    """That of the server."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: str = tomllib.loads(text)["project"]["version"]
    return found


def build(tag: str, more: Sequence[str] = ()) -> None:
    """Build it. Raises ImageError."""
    revision, epoch = commit()
    labels = {"VERSION": version(), "REVISION": revision}
    base = os.environ.get("PYTHON_IMAGE")
    command = build_command(builder(), tag=tag, labels=labels, base=base, epoch=epoch, more=more)
    if subprocess.run(command, check=False).returncode:
        raise ImageError("the image could not be built")


def sbom(tag: str, file: Path) -> None:
    """Write the bill of materials of a built image, as CycloneDX JSON. Raises ImageError, ToolMissing."""
    syft, program = find("syft"), builder()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        if Path(program).name == "buildah":
            save, kind = [program, "push", tag, f"oci-archive:{archive}"], "oci-archive"
        else:
            save, kind = [program, "save", f"--output={archive}", tag], "docker-archive"
        for command in (
            save,
            [str(syft), "scan", f"{kind}:{archive}", f"--output=cyclonedx-json={file}", "--quiet"],
        ):
            # Packages and no single files, of which there are thousands.
            environment = {**os.environ, "SYFT_FILE_METADATA_SELECTION": "none"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ImageError(f"{' '.join(command[:2])} failed: {done.stderr[-500:]}")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build the image; what follows -- goes to the builder")
    materials = commands.add_parser("sbom", help="write the bill of materials of a built image")
    materials.add_argument("file", type=Path)
    for command in (building, materials):
        command.add_argument("--tag", default=TAG)
    options, more = parser.parse_known_args()
    try:
        if options.command == "build":
            build(options.tag, [argument for argument in more if argument != "--"])
        else:
            sbom(options.tag, options.file)
            print(f"wrote {options.file}")
    except (ImageError, ToolMissing) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
