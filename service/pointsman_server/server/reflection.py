"""Server reflection, v1 and v1alpha, over exactly the files that our services need.

The stock servicer answers; the pool is ours: callers (ghz) ask for a method's symbol, which the Python pool does not
find, and nothing but what we serve should be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2  # type: ignore[import-untyped]
from grpc_reflection.v1alpha.reflection import aio as stock  # type: ignore[import-untyped]

from pointsman import v1 as pb

# What a status carries as Any: without these a caller's tool can only show bytes.
DETAILS = (error_details_pb2.ErrorInfo.DESCRIPTOR.full_name, pb.Failure.DESCRIPTOR.full_name)
V1 = "grpc.reflection.v1.ServerReflection"
V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"


class Symbols:
    """A descriptor pool of some services and messages; a symbol that it does not know is looked for in its parent."""

    def __init__(self, symbols: Sequence[str], files: Iterable[bytes] = ()) -> None:
        """`files` are FileDescriptorProtos of services that no default pool knows, imports first."""
        self._pool = descriptor_pool.DescriptorPool()
        self._known: set[str] = set()
        default = descriptor_pool.Default()
        for symbol in symbols:
            self._add(default.FindFileContainingSymbol(symbol))
        alpha = default.FindFileContainingSymbol(V1ALPHA)
        self._add(alpha)
        self._add_v1(alpha)
        for data in files:
            name = descriptor_pb2.FileDescriptorProto.FromString(data).name
            if name not in self._known:
                self._known.add(name)
                self._pool.AddSerializedFile(data)

    def _add(self, file: FileDescriptor) -> None:
        if file.name in self._known:
            return
        self._known.add(file.name)
        for dependency in file.dependencies:
            self._add(dependency)
        self._pool.AddSerializedFile(file.serialized_pb)

    def _add_v1(self, file: FileDescriptor) -> None:
        """The same messages under the name that the protocol got when it was finished."""
        proto = descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb)
        proto.name, proto.package = "grpc/reflection/v1/reflection.proto", "grpc.reflection.v1"
        for message in proto.message_type:
            for field in (field for field in message.field if field.type_name):
                field.type_name = field.type_name.replace(".grpc.reflection.v1alpha.", ".grpc.reflection.v1.")
        for method in proto.service[0].method:
            method.input_type = method.input_type.replace("v1alpha", "v1")
            method.output_type = method.output_type.replace("v1alpha", "v1")
        self._pool.AddSerializedFile(proto.SerializeToString())

    def FindFileByName(self, name: str) -> FileDescriptor:  # noqa: N802 - the pool's interface
        """As in the pool."""
        return self._pool.FindFileByName(name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802
        """As in the pool, but a method is found by its service, and a field by its message."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            parent, _, _ = symbol.rpartition(".")
            return self._pool.FindFileContainingSymbol(parent)

    def FindMessageTypeByName(self, name: str) -> Descriptor:  # noqa: N802
        """As in the pool."""
        return self._pool.FindMessageTypeByName(name)

    def FindExtensionByNumber(self, message: Descriptor, number: int) -> FieldDescriptor:  # noqa: N802
        """As in the pool."""
        return self._pool.FindExtensionByNumber(message, number)

    def FindAllExtensions(self, message: Descriptor) -> list[FieldDescriptor]:  # noqa: N802
        """As in the pool."""
        return self._pool.FindAllExtensions(message)


def reflection_handlers(
    services: Sequence[str], foreign: Mapping[str, Sequence[bytes]] | None = None
) -> tuple[grpc.GenericRpcHandler, ...]:
    """Both versions, for a server that has these services; `foreign` ones come with their files."""
    foreign = foreign or {}
    symbols = Symbols((*services, *DETAILS), (data for files in foreign.values() for data in files))
    servicer: Any = stock.ReflectionServicer((*services, *foreign, V1, V1ALPHA), pool=symbols)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo, _decode, reflection_pb2.ServerReflectionResponse.SerializeToString
    )
    return tuple(
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})
        for name in (V1, V1ALPHA)
    )


def _decode(data: bytes) -> reflection_pb2.ServerReflectionRequest:
    try:
        return reflection_pb2.ServerReflectionRequest.FromString(data)
    except DecodeError:
        # An empty request is answered with INVALID_ARGUMENT, and the decoder's own text goes nowhere.
        return reflection_pb2.ServerReflectionRequest()
