"""Locks the requirements of both distributions and of every dependency group, with hashes.

Enters: the two `pyproject.toml`. Leaves: `requirements/*.txt`, without the address of any index. Resolves for the
oldest Python that is supported, since what newer ones need is a part of it, and takes in the hashes of every
platform's wheels.
"""

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
OWN = ("pointsman", "pointsman-server")
OLDEST = (3, 11)

# Lock -> locks whose versions it must share, because one environment holds both.
ORDER: dict[str, tuple[str, ...]] = {
    "build": (),
    "service": (),
    "dev": ("build", "service"),
    "engine": ("dev",),
    "e2e": ("dev", "engine"),
    "chart": ("dev", "service"),
    "load": ("dev", "service"),
    "client-floor": (),
    "proto": (),
    "triton": (),
    "mlserver": (),
    "tokenizers": (),
    "sdks": (),
    "sdks-older": (),
}
ALONE = frozenset({"tokenizers"})
"""Locks of extras of the server that are installed without what they need themselves (`pip install --no-deps`)."""
# Settings of the machine that would add addresses to what is written, or to where it is looked for.
NO_ADDRESSES = ("--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links", "--no-emit-options")


def _table(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _group(groups: dict[str, Any], name: str) -> list[str]:
    wanted: list[str] = []
    for entry in groups[name]:
        wanted += [entry] if isinstance(entry, str) else _group(groups, entry["include-group"])
    return wanted


def wanted(lock: str) -> list[str]:
    """The requirements that go into a lock."""
    server = _table(ROOT / "pyproject.toml")
    client = _table(ROOT / "clients" / "python" / "pyproject.toml")["project"]
    if lock == "service":
        return [
            line
            for line in [*server["project"]["dependencies"], *client["dependencies"]]
            if line.split(">")[0].strip() not in OWN
        ]
    if lock in ALONE:
        return [*server["project"]["optional-dependencies"][lock]]
    lines = _group(server["dependency-groups"], lock)
    if lock == "dev":
        lines += wanted("service") + client["optional-dependencies"]["otel"]
    return lines


def compile_lock(lock: str, *, upgrade: bool) -> None:
    """Writes one lock. Without `upgrade`, versions that still fit are kept."""
    target = LOCKS / f"{lock}.txt"
    constraints = [f"--constraint={LOCKS / (other + '.txt')}" for other in ORDER[lock]]
    command = [
        *(
            sys.executable,
            "-m",
            "piptools",
            "compile",
            "--quiet",
            "--generate-hashes",
            "--allow-unsafe",
            "--strip-extras",
        ),
        *("--no-header", "--no-annotate", *NO_ADDRESSES, *constraints),
        *(["--upgrade"] if upgrade else []),
        *(f"--output-file={target}", "-"),
    ]
    text = "\n".join(wanted(lock)) + "\n"
    # A folder of wheels built on this machine has hashes that no other machine can match.
    environment = {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}
    subprocess.run(command, input=text, text=True, check=True, cwd=ROOT, env=environment)
    lines = [
        line for line in target.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    if lock in ALONE:
        lines = _only(lines, {_name(line) for line in wanted(lock)})
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{target.relative_to(ROOT)}: {sum('==' in line for line in lines)} packages")


def _name(requirement: str) -> str:
    return re.split("[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0].lower()


def _only(lines: Iterable[str], names: Container[str]) -> list[str]:
    """What a lock says of these packages: a line with the version, and the lines of its hashes behind it."""
    kept, within = [], False
    for line in lines:
        if not line.startswith(" "):
            within = _name(line) in names
        if within:
            kept.append(line)
    return kept


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("locks", nargs="*", choices=[[], *ORDER], help="which; all if none is named")
    parser.add_argument("--keep", action="store_true", help="keep versions that still fit")
    arguments = parser.parse_args()
    if sys.version_info[:2] != OLDEST:
        raise SystemExit(f"run this with Python {OLDEST[0]}.{OLDEST[1]}, the oldest that is supported")
    for lock in ORDER:
        if not arguments.locks or lock in arguments.locks:
            compile_lock(lock, upgrade=not arguments.keep)


if __name__ == "__main__":
    main()
