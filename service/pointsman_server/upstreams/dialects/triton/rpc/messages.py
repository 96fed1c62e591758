"""The protocol's messages, made from their descriptors in a pool of their own.

Two projects' files share the package `inference` and exclude each other; whatever else of them a process loads into the
default pool stays unharmed by this one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

SERVICE = "inference.GRPCInferenceService"

_DESCRIPTORS = Path(__file__).parent.parent / "inference.binpb"


def _load() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(_DESCRIPTORS.read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _load()


def _class(name: str) -> Any:  # noqa: ANN401 -- a class that no type checker can see
    found: type[Message] = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"inference.{name}"))
    return found


ModelInferRequest = _class("ModelInferRequest")
ModelInferResponse = _class("ModelInferResponse")
ModelStreamInferResponse = _class("ModelStreamInferResponse")
ServerReadyRequest = _class("ServerReadyRequest")
ServerReadyResponse = _class("ServerReadyResponse")
