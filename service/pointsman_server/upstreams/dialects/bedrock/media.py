"""Images, sounds and documents of Converse: a format by its short name, and bytes or an object of S3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, assert_never

from pointsman_server.domain import Media, MediaKind
from pointsman_server.upstreams.translation.media import inline_base64, is_inline
from pointsman_server.upstreams.translation.media_urls import media_url_fault
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.verbatim import invalid

TYPES: Mapping[MediaKind, Mapping[str, str]] = {
    MediaKind.IMAGE: {
        "image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp",
    },
    MediaKind.AUDIO: {
        "audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav",
        "audio/vnd.wave": "wav", "audio/ogg": "ogg", "audio/opus": "opus", "audio/flac": "flac", "audio/aac": "aac",
        "audio/x-aac": "x-aac", "audio/mp4": "m4a", "audio/x-m4a": "m4a", "audio/webm": "webm", "audio/pcm": "pcm",
    },
    MediaKind.FILE: {
        "application/pdf": "pdf", "text/csv": "csv", "application/msword": "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "text/html": "html", "text/plain": "txt", "text/markdown": "md",
    },
}  # fmt: skip
"""Media types that the wire has a format for."""
_SUFFIXES: Mapping[MediaKind, frozenset[str]] = {
    kind: frozenset(formats.values()) | ({"jpg"} if kind is MediaKind.IMAGE else set())
    for kind, formats in TYPES.items()
}
_FOREIGN = re.compile(r"[^A-Za-z0-9()\[\]\s-]", re.ASCII)
_BLANKS = re.compile(r"\s+", re.ASCII)
_LONGEST_NAME = 200


def map_media(media: Media, path: str, profile: Profile, names: set[str]) -> dict[str, Any]:
    """The block. `names` are those of the documents so far: each must have one of its own."""
    inline = is_inline(media)
    if not inline and (fault := media_url_fault(media.url, profile.media_schemes)):
        raise invalid(f"{path}.url", fault)
    if inline:
        media_type, data = inline_base64(media, path)
        source: dict[str, object] = {"bytes": data}
    else:
        media_type, source = media.media_type, {"s3Location": {"uri": media.url}}
    format_ = _format(media, media_type)
    if not format_:
        raise invalid(f"{path}.media_type", "has no format that this provider takes")
    match media.kind:
        case MediaKind.IMAGE:
            return {"image": {"format": format_, "source": source}}
        case MediaKind.AUDIO:
            return {"audio": {"format": format_, "source": source}}
        case MediaKind.FILE:
            return {"document": {"format": format_, "name": _name(media, names), "source": source}}
        case _:
            assert_never(media.kind)


def media_type_of(kind: MediaKind, format_: str) -> str:
    """The media type of a format; empty for one that nobody knows."""
    return next((name for name, known in TYPES[kind].items() if known == format_), "")


def _format(media: Media, media_type: str) -> str:
    """By the media type, else by how the name of the object ends."""
    if told := media_type.lower().partition(";")[0].strip():
        return TYPES[media.kind].get(told, "")
    suffix = media.url.rpartition(".")[2].lower()
    if suffix not in _SUFFIXES[media.kind]:
        return ""
    return "jpeg" if suffix == "jpg" else suffix


def _name(media: Media, names: set[str]) -> str:
    """Of the characters that are taken, without its suffix, and unlike those before it."""
    stem = media.filename.rpartition(".")[0] or media.filename
    plain = _BLANKS.sub(" ", _FOREIGN.sub(" ", stem)).strip()[: _LONGEST_NAME - 8] or "document"
    name, number = plain, 2
    while name in names:
        name, number = f"{plain} ({number})", number + 1
    names.add(name)
    return name
