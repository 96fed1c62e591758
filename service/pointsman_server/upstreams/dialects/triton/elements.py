"""The raw bytes of a tensor -> its elements, little-endian, as the protocol's binary forms have them."""

from __future__ import annotations

import struct

from pointsman_server.errors import Reason, ServiceError

_FORMATS = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I",
    "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
_LENGTH = struct.Struct("<I")


def elements_of(datatype: object, data: bytes) -> list[bytes | bool | int | float]:
    """The elements. Raises ServiceError UPSTREAM_BAD_RESPONSE for bytes that are no tensor of this type."""
    if datatype == "BYTES":
        return [*_texts(data)]
    form = _FORMATS.get(datatype) if isinstance(datatype, str) else None
    if form is None:
        return []
    size = struct.calcsize(form)
    if len(data) % size:
        raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's tensor ends within an element")
    return list(struct.unpack(f"<{len(data) // size}{form}", data))


def _texts(data: bytes) -> list[bytes]:
    """Each element is preceded by its length."""
    found, at = [], 0
    while at < len(data):
        end = at + _LENGTH.size
        size = _LENGTH.unpack_from(data, at)[0] if end <= len(data) else 0
        if end + size > len(data):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's tensor ends within an element")
        found.append(data[end : end + size])
        at = end + size
    return found
