"""Sources that an answer names -> citations of its parts. The wire counts bytes of UTF-8, the contract characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pointsman_server.domain import Citation
from pointsman_server.upstreams.translation.documents import as_list, as_object, as_text
from pointsman_server.upstreams.translation.faults import whole_number

_MOST = 1000
"""Of one candidate, as many as the contract takes back in a history."""


def map_citations(
    said: Sequence[dict[str, Any]], texts: Mapping[int, str]
) -> Mapping[int, tuple[Citation, ...]]:
    """Part's number -> its citations, each once, however often a stream repeats it.

    `said` are shares of documents that name sources, `texts` the candidate's whole texts by their part's number.
    """
    parts = sorted(texts)
    if not parts:
        return {}
    found: dict[int, dict[Citation, None]] = {}
    for share in said:
        for part_index, citation in _sources(share):
            part = parts[part_index] if part_index < len(parts) else parts[0]
            span = Citation(
                start=_characters(texts[part], citation.start),
                end=_characters(texts[part], citation.end),
                url=citation.url,
                title=citation.title,
            )
            found.setdefault(part, {})[span] = None
    return {part: tuple(citations)[:_MOST] for part, citations in found.items()}


def _sources(share: dict[str, Any]) -> Iterator[tuple[int, Citation]]:
    metadata = as_object(share.get("citationMetadata"))
    for source in as_list(metadata.get("citationSources")) or as_list(metadata.get("citations")):
        if isinstance(source, dict):
            yield 0, _citation(source, as_text(source.get("uri")), as_text(source.get("title")))
    yield from _grounding(as_object(share.get("groundingMetadata")))


def _grounding(metadata: dict[str, Any]) -> Iterator[tuple[int, Citation]]:
    """What supports which segment; without any segment, the sources alone."""
    chunks = [_chunk(chunk) for chunk in as_list(metadata.get("groundingChunks"))]
    supports = [
        support for support in as_list(metadata.get("groundingSupports")) if isinstance(support, dict)
    ]
    if not supports:
        yield from ((0, _citation({}, url, title)) for url, title in chunks if url or title)
    for support in supports:
        segment = as_object(support.get("segment"))
        for number in as_list(support.get("groundingChunkIndices")):
            index = whole_number(number, len(chunks) - 1) if chunks else None
            if index is not None:
                yield whole_number(segment.get("partIndex"), _MOST) or 0, _citation(segment, *chunks[index])


def _chunk(chunk: object) -> tuple[str, str]:
    """Address and title, of a page, of a document or of a place."""
    for kind in ("web", "retrievedContext", "maps"):
        if source := as_object(as_object(chunk).get(kind)):
            return as_text(source.get("uri")), as_text(source.get("title"))
    return "", ""


def _citation(span: dict[str, Any], url: str, title: str) -> Citation:
    """With offsets in bytes still."""
    start, end = (whole_number(span.get(name), 2**31 - 1) or 0 for name in ("startIndex", "endIndex"))
    return Citation(start, end, url, title)


def _characters(text: str, offset: int) -> int:
    """How many characters stand in front of an offset in bytes."""
    return min(offset, len(text)) if text.isascii() else len(text.encode()[:offset].decode(errors="ignore"))
