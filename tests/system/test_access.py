import hashlib

import grpc
import pytest
import trustme

from pointsman import ConnectionFailed, PointsmanError, TlsConfig
from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.running_app import model_over, one_model
from tests.rpc.harness import refusal
from tests.system.asking import BOTH, ask, failure

SECRETS = {"one": "1" * 32, "two": "2" * 32, "limited": "3" * 32}


def hashed(secret):
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"


def with_keys(provider):
    settings = one_model(provider)
    settings["models"]["secret"] = model_over("only", aliases=["hidden"])
    keys = [{"id": name, "hash": hashed(SECRETS[name])} for name in ("one", "two")]
    limited = [{"id": "limited", "hash": hashed(SECRETS["limited"])}]
    settings["auth"] = {
        "mode": "api_key",
        "principals": [
            {"name": "team", "api_keys": keys},
            {"name": "guest", "api_keys": limited, "models": ["chat"]},
        ],
    }
    return settings


def key(name):
    return f"{name}.{SECRETS[name]}"


@BOTH
async def test_each_key_of_a_principal_works_and_the_log_names_it(start, provider, stream):
    """Either header will do; the log and the metrics know the principal, never the key."""
    provider.handler = chat.as_asked
    app = await start(with_keys(provider))
    for name in ("one", "two"):
        await ask(await app.client(api_key=key(name)), stream=stream)
    plain = await app.client()
    await ask(plain, stream=stream, metadata={"x-api-key": key("one")})
    await app.logged(event="call", principal="team")
    assert app.metric("pointsman_tokens_total", principal="team", model="chat", type="output") == 6


