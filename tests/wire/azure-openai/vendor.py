"""Azure OpenAI: deployments under a version of the API, and the v1 surface."""

from collections.abc import Mapping

from pointsman_server.domain import ProviderOptions
from tests.conformance.vendors import Json, Record, Vendor, done_event, last_match, plain_options

CONFIGURED = {"entra", "api_version", "deployment"}
"""What of the recorded options belongs to the backend; the deployment is the target's model."""


def backend(record: Record) -> Mapping[str, Json]:
    """As the recorded request went out: with a version if it names one, with a token if that was sent."""
    request = record["request"]
    token = "api-key" not in request["headers"]
    return {
        "url": "https://resource.example.com",
        "api_version": request["query"].get("api-version", ""),
        "credentials": {"type": "bearer", "secret": {"env": "TOKEN"}}
        if token
        else {"secret": {"env": "KEY"}},
    }


def options(intent: Record, dialect: str) -> Mapping[str, ProviderOptions]:
    """Those that a caller sets."""
    kept = {
        name: value for name, value in intent.get("provider_options", {}).items() if name not in CONFIGURED
    }
    return plain_options({"provider_options": kept}, dialect) if kept else {}


def one_proof(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The v1 surface takes the key in either header, and one client sends it in both."""
    if headers.get("authorization") == f"Bearer {headers.get('api-key')}":
        return {name: value for name, value in headers.items() if name != "authorization"}
    return headers


VENDOR = Vendor(
    provider="azure_openai",
    client="openai",
    secrets={"KEY": "azkey-0000", "TOKEN": "eyJ.test.token"},
    backend=backend,
    options=options,
    finish_end=last_match(rb'"finish_reason":\s*"'),
    ended=done_event,
    same_fields={"safety_identifier": "user"},
    same_headers=one_proof,
)
