"""Pages of a list sorted by name: an opaque token that survives changes of the list."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TypeVar

from pointsman_server.errors import FieldFault, Reason, ServiceError

T = TypeVar("T")

DEFAULT_SIZE = 50
MAX_SIZE = 1000
_MARK = b"after"


def page(items: Sequence[T], name: Callable[[T], str], *, size: int, token: str) -> tuple[Sequence[T], str]:
    """One page and the token of the next. Raises ServiceError INVALID_REQUEST for a bad size or token."""
    if size < 0:
        raise _refusal("page_size", "must not be negative")
    after = _decode(token) if token else ""
    rest = [item for item in sorted(items, key=name) if name(item) > after]
    wanted = min(size or DEFAULT_SIZE, MAX_SIZE)
    chosen = rest[:wanted]
    return chosen, _encode(name(chosen[-1])) if len(rest) > wanted else ""


def _encode(name: str) -> str:
    return base64.urlsafe_b64encode(_MARK + b":" + name.encode()).decode().rstrip("=")


def _decode(token: str) -> str:
    try:
        mark, name = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).split(
            b":", 1
        )
        if mark == _MARK:
            return name.decode()
    except ValueError:
        pass
    raise _refusal("page_token", "is not a token of this list")


def _refusal(field: str, text: str) -> ServiceError:
    return ServiceError(Reason.INVALID_REQUEST, f"{field}: {text}", fields=(FieldFault(field, text),))
