"""Addresses from callers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.upstreams.translation.media_urls import media_url_fault
from tests.conformance.addresses import HARMLESS, HOSTILE


@pytest.mark.parametrize("url", HARMLESS)
def test_public_addresses_pass(url):
    """What an upstream may fetch is let through."""
    assert media_url_fault(url) == ""


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_addresses_are_refused(url):
    """Nothing that leads into a private network, hides where it leads, or carries credentials."""
    assert media_url_fault(url)


@given(st.text(max_size=40).map("http://".__add__) | st.text(max_size=40))
def test_any_text_is_judged(url):
    """No text makes it raise."""
    assert isinstance(media_url_fault(url), str)


@given(st.ip_addresses(v=4), st.sampled_from(["{}", "{}.", "{}:80"]))
def test_private_addresses_never_pass(address, form):
    """Whichever of them."""
    if not address.is_global:
        assert media_url_fault(f"http://{form.format(address)}/x")


STORES = ("http", "https", "gs")


@pytest.mark.parametrize(
    "url", ["gs://bucket/a/b.png", "GS://my-bucket.example.com/x?y#z", "https://a.example/x"]
)
def test_object_stores(url):
    """An object store's address is taken where the provider reads from it, and nowhere else."""
    assert media_url_fault(url, STORES) == ""
    assert bool(media_url_fault(url)) == url.lower().startswith("gs")


@pytest.mark.parametrize(
    "url",
    [
        "gs://", "gs:///x", "gs://a", "gs://user@bucket/x", "gs://bucket:80/x", "gs://127.0.0.1/x", "gs://169.254.169.254/",
        "gs://[::1]/x", "gs://bu cket/x", "gs://-bucket/x", "gs://bucket\\x", "s3://bucket/x", "file://bucket/x",
        "gs://2130706433/x", "gs://0x7f000001/x", "gs:bucket/x", "gs://b\u00fccket/x", "http://127.0.0.1/x",
    ],
)  # fmt: skip
def test_what_is_no_bucket(url):
    """Anything in the bucket's place that could be a host, an address or a user, and other stores."""
    assert media_url_fault(url, STORES) != ""
