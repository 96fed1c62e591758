"""Where requests of this dialect go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
_SURFACE = re.compile(r"/openai(?:/v1|/deployments)?$")


@dataclass(frozen=True, slots=True)
class Place:
    """A base URL, whether the model's name follows it, and what stands at the end of every URL."""

    base: str
    query: str = ""
    names_model: bool = False

    def url(self, model: str, path: str) -> str:
        """The URL of one kind of request."""
        middle = f"/{quote(model, safe='')}" if self.names_model else ""
        return f"{self.base}{middle}{path}{self.query}"


def deployment_place(base_url: str, api_version: str) -> Place:
    """Azure's: a dated version of its API has deployments in the path, the v1 surface has them in the body alone.

    `base_url` is the resource's, with or without the surface behind it.
    """
    root = _SURFACE.sub("", base_url)
    query = f"?api-version={quote(api_version, safe='')}" if api_version not in ("", "v1") else ""
    if _DATED.match(api_version):
        return Place(f"{root}/openai/deployments", query, names_model=True)
    return Place(f"{root}/openai/v1", query)
