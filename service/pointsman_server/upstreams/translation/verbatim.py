"""JSON text from callers that goes to the wire as it stands, once it is known to be one object and nothing else."""

from __future__ import annotations

import msgspec

from pointsman_server.errors import FieldFault, Reason, ServiceError

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def members(text: str | bytes, path: str) -> dict[str, msgspec.Raw]:
    """The object's members, values unread. Raises ServiceError INVALID_REQUEST with the path."""
    try:
        return _OBJECT.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise invalid(path, "is not a JSON object") from None


def verbatim_object(text: str, path: str) -> msgspec.Raw:
    """The object, to be put into a body. Raises ServiceError INVALID_REQUEST with the path."""
    members(text, path)
    return msgspec.Raw(text.encode())


def invalid(path: str, description: str) -> ServiceError:
    """A fault of one field of the caller's request."""
    return ServiceError(
        Reason.INVALID_REQUEST, f"{path} {description}", fields=(FieldFault(path, description),)
    )