BAD_KEYS = {
    "none": {},
    "unknown id": {"authorization": f"Bearer nobody.{'1' * 32}"},
    "wrong secret": {"authorization": f"Bearer one.{'9' * 32}"},
    "another's secret": {"authorization": f"Bearer one.{SECRETS['two']}"},
    "cut short": {"authorization": f"Bearer one.{SECRETS['one'][:-1]}"},
    "longer": {"authorization": f"Bearer one.{SECRETS['one']}1"},
    "no secret": {"authorization": "Bearer one."},
    "no id": {"authorization": f"Bearer .{SECRETS['one']}"},
    "no dot": {"authorization": f"Bearer one{SECRETS['one']}"},
    "the hash": {"authorization": f"Bearer one.{hashed(SECRETS['one'])[7:]}"},
    "basic": {"authorization": "Basic b25lOm9uZQ=="},
    "no scheme": {"authorization": key("one")},
    "two words": {"authorization": f"Bearer {key('one')} x"},
    "two headers": {"authorization": f"Bearer {key('one')}", "x-api-key": key("one")},
    "a scheme in the plain one": {"x-api-key": f"Bearer {key('one')}"},
    "SQL": {"authorization": "Bearer ' OR 1=1 --"},
    "a JWT without algorithm": {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."},
    "very long": {"x-api-key": "one." + "1" * 4000},
    "empty": {"authorization": ""},
    "a wildcard": {"x-api-key": "*.*"},
    "a path": {"x-api-key": "../../etc/passwd"},
    "another model's name": {"x-api-key": "chat"},
    "quotes": {"x-api-key": f'"{key("one")}"'},
    "case": {"authorization": f"Bearer ONE.{SECRETS['one']}"},
    "percent": {"x-api-key": f"one%2e{SECRETS['one']}"},
    "two keys": {"x-api-key": f"{key('one')},{key('two')}"},
    "a format string": {"x-api-key": "%s%n{0}"},
    "a cookie": {"cookie": f"key={key('one')}"},
    "an identity by metadata": {"x-principal": "team", "x-forwarded-user": "team"},
    "unicode": {"x-api-key-bin": b"\xff\xfe"},
}


async def test_bad_credentials_all_read_the_same(start, provider):
    """Thirty ways to be nobody: UNAUTHENTICATED, one text, no upstream call, unary and streaming (B37)."""
    app = await start(with_keys(provider))
    stub = await app.inference()
    request = pb.GenerateRequest(model="chat", prompt="hello")
    assert len(BAD_KEYS) >= 30
    texts = set()
    for name, metadata in BAD_KEYS.items():
        for method in (stub.Generate, stub.StreamGenerate):
            refused = await refusal(method(request, metadata=tuple(metadata.items())))
            assert refused.info.reason == "UNAUTHENTICATED", name
            texts.add((refused.code, refused.message, refused.failure.SerializeToString()))
    assert len(texts) == 1
    assert not provider.requests
    assert (await refusal((await app.models()).ListModels(pb.ListModelsRequest()))).message in str(texts)


@BOTH
async def test_a_principal_sees_and_uses_its_models_only(start, provider, stream):
    """Also through an alias, as a fallback, and in the lists."""
    provider.handler = chat.as_asked
    app = await start(with_keys(provider))
    guest, team = await app.client(api_key=key("limited")), await app.client(api_key=key("one"))
    await ask(guest, stream=stream)
    for model in ("secret", "hidden"):
        assert (await failure(guest, stream=stream, model=model)).reason == "MODEL_NOT_ALLOWED"
    end = await failure(guest, stream=stream, routing={"fallbacks": [{"model": "hidden"}]})
    assert end.reason == "MODEL_NOT_ALLOWED"
    assert [model.name for model in await guest.models()] == ["chat"]
    assert [model.name for model in await team.models()] == ["chat", "secret"]
    with pytest.raises(PointsmanError) as caught:
        await guest.model("secret")
    assert caught.value.reason == "MODEL_NOT_FOUND"
    assert len(provider.requests) == 1


@pytest.fixture
def authority():
    return trustme.CA()


def tls_settings(provider, authority, folder, **auth):
    server = authority.issue_cert("localhost", "127.0.0.1")
    files = {name: folder / f"{name}.pem" for name in ("chain", "key", "ca")}
    server.private_key_pem.write_to_path(str(files["key"]))
    files["chain"].write_bytes(b"".join(pem.bytes() for pem in server.cert_chain_pems))
    authority.cert_pem.write_to_path(str(files["ca"]))
    tls = {"certificate_file": str(files["chain"]), "key_file": str(files["key"])}
    if auth:
        tls["client_ca_file"] = str(files["ca"])
    return {**one_model(provider), "server": {"tls": tls}, **({"auth": auth} if auth else {})}


def certified(authority, *names, **more):
    leaf = authority.issue_cert(*names, **more)
    return {
        "cert": b"".join(pem.bytes() for pem in leaf.cert_chain_pems),
        "key": leaf.private_key_pem.bytes(),
    }


async def test_tls(start, provider, authority, tmp_path):
    """With the server's authority calls go through; without it none does."""
    provider.handler = chat.as_asked
    app = await start(tls_settings(provider, authority, tmp_path))
    good = await app.client(tls=TlsConfig(ca=authority.cert_pem.bytes(), server_name="localhost"))
    assert (await ask(good, stream=True)).text == "Hello there"
    bad = await app.client(tls=TlsConfig(ca=trustme.CA().cert_pem.bytes(), server_name="localhost"))
    with pytest.raises(ConnectionFailed):
        await ask(bad, stream=False, timeout_s=5)


async def test_mtls_identities(start, provider, authority, tmp_path):
    """A certificate's name is the caller; its authority's strangers are nobody, those of others get no connection."""
    provider.handler = chat.as_asked
    identity = "web.internal"
    principals = [
        {"name": "web", "mtls_identities": [identity]},
        {"name": "batch", "mtls_identities": ["batch.internal"], "models": []},
    ]
    app = await start(tls_settings(provider, authority, tmp_path, mode="mtls", principals=principals))

    async def client(issuer, *names):
        tls = TlsConfig(ca=authority.cert_pem.bytes(), server_name="localhost", **certified(issuer, *names))
        return await app.client(tls=tls)

    web = await client(authority, identity)
    for stream in (False, True):
        assert (await ask(web, stream=stream)).text == "Hello there"
    await app.logged(event="call", principal="web", code="OK")
    batch = await client(authority, "batch.internal")
    assert (await failure(batch, stream=True)).reason == "MODEL_NOT_ALLOWED"
    stranger = await client(authority, "stranger.internal")
    for stream in (False, True):
        assert (await failure(stranger, stream=stream)).reason == "UNAUTHENTICATED"
    foreign = await client(trustme.CA(), identity)
    with pytest.raises(ConnectionFailed):
        await ask(foreign, stream=False, timeout_s=5)


async def test_without_authentication_everybody_is_anonymous(start, provider):
    """A key that nobody asked for does not matter."""
    provider.handler = chat.as_asked
    app = await start(one_model(provider))
    await ask(await app.client(api_key="any.thing"), stream=False)
    await app.logged(event="call", principal="anonymous")


async def test_a_refused_caller_need_not_have_sent_its_message(start, provider):
    """Headers alone are enough to be refused: a request that never comes holds nothing."""
    app = await start(with_keys(provider))
    call = (await app.channel()).stream_unary("/pointsman.v1.InferenceService/Generate")()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    await app.settled_calls()
