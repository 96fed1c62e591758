"""Signatures of AWS, against what AWS's own client for Python computes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pointsman_server.clock import SystemClock
from pointsman_server.config.secrets import Secret
from pointsman_server.transport.aiohttp_transport import AiohttpTransport
from pointsman_server.transport.contract import BodyLimits, HTTPRequest, TransportOptions
from pointsman_server.upstreams.credentials.sigv4 import Keys, Scope, Signing, SigV4, sign
from pointsman_server.upstreams.dialects.bedrock.adapter import BedrockAdapter
from pointsman_server.upstreams.dialects.bedrock.profiles import BEDROCK
from pointsman_server.upstreams.http import HttpUpstream
from tests.fakes.clock import FakeClock
from tests.fakes.provider import Provider
from tests.fakes.replies import json_reply
from tests.unit.upstreams.calls import asked, attempt, settings

WHEN = datetime(2026, 11, 22, 10, tzinfo=UTC).timestamp()
SECRET, TOKEN = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "TOKEN/abc=="
KEYS = Keys(Secret("AKIDEXAMPLE"), Secret(SECRET))
LENT = replace(KEYS, session_token=Secret(TOKEN))
SCOPE = Scope("eu-west-1", "bedrock")
HEADERS = {"content-type": "application/json ; charset=utf-8", "accept": "a", "x-amz-foo": " a   b "}

# Made with botocore 1.44.8.
VECTORS = [
    (
        "/~fZ/c.%40Re/~b?%2F%2B%2Fb=%2Ay%20&%2Fb%20%20=%20%2Ay&%2F%2F%C3%A9%3D=~~x", "h.example:8443", LENT,
        "c5afd7608437816bdd0a7309cb4a1252e4da70e6",
        "f7955f5064da3c061d8e0669056b8c685400ecc5492f984e09537f3fd95d2997",
    ),
    (
        "/K_Z/qh/WCEPyYng?%26%26a%C3%A9=%20y%2A&b%3Daa=x%2Ax&%26%2B%26a=%2Ay~", "h.example:8443", KEYS,
        "77b07670eb940bd5335f973daad8619b91ffc911",
        "c0547b715b1b8bcac6baa967998735026781c12415b9f404276d8fe4de5914c2",
    ),
    (
        "/HPbz/QOBdVt/%2Bn%20?b%2F%2F%20=~%2A%20&%20aa%2B=%2A~y&a%26%2B%3D=xy%2A", "h.example", KEYS,
        "dd63fc35c797ff08a6cd90095066a745addb6d88",
        "3f901f8b28f76923329476ad49454ad55db4b78bdb3dc272cc5399026d83cd28",
    ),
    (
        "/puFR/%2BoTAvJN%3A/Pod%3Ae", "h.example:443", LENT, "689f9899be54ed2b3fc15a4f80da6f1afdc9b2c4",
        "e0b14582df8a569c8ac78c70d9c65928daafe4691c5c7611ad4d2d19805354e9",
    ),
]  # fmt: skip


class AtNoon(FakeClock):
    """A clock that stands still."""

    def wall(self) -> float:
        return WHEN


@pytest.mark.parametrize(("path", "host", "keys", "body", "signature"), VECTORS)
async def test_signatures(path, host, keys, body, signature):
    """Paths and queries with escapes, ports of their own, lent keys, and headers of AWS."""
    request = HTTPRequest("POST", f"https://{host}{path}", HEADERS, bytes.fromhex(body))
    signed = await SigV4(keys, SCOPE, Signing(AtNoon())).authorize(request)
    token = ";x-amz-security-token" if keys is LENT else ""
    assert signed.headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/eu-west-1/bedrock/aws4_request,"
        f" SignedHeaders=content-type;host;x-amz-date;x-amz-foo{token}, Signature={signature}"
    )
    assert signed.headers["host"] == host.removesuffix(":443")
    assert signed.headers["x-amz-date"] == "20261122T100000Z"
    assert signed.headers.get("x-amz-security-token") == (TOKEN if keys is LENT else None)
    assert (signed.url, signed.body, request.headers) == (request.url, request.body, HEADERS)


async def test_each_part_is_signed():
    """Another body, path, host, day, region or secret is another signature; other headers play no part."""
    request = HTTPRequest("POST", "https://h.example/a", {"content-type": "application/json"}, b"{}")

    def signature(request=request, keys=KEYS, scope=SCOPE, host="h.example", when=WHEN):
        return sign(request, keys, scope, host=host, when=when).headers["authorization"].rpartition("=")[2]

    others = [
        signature(replace(request, body=b"[]")),
        signature(replace(request, url="https://h.example/b")),
        signature(host="other.example"),
        signature(when=WHEN + 86_400),
        signature(scope=Scope("us-east-1", "bedrock")),
        signature(scope=Scope("eu-west-1", "sagemaker")),
        signature(keys=replace(KEYS, secret_access_key=Secret("other"))),
        signature(keys=LENT),
    ]
    assert len({signature(), *others}) == 9
    more = replace(request, headers={**request.headers, "accept": "x", "x-request-id": "1"})
    assert signature(more) == signature()


def test_nothing_is_shown():
    """Neither the secret, nor the token, nor who signed."""
    signer = SigV4(LENT, SCOPE, Signing(AtNoon()))
    assert signer.hide(f"{SECRET} {TOKEN} AKIDEXAMPLE signed") == "*** *** *** signed"
    assert SECRET not in repr(vars(signer))


@pytest.mark.parametrize("authority", ["", "bedrock.internal:9443"])
async def test_what_is_signed_is_what_is_sent(authority):
    """Over a real connection: the path keeps its escapes, the host is the one of the signature."""
    document = {"output": {"message": {"content": [{"text": "Hei"}]}}, "stopReason": "end_turn"}
    clock = SystemClock()
    async with Provider(json_reply(document)) as provider:
        transport = AiohttpTransport(TransportOptions(authority=authority), clock=clock)
        upstream = HttpUpstream(
            BedrockAdapter(BEDROCK, settings(provider.url)), transport, BEDROCK,
            credentials=SigV4(KEYS, SCOPE, Signing(AtNoon(), authority)), limits=BodyLimits(), clock=clock,
        )  # fmt: skip
        call = attempt(asked("hi"), stream=False)
        call = replace(
            call, target=replace(call.target, model="arn:aws:bedrock:x:1:inference-profile/a.b-v1:0")
        )
        async with upstream.open(call) as answer:
            assert [batch async for batch in answer]
        await transport.close()
        (sent,) = provider.requests
    assert sent.path == "/model/arn%3Aaws%3Abedrock%3Ax%3A1%3Ainference-profile%2Fa.b-v1%3A0/converse"
    host = authority or provider.url.removeprefix("http://")
    assert sent.headers["host"] == host
    again = HTTPRequest("POST", f"http://{host}{sent.path}", {"content-type": "application/json"}, sent.body)
    wanted = sign(again, KEYS, SCOPE, host=host, when=WHEN).headers["authorization"]
    assert sent.headers["authorization"] == wanted
    assert json.loads(sent.body) == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
