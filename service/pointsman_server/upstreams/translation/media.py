"""Media that travel inside a request, as the base64 text that wires want; whichever way the caller gave them."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from pointsman_server.domain import Media
from pointsman_server.upstreams.translation.media_urls import media_url_fault
from pointsman_server.upstreams.translation.verbatim import invalid


def inline_base64(media: Media, path: str) -> tuple[str, str]:
    """The media type and the base64 text of inline bytes or of a data URL.

    Raises ServiceError INVALID_REQUEST with the path for a data URL that holds no data.
    """
    if not media.url:
        return media.media_type, base64.b64encode(media.data).decode()
    if fault := media_url_fault(media.url):
        raise invalid(f"{path}.url", fault)
    head, _, data = media.url.partition(",")
    media_type, _, parameters = head[len("data:") :].partition(";")
    if parameters.lower().rpartition(";")[2] != "base64":
        return media_type, base64.b64encode(unquote_to_bytes(data)).decode()
    try:
        # Decoded once, since a wire without data URLs takes no URL's spelling of them either.
        content = base64.b64decode(unquote_to_bytes(data), validate=True)
    except binascii.Error:
        raise invalid(f"{path}.url", "does not hold base64") from None
    return media_type, base64.b64encode(content).decode()
