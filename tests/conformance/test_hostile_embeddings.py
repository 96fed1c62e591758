"""What callers must not reach through whoever makes vectors: private addresses, credentials, host and path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman_server.context import Attempt, Target
from pointsman_server.domain import EmbedCall, Media, MediaKind, ProviderOptions, Text
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.registry import profile_of
from pointsman_server.upstreams.translation.support import INELIGIBLE_CODES, unsupported
from tests.conformance.addresses import HARMLESS, HOSTILE
from tests.conformance.test_embeddings import BACKENDS, ROWS, attempt_of, inquiry_of
from tests.conformance.test_hostile_calls import HEADERS, MODELS, VALUES, WEB

PROFILES = {row: profile_of(backend) for row, backend in BACKENDS.items()}
BY_URL = [row for row, profile in PROFILES.items() if profile.embeddings and profile.embeddings.images_by_url]


def shown(url: str) -> EmbedCall:
    return EmbedCall("m", (Media(MediaKind.IMAGE, url=url, media_type="image/png"),))


def with_options(row: str, **options: Any) -> Attempt[EmbedCall]:
    return attempt_of(
        EmbedCall("m", (Text("a"),), provider_options={PROFILES[row].dialect: ProviderOptions(**options)})
    )


def refused(row: str, attempt: Attempt[EmbedCall]) -> str:
    """The field that the refusal names."""
    with pytest.raises(ServiceError) as caught:
        inquiry_of(row).request(attempt)
    assert caught.value.reason is Reason.INVALID_REQUEST
    [field] = caught.value.fields
    return field.path


def test_who_takes_images_by_address() -> None:
    """These are held to it below."""
    assert {"gemini", "dashscope, multimodal"} <= set(BY_URL)


@pytest.mark.parametrize("row", BY_URL)
def test_hostile_images(row: str) -> None:
    """Of all of these forms none is sent on; what is harmless is."""
    for url in HOSTILE:
        call = shown(url)
        ineligible = any(w.code in INELIGIBLE_CODES for w in unsupported(call, PROFILES[row]))
        if url and not ineligible:
            assert refused(row, attempt_of(call)) == "inputs[0].image.url", url
    assert HARMLESS[0].encode() in inquiry_of(row).request(attempt_of(shown(HARMLESS[0]))).body


@ROWS
def test_hostile_addresses_in_options(row: str) -> None:
    """Fields that callers add for a provider are looked through as well."""
    for url in WEB:
        body_json = json.dumps({"extra": {"inner": [{"image_url": url}]}})
        assert refused(row, with_options(row, body_json=body_json)).startswith("provider_options["), url


@ROWS
def test_headers_that_are_no_callers_to_set(row: str) -> None:
    """Whatever their case; and of those that are, no value that could end a line."""
    for header in HEADERS:
        path = f"provider_options[{PROFILES[row].dialect}].headers[{header}]"
        assert refused(row, with_options(row, headers={header: "x"})) == path
    for header in PROFILES[row].caller_headers:
        for value in VALUES:
            refused(row, with_options(row, headers={header: value}))


@ROWS
def test_what_is_written_is_not_replaced(row: str) -> None:
    """No field of a body, and neither host nor path depend on options."""
    plain = inquiry_of(row).request(attempt_of(EmbedCall("m", (Text("a"),))))
    for field in json.loads(plain.body).keys() - {"parameters"}:
        body_json = json.dumps({field: "replaced"})
        assert refused(row, with_options(row, body_json=body_json)).startswith("provider_options["), field
    other = inquiry_of(row).request(with_options(row, body_json='{"x_unknown": {"a": 1}}'))
    assert (other.url, other.headers) == (plain.url, plain.headers)


@ROWS
@pytest.mark.parametrize("model", MODELS)
def test_a_model_never_leaves_its_place_in_the_path(row: str, model: str) -> None:
    """Where the model's name goes into the URL it is encoded; host and the path's beginning stay."""
    attempt = Attempt(EmbedCall("m", (Text("a"),)), Target("backend", row, model), 1, False, "request-1.1")
    try:
        url = inquiry_of(row).request(attempt).url
    except ServiceError:
        return
    assert url.startswith("https://api.example.com/")
    assert not {"..", ".", ""} & set(url.removeprefix("https://").split("?")[0].split("/")), url
    assert not any(character in url for character in "\r\n #?")
