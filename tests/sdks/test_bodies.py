"""More bodies than there are recordings: every recorded intent goes to every provider, and so do mixtures of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pointsman_server.errors import ServiceError
from tests.conformance.vendors import CASES, VENDORS, Case, Vendor
from tests.fakes.provider import Provider
from tests.fakes.replies import json_reply
from tests.sdks.differences import OVER_TLS, PASSED_ON, SPEECHLESS, UNLIKE, WHOLE
from tests.sdks.speech import exchange, job, own_request, unlike

MIXTURES = 200
SPEAKING = [vendor for vendor in VENDORS if vendor.client]
REFUSAL = json_reply({}, status=400)


def _shape(intent: Mapping[str, Any]) -> str:
    """What makes two intents different to an encoder: their texts do not."""
    messages = [
        {**message, "content": message["content"] and type(message["content"]).__name__, "n": _kinds(message)}
        for message in intent["messages"]
    ]
    return json.dumps(
        [messages, *(intent.get(name) for name in ("params", "tools", "tool_choice", "stream"))]
    )


def _kinds(message: Mapping[str, Any]) -> list[str]:
    content = message["content"]
    return [part["type"] for part in content] if isinstance(content, list) else []


def intents() -> list[dict[str, Any]]:
    """One of each shape, without what is said to one provider alone."""
    found = {_shape(case.record["intent"]): case.record["intent"] for case in CASES}
    plain = [
        {name: value for name, value in intent.items() if name not in ("provider_options", "model")}
        for intent in found.values()
    ]
    return [intent for intent in plain if intent["messages"]]


def mixtures(every: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Messages of one, tools of another, parameters of two more: the same ones in every run."""
    chance = random.Random(4)
    with_tools = [intent for intent in every if "tools" in intent]
    for _ in range(MIXTURES):
        said, one, other, tools = (*chance.choices(every, k=3), chance.choice(with_tools))
        params = {**one.get("params", {}), **other.get("params", {})}
        kept = {name: tools[name] for name in ("tools", "tool_choice") if name in tools}
        yield {"messages": said["messages"], "stream": one["stream"], "params": params, **kept}


INTENTS = intents()
INTENTS += mixtures(INTENTS)


def bodies(vendor: Vendor) -> Iterator[Case]:
    """For a provider, with the models and options that its recordings name."""
    own = [case.record for case in CASES if case.vendor.folder == vendor.folder and _plain(case)]
    for number, intent in enumerate(INTENTS):
        record = own[number % len(own)]
        kept = {name: one for name, one in record["intent"].items() if name in ("model", "provider_options")}
        stream = intent["stream"] and vendor.client not in WHOLE
        yield Case(
            vendor, {**record, "case": f"body {number}", "intent": {**intent, **kept, "stream": stream}}
        )


def _plain(case: Case) -> bool:
    """A generation that the client speaks as we do."""
    exchange_of_keys = case.vendor.stand_in(case.record) is not None
    return not exchange_of_keys and str(case) not in {*SPEECHLESS, *UNLIKE, *OVER_TLS}


@pytest.mark.parametrize("vendor", SPEAKING, ids=lambda vendor: vendor.folder)
async def test_the_client_takes_whatever_the_adapter_makes(vendor: Vendor, ask, authority) -> None:
    """Its models take every body, and it sends what we send; what the adapter refuses itself is not asked."""
    allowed, _ = UNLIKE.get(vendor.folder, (frozenset(), ""))
    sent, wrong = 0, {}
    async with Provider(REFUSAL) as provider:
        for case in bodies(vendor):
            try:
                spoken = await exchange(ask, case, provider, authority)
            except ServiceError:
                continue
            sent += 1
            found = unlike(case, spoken)
            if set(found) - allowed:
                wrong[str(case)] = found
    assert not wrong, f"{len(wrong)} of {sent}: {next(iter(wrong.items()))}"
    assert sent > 0.9 * len(INTENTS)


STRANGE = "no_field_of_this_name"


def _place(body: Any, place: str) -> Any:
    """The object of this place in a body, whatever the provider."""
    if place == "body":
        return body.get("parameters", body)
    match body:
        case (
            {"messages": [*_, one]} | {"contents": [*_, one]} | {"input": [*_, one] | {"messages": [*_, one]}}
        ):
            return one
        case {"inputs": [one, *_]}:
            return one
    return None


def first(vendor: Vendor) -> Case:
    """A recording that the client speaks as we do."""
    return next(case for case in CASES if case.vendor.folder == vendor.folder and _plain(case))


PLACES = [
    (vendor, place)
    for vendor in SPEAKING
    for place in ("body", "message")
    if _place(json.loads(first(vendor).adapter.request(first(vendor).attempt).body), place) is not None
]


@pytest.mark.parametrize(("vendor", "place"), PLACES, ids=lambda one: getattr(one, "folder", one))
async def test_a_field_that_nobody_knows_is_noticed(vendor: Vendor, place: str, ask, authority) -> None:
    """The client refuses it or leaves it out, so that the tests above could fail, but for where it looks at nothing."""
    case = first(vendor)
    ours = await own_request(case)
    async with Provider(REFUSAL) as provider:
        asked = {**job(case, ours, provider.url), "authority": authority.path}
        _place(asked["body"], place)[STRANGE] = 1
        await ask(vendor.client, asked)
        passed = any(STRANGE in request.body.decode() for request in provider.requests)
    assert passed == ((vendor.folder, place) in PASSED_ON)
