"""What callers must not reach through any provider: private addresses, credentials, host and path."""

from __future__ import annotations

import json

import pytest

from pointsman_server.config import schema
from pointsman_server.context import Attempt, Target
from pointsman_server.domain import (
    Call,
    Conversation,
    Media,
    MediaKind,
    Message,
    Part,
    ProviderOptions,
    ProviderPart,
    Role,
    Text,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import BodyLimits
from pointsman_server.upstreams.contract import Adapter
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.registry import PROVIDERS
from pointsman_server.upstreams.translation.support import INELIGIBLE_CODES, unsupported
from tests.conformance.addresses import HARMLESS, HOSTILE

OVER_HTTP = sorted(name for name, provider in PROVIDERS.items() if provider.adapter is not None)
BY_URL = [name for name in OVER_HTTP if PROVIDERS[name].profile.images_by_url]
WEB = [
    url for url in HOSTILE if url.lower().lstrip().startswith(("http", "ftp", "file", "ws:", "gopher", "//"))
]
HEADERS = (
    "authorization", "Authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie",
    "host", ":authority", ":path", "content-length", "content-type", "transfer-encoding", "connection",
    "upgrade", "te", "expect", "x-amz-date", "x-amz-security-token", "x-forwarded-for", "x-forwarded-host",
    "forwarded", "accept-encoding", "accept", "user-agent", "traceparent", "idempotency-key",
    "x-http-method-override", "x-original-url", "x-rewrite-url",
)  # fmt: skip
"""Credentials, host, path, framing: none of these is a caller's to set."""
FREE = {"openai_responses": {"store"}}
"""Fields that are written unless the caller does."""
MODELS = ("../../admin", "a/../../b", "m?x=1", "m#f", "m\r\nx: y", "m%2f..", "a b", "//evil.example/x")
VALUES = ("a\r\nx-injected: 1", "a\nb", "a\x00b", "a\x7f", "\u00e9", "", "x" * 300)


def adapter_of(name: str) -> Adapter:
    provider = PROVIDERS[name]
    backend = schema.Backend(provider=name, url="https://api.example.com")
    assert provider.adapter is not None
    return provider.adapter(provider.profile, Settings(backend.url, BodyLimits(), backend))


def asked(name: str, *parts: Part, **fields: object) -> Attempt:
    call = Call("m", Conversation((Message(Role.USER, (Part(Text("look")), *parts)),)), **fields)
    return Attempt(call, Target("backend", name, "model"), 1, True, "request-1.1")


def refused(name: str, attempt: Attempt) -> str:
    """The field that the refusal names."""
    with pytest.raises(ServiceError) as caught:
        adapter_of(name).request(attempt)
    assert caught.value.reason is Reason.INVALID_REQUEST
    [field] = caught.value.fields
    return field.path


def sent(name: str, attempt: Attempt) -> bytes:
    """The body; nothing where the call is refused with a field."""
    try:
        return adapter_of(name).request(attempt).body
    except ServiceError as error:
        assert error.fields  # noqa: PT017 - one of two good ends
        return b""


def with_options(name: str, **options: object) -> Attempt:
    dialect = PROVIDERS[name].profile.dialect
    return asked(name, provider_options={dialect: ProviderOptions(**options)})


@pytest.mark.parametrize("name", BY_URL)
def test_hostile_images(name: str) -> None:
    """Of all of these forms none is sent on; what is harmless is."""
    for url in HOSTILE:
        if not url:
            continue
        attempt = asked(name, Part(Media(MediaKind.IMAGE, url=url)))
        if any(w.code in INELIGIBLE_CODES for w in unsupported(attempt.call, PROVIDERS[name].profile)):
            continue
        assert refused(name, attempt) == "conversation.messages[0].parts[1].image.url", url


@pytest.mark.parametrize(
    "name", [name for name in BY_URL if "https" in PROVIDERS[name].profile.media_schemes]
)
def test_harmless_images(name: str) -> None:
    """Go to the provider as they are, where it fetches from the web at all."""
    harmless = asked(name, Part(Media(MediaKind.IMAGE, url=HARMLESS[0], media_type="image/png")))
    assert HARMLESS[0].encode() in adapter_of(name).request(harmless).body


@pytest.mark.parametrize("name", OVER_HTTP)
def test_hostile_addresses_in_a_part_of_the_dialect(name: str) -> None:
    """The dialect's own JSON is no way around, however deep."""
    profile = PROVIDERS[name].profile
    for url in WEB:
        text = json.dumps({"type": "image_url", "image_url": {"url": url}})
        attempt = asked(name, Part(ProviderPart(profile.dialect, text)))
        # A dialect that takes no parts of its own here leaves it out.
        assert json.dumps(url).strip('"').encode() not in sent(name, attempt), url


@pytest.mark.parametrize("name", OVER_HTTP)
@pytest.mark.parametrize("key", ["server_url", "image_url", "fileUri", "audio", "URL"])
def test_hostile_addresses_in_options(name: str, key: str) -> None:
    """Fields that callers add for a provider are looked through as well."""
    for url in WEB:
        body_json = json.dumps({"extra": {"inner": [{key: url}]}})
        assert refused(name, with_options(name, body_json=body_json)).startswith("provider_options["), url


@pytest.mark.parametrize("name", OVER_HTTP)
def test_headers_that_are_no_callers_to_set(name: str) -> None:
    """Whatever their case; and of those that are, no value that could end a line."""
    for header in HEADERS:
        attempt = with_options(name, headers={header: "x"})
        assert (
            refused(name, attempt) == f"provider_options[{PROVIDERS[name].profile.dialect}].headers[{header}]"
        )
    for header in PROVIDERS[name].profile.caller_headers:
        for value in VALUES:
            refused(name, with_options(name, headers={header: value}))


@pytest.mark.parametrize("name", OVER_HTTP)
def test_what_the_adapter_writes_is_not_replaced(name: str) -> None:
    """Every field of a request's body, model and messages among them, and neither host nor path depend on options."""
    plain = adapter_of(name).request(asked(name))
    for field in set(json.loads(plain.body)) - FREE.get(name, set()):
        body_json = json.dumps({field: "replaced"})
        assert refused(name, with_options(name, body_json=body_json)).startswith("provider_options["), field
    free = with_options(name, body_json='{"x_unknown": {"a": 1}}')
    if not sent(name, free):
        return
    other = adapter_of(name).request(free)
    assert other.url == plain.url
    assert other.headers == plain.headers


@pytest.mark.parametrize("name", OVER_HTTP)
@pytest.mark.parametrize("model", MODELS)
def test_a_model_never_leaves_its_place_in_the_path(name: str, model: str) -> None:
    """Where the model's name goes into the URL it is encoded; host and the path's beginning stay."""
    attempt = asked(name)
    plain = adapter_of(name).request(attempt)
    hostile = Attempt(attempt.call, Target("backend", name, model), 1, True, "request-1.1")
    try:
        url = adapter_of(name).request(hostile).url
    except ServiceError:
        return
    assert url.startswith("https://api.example.com/")
    assert ".." not in url.split("?")[0].split("/")
    assert not any(character in url for character in "\r\n #")
    assert url.count("?") == plain.url.count("?")
