"""Errors that are told under status 200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman_server.errors import ServiceError
from pointsman_server.upstreams.translation import alibaba, error_objects
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.faults import Said, bounded_word, whole_number


def answered_error(told: Mapping[str, Any], place: Place, *, status: int = 0) -> ServiceError:
    """What such an error means: its status stands in a comment of the stream (`status`), or in the document, or follows
    from the code.
    """
    message, code = told.get("message"), bounded_word(told.get("code"))
    meant = status or whole_number(told.get("status_code"), 599) or 0
    said = Said(
        message=message if isinstance(message, str) else "",
        code=code,
        status=meant if 400 <= meant < 600 else alibaba.status_of(code),
    )
    upstream = place.fault(stream_status=status if 400 <= status < 600 else 0)
    return error_objects.answered_error(said, upstream, place.headers, alibaba.ERROR_CODES)
