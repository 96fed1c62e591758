"""Where the process of a pod lives: a network namespace with its address, and a view of the files with its volumes.

The programs are this machine's own, so the root is a farm of links to the real one, with real folders only where
volumes are mounted: what a pod sees at /etc/pointsman is its volume, what it sees at /usr is this machine's.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from tests.kube.places import GATEWAY

HOST = "/.host"
"""Where the real root is, inside."""


NAMESPACES = ("unshare", "--net", "--mount", "--uts")


def script(root: Path, mounts: Mapping[str, Path], *, name: str, address: str) -> str:
    """What the shell in the new namespaces does before it becomes the program, given as its arguments.

    It waits for a line on standard input, after which the device `eth0` is there.
    """
    lines = ["set -e", "read _", f"mount -t tmpfs pod {_quoted(root)}", f"mkdir {_quoted(root)}{HOST}"]
    lines.append(f"mount --rbind / {_quoted(root)}{HOST}")
    lines += _farm(root, Path("/"), _tree(mounts))
    for target, source in mounts.items():
        lines.append(f"mount --bind {_quoted(source)} {_quoted(root)}{shlex.quote(target)}")
    lines += [
        f"echo {name} >/proc/sys/kernel/hostname",
        "ip link set lo up",
        f"ip addr add {address}/16 dev eth0",
        "ip link set eth0 up",
        f"ip route add default via {GATEWAY}",
        f'exec chroot {_quoted(root)} "$@" </dev/null',
    ]
    return "\n".join(lines)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


_Tree = dict[str, "_Tree"]


def _tree(paths: Mapping[str, Path]) -> tuple[_Tree, dict[str, bool]]:
    """The folders that have to be real, and for each mounted path whether it is a file."""
    tree: _Tree = {}
    for path in paths:
        here = tree
        for part in Path(path).parts[1:]:
            here = here.setdefault(part, {})
    return tree, {path: source.is_file() for path, source in paths.items()}


def _farm(root: Path, here: Path, wanted: tuple[_Tree, dict[str, bool]]) -> list[str]:
    """Makes real folders of the tree, and links beside them to whatever the real root has there."""
    tree, files = wanted
    lines = []
    if str(here) not in files:
        links = [str(Path(HOST + str(here)) / name) for name in _listed(here) if name not in tree]
        for start in range(0, len(links), 100):
            some = " ".join(shlex.quote(link) for link in links[start : start + 100])
            lines.append(f"ln -s -t {_quoted(root)}{shlex.quote(str(here))} {some}")
    for name, below in tree.items():
        inner = here / name
        made = f"{_quoted(root)}{shlex.quote(str(inner))}"
        if files.get(str(inner)):
            lines.append(f"touch {made}")
        else:
            lines.append(f"mkdir {made}")
            lines += _farm(root, inner, (below, files))
    return lines


def _listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
