"""Media that travel inside a request, as the base64 text that wires want; whichever way the caller gave them."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from pointsman_server.domain import Media
from pointsman_server.upstreams.translation.media_urls import media_url_fault
from pointsman_server.upstreams.translation.verbatim import invalid

_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "csv": "text/csv",
    "html": "text/html",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
}


def is_inline(media: Media) -> bool:
    """Whether the call itself holds it, as bytes or as a data URL."""
    return not media.url or media.url[:5].lower() == "data:"


def media_type_of(url: str) -> str:
    """The media type that the ending of an address suggests, for wires that want one; empty where none is known.

    A table of our own: the standard library's reads files of the machine that it runs on.
    """
    path = url.partition("?")[0].partition("#")[0].rpartition("/")[2]
    return _TYPES.get(path.rpartition(".")[2].lower(), "") if "." in path else ""


def data_url(media: Media, path: str) -> str:
    """Inline bytes or a data URL in the one spelling of a data URL that every wire reads.

    Raises ServiceError INVALID_REQUEST with the path for a data URL that holds no data.
    """
    media_type, data = inline_base64(media, path)
    return f"data:{media_type};base64,{data}"


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
