"""The sender's side of Amazon's event stream."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping


def message(headers: Mapping[str, object], payload: bytes = b"") -> bytes:
    """One message; a value's type follows its own: bool, int (64 bits), bytes or text."""
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(encoded) + len(payload), len(encoded))
    body = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + payload
    return body + struct.pack("!I", zlib.crc32(body))


def event(kind: str, /, **fields: object) -> bytes:
    """An event with a document."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, json.dumps({**fields, "p": "abcdef"}).encode())


def exception(kind: str, /, **fields: object) -> bytes:
    """An exception with a document."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, json.dumps(fields).encode())


def _header(name: str, value: object) -> bytes:
    head = bytes([len(name.encode())]) + name.encode()
    match value:
        case bool():
            return head + bytes([0 if value else 1])
        case int():
            return head + b"\x05" + struct.pack("!q", value)
        case bytes():
            return head + b"\x06" + struct.pack("!H", len(value)) + value
        case str():
            return head + b"\x07" + struct.pack("!H", len(value.encode())) + value.encode()
        case _:
            raise TypeError(value)
