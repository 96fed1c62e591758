"""A row of the registry: a provider's profile, and what makes an upstream of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from typing_extensions import TypeVar

from pointsman_server.clock import Clock
from pointsman_server.config import schema
from pointsman_server.domain import AnyCall, CountCall, EmbedCall, Embeddings
from pointsman_server.transport.contract import BodyLimits
from pointsman_server.upstreams.contract import Adapter, Inquiry, Upstream
from pointsman_server.upstreams.credentials.contract import Credentials
from pointsman_server.upstreams.translation.profile import Profile

C_contra = TypeVar("C_contra", bound=AnyCall, contravariant=True)
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Settings:
    """What of a backend's configuration an adapter is made with."""

    base_url: str
    """Without a slash at its end."""
    limits: BodyLimits
    backend: schema.Backend
    """For what only one dialect asks for."""
    authority: str = ""
    """What requests and TLS name in place of the URL's host, where the URL holds an endpoint's address."""
    credentials: Credentials | None = None
    """For upstreams that are not reached over HTTP; over HTTP, they are no adapter's business."""


class BuildAdapter(Protocol):
    """An adapter's class."""

    def __call__(self, profile: Profile, settings: Settings) -> Adapter: ...


class BuildInquiry(Protocol[C_contra, R_co]):
    """An inquiry's class."""

    def __call__(self, profile: Profile, settings: Settings) -> Inquiry[C_contra, R_co]: ...


class BuildUpstream(Protocol):
    """What makes an upstream that is not reached over HTTP."""

    def __call__(self, profile: Profile, settings: Settings, clock: Clock) -> Upstream: ...


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider; it has an `upstream`, or what is built over HTTP."""

    profile: Profile
    adapter: BuildAdapter | None = None
    """For a dialect over HTTP; None for one that answers no questions."""
    embeddings: BuildInquiry[EmbedCall, Embeddings] | None = None
    """Over HTTP, where the profile says what it takes for vectors."""
    counter: BuildInquiry[CountCall, int] | None = None
    """Over HTTP, where the provider counts tokens with the model's own tokenizer."""
    upstream: BuildUpstream | None = None
    """For what speaks otherwise, or to nobody."""
    versions: Mapping[str, Profile] = field(default_factory=dict)
    """Profiles by the version of the provider's API, where it has several; `profile` is one of them."""
    version_form: str = ""
    """Pattern of further versions, of which there are too many to list; all go with `profile`."""
    variants: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Keys of a backend's configuration that change what it takes, by what the documentation calls such a backend."""
    configure: Callable[[Profile, schema.Backend], Profile] = lambda profile, _: profile
    """The profile of a backend whose configuration says what its models can do."""
    findings: Callable[[schema.Backend], Iterator[tuple[str, str]]] = lambda _: iter(())
    """Keys of a backend's configuration that do not go with one another, and why."""

    def profile_of(self, backend: schema.Backend) -> Profile:
        """The profile of a backend's version; the default one's where it names none."""
        return self.configure(self.versions.get(backend.api_version, self.profile), backend)

    @property
    def over_http(self) -> bool:
        """Whether it is reached over HTTP."""
        return self.upstream is None

    def version_fault(self, api_version: str) -> str:
        """Why the provider cannot be asked for this version; empty when it can, or none is named."""
        if not api_version or api_version in self.versions or re.fullmatch(self.version_form, api_version):
            return ""
        if self.version_form:
            return "is no version of the provider's API"
        known = ", ".join(self.versions)
        return f"must be one of {known}" if known else "the provider has no versions to choose from"
