"""Configured services -> methods of the boundary; and what is wrong with them, before anything is served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import cast

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from pointsman import v1 as pb
from pointsman_server.config import schema
from pointsman_server.config.faults import Path
from pointsman_server.server.compat.mapping import Finding, compile_mapping
from pointsman_server.server.compat.mapping import Mapping as Mapped

MAX_FILE_BYTES = 16 * 1024 * 1024
_RESERVED = ("pointsman.v1.", "grpc.")
_OURS: Mapping[str, type[Message]] = {
    "Generate": pb.GenerateResponse,
    "StreamGenerate": pb.StreamGenerateResponse,
}


@dataclass(frozen=True, slots=True)
class CompatMethod:
    """One method of an earlier contract, ready to be served."""

    path: str
    to: str
    request: type[Message]
    response: type[Message]
    encode: Mapped
    """Their request -> ours."""
    decode: Mapped
    """Our answer, or a message of it -> theirs."""

    def encoded(self, message: Message) -> Message:
        """A request of theirs as ours. Raises ServiceError INVALID_REQUEST, with their field."""
        return self.encode(message) or pb.GenerateRequest()

    def decoded(self, message: Message) -> Message | None:
        """An answer of ours as theirs; None where there is nothing to tell."""
        return self.decode(message)

    def renamed(self, path: str) -> str:
        """A field of our request by the name that it came under."""
        return self.encode.source_of(path)


@dataclass(frozen=True, slots=True)
class CompatService:
    """One earlier contract."""

    name: str
    files: tuple[bytes, ...]
    """Its FileDescriptorProtos, imports first; for reflection."""
    methods: tuple[CompatMethod, ...]


class _Fault(Exception):
    def __init__(self, key: str, text: str) -> None:
        self.key, self.text = key, text
        super().__init__(text)


def build_services(services: Mapping[str, schema.CompatibleService]) -> tuple[CompatService, ...]:
    """All that are configured. Raises ValueError for one that `compatibility_findings` would have named."""
    built = [_build(name, service, ("compatibility", name)) for name, service in services.items()]
    for _, findings in built:
        if findings:
            path, text = findings[0]
            raise ValueError(f"{'.'.join(map(str, path))}: {text}")
    return tuple(service for service, _ in built if service is not None)


def compatibility_findings(services: Mapping[str, schema.CompatibleService]) -> Iterator[Finding]:
    """Everything that is wrong with configured services. Reads their files."""
    for name, service in services.items():
        yield from _build(name, service, ("compatibility", name))[1]


def _build(
    name: str, service: schema.CompatibleService, where: Path
) -> tuple[CompatService | None, list[Finding]]:
    findings: list[Finding] = []
    try:
        files, described = _described(name, service.descriptor_set)
    except _Fault as fault:
        return None, [((*where, fault.key), fault.text)]
    methods = []
    for method_name, written in service.methods.items():
        here = (*where, "methods", method_name)
        method = described.methods_by_name.get(method_name)
        if method is None:
            findings.append((here, f"{name} has no method {method_name!r}"))
        elif text := _kind_fault(method, written):
            findings.append(((*here, "to"), text))
        else:
            methods.append(_method(method, written, here, findings))
    return CompatService(name, files, tuple(methods)), findings


def _described(name: str, path: str) -> tuple[tuple[bytes, ...], ServiceDescriptor]:
    try:
        with FilePath(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        text = f"file {path} cannot be read: {error.strerror or type(error).__name__}"
        raise _Fault("descriptor_set", text) from None
    try:
        found = descriptor_pb2.FileDescriptorSet.FromString(data)
        pool, files = _pool(found)
        service = pool.FindServiceByName(name)
    except KeyError:
        raise _Fault("descriptor_set", f"file {path} has no service {name}") from None
    except (DecodeError, TypeError, ValueError):
        text = (
            f"file {path} is no FileDescriptorSet with all its imports, in the order in which they are needed"
        )
        raise _Fault("descriptor_set", text) from None
    if name.startswith(_RESERVED):
        raise _Fault("descriptor_set", f"{name} is served anyway")
    return files, service


def _pool(found: descriptor_pb2.FileDescriptorSet) -> tuple[DescriptorPool, tuple[bytes, ...]]:
    """A pool of its own: names in it may clash with any of ours. Google's own files may be left out of the set."""
    pool, files, known = descriptor_pool.DescriptorPool(), [], set()
    default = descriptor_pool.Default()
    present = {file.name for file in found.file}

    def add(name: str, data: bytes) -> None:
        if name not in known:
            known.add(name)
            files.append(data)
            pool.AddSerializedFile(data)

    for file in found.file:
        for needed in file.dependency:
            if needed not in present and needed.startswith("google/protobuf/"):
                add(needed, default.FindFileByName(needed).serialized_pb)
        add(file.name, file.SerializeToString())
    return pool, tuple(files)


def _kind_fault(method: MethodDescriptor, written: schema.CompatibleMethod) -> str:
    if method.client_streaming:
        return f"{method.name} streams its request, which nothing here takes"
    wanted = "StreamGenerate" if method.server_streaming else "Generate"
    return "" if written.to == wanted else f"must be {wanted}, as {method.name} answers"


def _method(
    method: MethodDescriptor, written: schema.CompatibleMethod, here: Path, findings: list[Finding]
) -> CompatMethod:
    request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    ours = _OURS[written.to]
    encode = compile_mapping(written.request, method.input_type, pb.GenerateRequest, (*here, "request"))
    decode = compile_mapping(
        written.response, cast(Descriptor, ours.DESCRIPTOR), response, (*here, "response")
    )
    findings += encode.findings + decode.findings
    findings += _leftover(method, written, encode, here)
    path = f"/{method.containing_service.full_name}/{method.name}"
    return CompatMethod(path, written.to, request, response, encode, decode)


def _leftover(
    method: MethodDescriptor, written: schema.CompatibleMethod, encode: Mapped, here: Path
) -> Iterator[Finding]:
    names = set(method.input_type.fields_by_name)
    for position, name in enumerate(written.drop):
        if name not in names:
            yield (*here, "drop", position), f"{method.input_type.full_name} has no field {name!r}"
    if not encode.findings:
        for name in sorted(names - encode.read_fields - set(written.drop)):
            yield (*here, "request"), f"{name} is neither mapped nor dropped"
