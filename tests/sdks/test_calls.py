"""Calls that nobody recorded, drawn from all that the contract can say: what a provider is asked, its client takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pointsman_server.admission.validate import Limits, check_call
from pointsman_server.config.schema.models import Bounds
from pointsman_server.context import Attempt
from pointsman_server.domain import Call, Conversation, ProviderPart
from pointsman_server.errors import ServiceError
from pointsman_server.upstreams.translation.support import INELIGIBLE_CODES
from tests.conformance.test_properties import CALLS
from tests.conformance.vendors import Case, Vendor
from tests.fakes.provider import Provider
from tests.sdks.differences import UNDECLARED, UNLIKE
from tests.sdks.speech import exchange, unlike
from tests.sdks.test_bodies import REFUSAL, SPEAKING, first

DRAWN = 3000
"""Few of them are calls that are let in, since most that can be said makes no sense."""
SELDOM_ASKED = frozenset({"ernie-legacy"})
"""Takes so little that hardly any of them is a call for it."""


@dataclass(frozen=True)
class Drawn(Case):
    """A recording's model and backend, with another call."""

    call: Call | None = None

    @property
    def attempt(self) -> Attempt:
        assert self.call is not None
        recorded = Case(self.vendor, self.record).attempt
        return Attempt(self.call, recorded.target, 1, False, recorded.upstream_id)

    @property
    def asked(self) -> bool:
        """Whether the provider is asked such a thing at all."""
        found = self.upstream.unsupported(self.attempt.call, self.attempt.target.model)
        return not any(warning.code in INELIGIBLE_CODES for warning in found)


@pytest.fixture(scope="module")
def calls() -> Sequence[Call]:
    """Conversations that are let in, without what the caller writes for a provider: the same in every run of the same
    modules, whose constants are among what is drawn.
    """
    found: list[Call] = []

    @given(CALLS)
    @settings(
        max_examples=DRAWN,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def draw(call: Call) -> None:
        if not isinstance(call.input, Conversation) or call.provider_options:
            return
        contents = [part.content for message in call.input.messages for part in message.parts]
        if any(isinstance(content, ProviderPart) for content in contents):
            return
        try:
            check_call(call, Bounds(), Limits())
        except ServiceError:
            return
        # OpenAI's client declares whole biases alone; that others take fractions is not its matter.
        biases = {token: float(round(100 * bias)) for token, bias in call.generation.logit_bias.items()}
        found.append(replace(call, generation=replace(call.generation, logit_bias=biases)))

    draw()
    return found


def is_declared(vendor: Vendor, call: Call) -> bool:
    """Whether the vendor's client declares all that the history holds."""
    assert isinstance(call.input, Conversation)
    undeclared, _ = UNDECLARED.get(vendor.folder, (lambda content: False, ""))
    return not any(undeclared(part.content) for message in call.input.messages for part in message.parts)


def same_to_ollama(body: Any) -> Any:
    """Its client leaves out a text that is empty, and says of a tool's parameters that they are an object."""
    messages = [
        {name: one for name, one in message.items() if (name, one) != ("content", "")}
        for message in body["messages"]
    ]
    tools = [
        {
            **tool,
            "function": {
                **tool["function"],
                "parameters": {"type": "object", **tool["function"]["parameters"]},
            },
        }
        for tool in body["tools"]
    ]
    return {**body, "messages": messages, "tools": tools}


@pytest.mark.parametrize("vendor", SPEAKING, ids=lambda vendor: vendor.folder)
async def test_the_client_takes_what_its_provider_is_asked(
    vendor: Vendor, calls: Sequence[Call], ask, authority
) -> None:
    """Its models take the body, and it sends what we send."""
    allowed, _ = UNLIKE.get(vendor.folder, (frozenset(), ""))
    same = same_to_ollama if vendor.client == "ollama" else lambda body: body
    sent, wrong = 0, {}
    async with Provider(REFUSAL) as provider:
        for number, call in enumerate(calls):
            case = Drawn(vendor, first(vendor).record, call)
            if not case.asked or not is_declared(vendor, call):
                continue
            try:
                spoken = await exchange(ask, case, provider, authority)
            except ServiceError:
                continue
            sent += 1
            found = unlike(case, spoken, same=same)
            if set(found) - allowed:
                wrong[number] = found
    assert not wrong, f"{len(wrong)} of {sent}: {next(iter(wrong.items()))}"
    assert sent >= 5 or vendor.folder in SELDOM_ASKED
