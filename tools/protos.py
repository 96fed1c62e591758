"""Generates the Python stubs of the contract with grpcio-tools, or tells whether those in the tree are up to date.

Runs in the environment of `requirements/proto.txt`, whose old protoc keeps the stubs importable for callers with an old
protobuf. Enters: `protos/`, and the foreign protocol in `third_party/open_inference`. Leaves:
`clients/python/pointsman/v1/`, and the foreign protocol's descriptors. Never touches a hand-written file.
"""

import argparse
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
VENDORED = ROOT / "third_party" / "googleapis"
PACKAGE = Path("pointsman") / "v1"
TARGET = ROOT / "clients" / "python" / PACKAGE
FOREIGN = ROOT / "third_party" / "open_inference"
DESCRIPTORS = ROOT / "service" / "pointsman_server" / "upstreams" / "dialects" / "triton" / "inference.binpb"


def generate(out: Path) -> None:
    """Writes all stubs, and the package that re-exports them, below `out`."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    descriptors = out / "descriptors.binpb"
    arguments = [
        "protoc",
        f"--proto_path={PROTOS}",
        f"--proto_path={VENDORED}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--python_out={out}",
        f"--pyi_out={out}",
        f"--grpc_python_out={out}",
        f"--descriptor_set_out={descriptors}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")
    file_set = FileDescriptorSet.FromString(descriptors.read_bytes())
    descriptors.unlink()
    for path in (out / PACKAGE).glob("*_pb2_grpc.py"):
        if not any(
            file.service and _module(file) == path.stem.removesuffix("_grpc") for file in file_set.file
        ):
            path.unlink()
    (out / PACKAGE / "__init__.py").write_text(_package(file_set), encoding="utf-8")


def descriptor_set() -> bytes:
    """The whole contract with its imports and comments, for callers that have no `.proto` files and no reflection."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "contract.binpb"
        arguments = [
            *(f"--proto_path={path}" for path in (PROTOS, VENDORED, files("grpc_tools") / "_proto")),
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={out}",
            *sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto")),
        ]
        if protoc.main(["protoc", *arguments]) != 0:
            raise SystemExit("protoc failed")
        return out.read_bytes()


def describe() -> bytes:
    """The foreign protocol as descriptors: it is loaded from them, so that nothing of it enters the default pool."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "inference.binpb"
        arguments = [f"--proto_path={FOREIGN}", f"--descriptor_set_out={out}", "inference.proto"]
        if protoc.main(["protoc", *arguments]) != 0:
            raise SystemExit("protoc failed")
        return out.read_bytes()


def _module(file: FileDescriptorProto) -> str:
    return Path(file.name).stem + "_pb2"


def _package(file_set: FileDescriptorSet) -> str:
    """The text of `__init__.py`: every message, enum, enum value, stub and servicer by its own name."""
    lines = [
        '"""The contract `pointsman.v1`: messages, enums, stubs and servicers. Generated; do not edit."""',
        "",
    ]
    names: list[str] = []
    for file in sorted(file_set.file, key=lambda file: file.name):
        by_module = {_module(file): _messages(file), _module(file) + "_grpc": _services(file)}
        for module, members in by_module.items():
            if members:
                lines += [f"from pointsman.v1.{module} import (", *(f"    {name}," for name in members), ")"]
                names += members
    lines += ["", "__all__ = [", *(f'    "{name}",' for name in sorted(names)), "]", ""]
    return "\n".join(lines)


def _messages(file: FileDescriptorProto) -> list[str]:
    names = [message.name for message in file.message_type]
    for enum in file.enum_type:
        names += [enum.name, *(value.name for value in enum.value)]
    return sorted(names)


def _services(file: FileDescriptorProto) -> list[str]:
    forms = ("{}Stub", "{}Servicer", "add_{}Servicer_to_server")
    return sorted(form.format(service.name) for service in file.service for form in forms)


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _differences(fresh: Path) -> list[str]:
    wanted, present = _contents(fresh), _contents(TARGET)
    return [name for name in sorted(wanted.keys() | present.keys()) if wanted.get(name) != present.get(name)]


def _install(fresh: Path) -> None:
    wanted = _contents(fresh)
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in _contents(TARGET).keys() - wanted.keys():
        (TARGET / name).unlink()
    for name, content in wanted.items():
        (TARGET / name).write_bytes(content)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if the stubs are not up to date"
    )
    parser.add_argument(
        "--descriptors", type=Path, help="write the contract's descriptor set to this file, and nothing else"
    )
    options = parser.parse_args()
    if options.descriptors is not None:
        options.descriptors.parent.mkdir(parents=True, exist_ok=True)
        options.descriptors.write_bytes(descriptor_set())
        print(f"{options.descriptors}: {options.descriptors.stat().st_size} bytes")
        return 0
    check = options.check
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = Path(folder) / PACKAGE
        stale = _differences(fresh)
        described = describe()
        if not DESCRIPTORS.exists() or DESCRIPTORS.read_bytes() != described:
            stale.append(str(DESCRIPTORS.relative_to(ROOT)))
        if check and stale:
            print("stubs are not up to date, run `make proto`:", *stale, sep="\n  ", file=sys.stderr)
            return 1
        if not check:
            _install(fresh)
            DESCRIPTORS.write_bytes(described)
            print(f"{len(_contents(TARGET))} files in {TARGET.relative_to(ROOT)}, {len(stale)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
