"""The table of capabilities tells the truth: every row is asked of every provider's own adapter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from pointsman_server.clock import SystemClock
from pointsman_server.context import Attempt, ChatTemplate, Target
from pointsman_server.domain import Answer, AnyCall, Call, EmbedCall, ReasoningMode
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.router import pick
from pointsman_server.transport.contract import BodyLimits, HTTPRequest
from pointsman_server.upstreams.contract import Upstream
from pointsman_server.upstreams.dialects.triton.rpc.request import infer_request
from pointsman_server.upstreams.dialects.triton.styles import DEFAULT_STYLE, setup_of
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.registry import PROVIDERS, build_upstream, profile_of
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile
from pointsman_server.upstreams.translation.support import unsupported
from tests.conformance.result import decode
from tests.conformance.vendors import CASES, Case, NoTransport
from tests.unit.routing.pieces import ANYONE, View, model, target
from tools.capabilities import (
    MODEL,
    THEMES,
    Ask,
    Verdict,
    backends,
    stop_ask,
    takes_part,
)

BACKENDS = backends()
ASKS = {(theme.title, row.name): row for theme in THEMES for row in theme.rows if isinstance(row, Ask)}
GENERATING = [label for label, backend in BACKENDS.items() if profile_of(backend).generates]
EMBEDDING = [label for label, backend in BACKENDS.items() if profile_of(backend).embeddings is not None]
UNSEEN = {
    label
    for label, backend in BACKENDS.items()
    if PROVIDERS[backend.provider].upstream is not None and profile_of(backend).dialect not in DEFAULT_STYLE
}
"""Those whose own upstream shows nobody what it sends, as the simulator, which sends nothing."""
CALLERS_MOST = 16
"""Stop sequences of a call."""
TELLING = "{{ messages | tojson }}"
"""A chat template that leaves out nothing."""
ANSWERS: dict[str, list[Case]] = {}
for case in CASES:
    if not (case.refused or case.failed):
        ANSWERS.setdefault(case.vendor.profile.dialect, []).append(case)


def asked_of(label: str) -> Iterator[Ask]:
    profile = profile_of(BACKENDS[label])
    for theme in THEMES:
        if takes_part(theme, profile):
            yield from (row for row in theme.rows if isinstance(row, Ask))


ROWS = [pytest.param(label, ask, id=f"{label}-{ask.name}") for label in BACKENDS for ask in asked_of(label)]


def attempt_of(call: AnyCall, *, stream: bool = True, template: str = "") -> Attempt:
    chat_template = ChatTemplate(template) if template else None
    target = Target("backend", "provider", MODEL, chat_template=chat_template)
    return Attempt(call, target, 1, stream, "request-1.1")


def upstream_of(label: str) -> Upstream:
    backend = BACKENDS[label]
    return build_upstream("backend", backend, lambda _: None, SystemClock(), lambda _: NoTransport())


class Wire:
    """What a provider is sent, and what is passed on of its answers."""

    def __init__(self, label: str) -> None:
        self.backend = BACKENDS[label]
        self.profile = profile_of(self.backend)
        provider = PROVIDERS[self.backend.provider]
        settings = Settings(self.backend.url, BodyLimits(), self.backend)
        self.adapter = provider.adapter and provider.adapter(self.profile, settings)
        self.embeddings = provider.embeddings and provider.embeddings(self.profile, settings)

    def request(self, call: AnyCall, **more: object) -> HTTPRequest | bytes:
        template = TELLING if self.profile.chat_templates else ""
        attempt = attempt_of(call, **{"template": template, **more})
        if isinstance(call, EmbedCall):
            return self.embeddings.request(attempt)
        if self.adapter is not None:
            return self.adapter.request(attempt)
        setup = setup_of(self.profile.dialect, self.backend.open_inference, http=False)
        pieces = self.profile.streams(stream=attempt.stream)
        return infer_request(attempt, self.profile, setup, "id", in_stream=pieces, pieces=pieces)

    def answers(self, call: Call) -> Iterator[Answer]:
        """Of every recorded answer in the dialect, what a caller gets who asked so."""
        if self.adapter is not None:
            for case in ANSWERS.get(self.profile.dialect, ()):
                decoder = self.adapter.decoder(attempt_of(call), case.status, case.headers)
                yield decode(decoder, case.chunks).answer

    def differ(self, one: AnyCall, other: AnyCall) -> bool:
        """Whether the two make a difference to the provider, or else to what is passed on of its answers."""
        if self.request(one) != self.request(other):
            return True
        if not isinstance(one, Call) or one.generation == other.generation:
            # Nothing else decides what is passed on.
            return False
        pairs = zip(self.answers(one), self.answers(other), strict=True)
        return any(first != second for first, second in pairs)


STRICTLY = {
    Verdict.TAKEN: None,
    Verdict.DROPPED: Reason.UNSUPPORTED_PARAMETER,
    Verdict.REFUSED: Reason.NO_ELIGIBLE_BACKEND,
}


def strictly(call: AnyCall, upstream: Upstream) -> Reason | None:
    """Why a call under strict_params finds no backend where this is the only one; None where it does."""
    strict = replace(call, routing=replace(call.routing, strict_params=True))
    only = model(target(warnings=tuple(upstream.unsupported(strict, MODEL))))
    view = View(replace(only, operations=frozenset({strict.operation})))
    try:
        pick(strict, view, ANYONE, turn=lambda _: 0, rng=Random(1))
    except ServiceError as error:
        return error.reason
    return None


@pytest.mark.parametrize(("label", "ask"), ROWS)
def test_what_a_cell_says(label: str, ask: Ask) -> None:
    """What is taken makes a difference; what is dropped makes none and is reported; what is refused is never sent."""
    wire, upstream = Wire(label), upstream_of(label)
    profile = wire.profile
    call, plain = ask.call(profile), ask.plain(profile)
    verdict = ask.verdict(profile)
    found = [warning.field for warning in upstream.unsupported(call, MODEL)]
    assert bool([field for field in found if field.startswith(ask.fields)]) == (verdict is not Verdict.TAKEN)
    if not found or verdict is not Verdict.TAKEN:
        assert strictly(call, upstream) is STRICTLY[verdict]
    if verdict is Verdict.REFUSED or label in UNSEEN:
        return
    if (instead := ask.instead(profile)) is not None:
        assert not wire.differ(call, instead[1])
        assert wire.differ(call, plain)
    elif verdict is Verdict.DROPPED:
        assert not wire.differ(call, plain)
    else:
        assert wire.differ(call, (ask.against or ask.plain)(profile))


@pytest.mark.parametrize("label", GENERATING)
def test_the_bound_of_stop_sequences(label: str) -> None:
    """So many are sent, and what is above is reported."""
    wire, upstream = Wire(label), upstream_of(label)
    bound = wire.profile.max_stop_sequences
    if stop_ask(1).verdict(wire.profile) is not Verdict.TAKEN or label in UNSEEN:
        return
    for count in {1, bound or CALLERS_MOST}:
        call = stop_ask(count).call(wire.profile)
        assert not upstream.unsupported(call, MODEL)
        body = body_of(wire.request(call))
        assert all(f"stop-{number}".encode() in body for number in range(count))
    if bound:
        call = stop_ask(bound + 1).call(wire.profile)
        [warning] = upstream.unsupported(call, MODEL)
        assert warning.field == "generation.stop_sequences"
        assert f"stop-{bound}".encode() not in body_of(wire.request(call))


def body_of(request: HTTPRequest | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.body


@pytest.mark.parametrize("label", GENERATING)
def test_facts(label: str) -> None:
    """Streams, counts and templates are what the provider is asked for, or makes no difference to it."""
    wire, upstream = Wire(label), upstream_of(label)
    profile, hello = wire.profile, ASKS["Messages", "`SYSTEM`"].plain(wire.profile)
    assert (upstream.counter is not None) == profile.counts_tokens
    assert (upstream.embedder is not None) == (profile.embeddings is not None)
    if label in UNSEEN:
        return
    streamed, whole = wire.request(hello, stream=True), wire.request(hello, stream=False)
    assert (streamed != whole) == (profile.streams(stream=True) != profile.streams(stream=False))
    written = wire.request(hello, template="{{ messages[0].content }}!")
    assert (written != streamed) == profile.chat_templates


BARE = Profile("provider", "dialect", "", {})
WITH_TOOLS = replace(BARE, fields={"tools": ""})
WITH_VECTORS = replace(BARE, embeddings=EmbeddingProfile())


def test_no_field_is_without_a_row() -> None:
    """Whatever some profile takes, some row asks for: a provider that takes nothing is reported to lack all of it."""
    lacking = {
        re.sub(r"\[\d+\]", "", warning.field)
        for profile in (BARE, WITH_TOOLS, WITH_VECTORS)
        for ask in ASKS.values()
        for warning in unsupported(ask.call(profile), profile, MODEL)
    }
    modes = {f"generation.reasoning.mode.{mode.value.lower()}" for mode in ReasoningMode}
    for label, backend in BACKENDS.items():
        profile = profile_of(backend)
        vectors = {} if profile.embeddings is None else profile.embeddings.fields
        assert {*profile.fields, *vectors} - modes <= lacking, label
