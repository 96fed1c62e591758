from __future__ import annotations

import hashlib

import pytest
import yaml

from pointsman_server.admission.auth import ANONYMOUS, Authenticator, build_authenticator, new_key
from pointsman_server.config.schema import ApiKey, Auth, AuthMode, Principal, SecretRef
from pointsman_server.config.secrets import Secret, Secrets
from pointsman_server.context import AuthMethod
from pointsman_server.errors import Reason, ServiceError

SECRET, OTHER = "A" * 43, "B" * 43


def digest(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


@pytest.fixture
def keys() -> Authenticator:
    """Two principals; the first has two keys, one of them by reference."""
    ref = SecretRef(env="K2")
    first = Principal(
        name="team-a", models=("chat",),
        api_keys=(ApiKey(id="k1", hash=digest(SECRET)), ApiKey(id="k2", hash_from=ref)),
    )  # fmt: skip
    second = Principal(name="team-b", api_keys=(ApiKey(id="k3", hash=digest(SECRET)),))
    auth = Auth(mode=AuthMode.API_KEY, principals=(first, second))
    return build_authenticator(auth, Secrets({ref: Secret(digest(OTHER))}))


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"authorization": f"Bearer k1.{SECRET}"}, "team-a"),
        ({"authorization": f"bearer  k1.{SECRET}"}, "team-a"),
        ({"x-api-key": f"k1.{SECRET}"}, "team-a"),
        ({"x-api-key": f"k2.{OTHER}"}, "team-a"),
        ({"x-api-key": f"k3.{SECRET}", "x-other": "1"}, "team-b"),
    ],
)
def test_good_keys(keys: Authenticator, metadata: dict[str, str], name: str) -> None:
    """A key of either header leads to its principal; several keys of one principal are all good."""
    principal = keys.authenticate(metadata, ())
    assert (principal.name, principal.method) == (name, AuthMethod.API_KEY)
    assert principal.may_use("chat")
    assert principal.may_use("other") is (name == "team-b")


BAD: list[dict[str, str]] = [
    {}, {"authorization": ""}, {"authorization": "Bearer"}, {"authorization": "Bearer "}, {"authorization": SECRET},
    {"authorization": f"k1.{SECRET}"}, {"authorization": f"Basic k1.{SECRET}"}, {"authorization": "Bearer k1."},
    {"authorization": f"Bearer .{SECRET}"}, {"authorization": f"Bearer k1.{OTHER}"},
    {"authorization": f"Bearer k9.{SECRET}"}, {"authorization": f"Bearer K1.{SECRET}"},
    {"authorization": f"Bearer k1.{SECRET[:-1]}"}, {"authorization": f"Bearer k1.{SECRET}A"},
    {"authorization": f"Bearer k1.{SECRET.lower()}"}, {"authorization": f"Bearer k1.{SECRET} "},
    {"authorization": f"Bearer k1.{SECRET}\r\nx-admin: 1"}, {"authorization": f"Bearer k1.{SECRET}\n"},
    {"authorization": f"Bearer k1.{SECRET}\x00"}, {"authorization": f"Bearer k1.{SECRET},Bearer k1.{SECRET}"},
    {"authorization": "Bearer ' OR 1=1 --"}, {"authorization": f"Bearer k1'--.{SECRET}"},
    {"authorization": f"Bearer k1.{'A' * 100_000}"}, {"authorization": f"Bearer {'k' * 100_000}.{SECRET}"},
    {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."},
    {"authorization": f"Bearer k1.{digest(SECRET)}"}, {"authorization": f"Bearer k1.{digest(SECRET)[7:]}"},
    {"x-api-key": ""}, {"x-api-key": f"Bearer k1.{SECRET}"}, {"x-api-key": f"k1.{SECRET}, k1.{SECRET}"},
    {"x-api-key": "\uff4b\uff11." + SECRET}, {"x-api-key": f"k1.{SECRET[:-1]}\u0391"},
    {"authorization": f"Bearer k1.{SECRET}", "x-api-key": f"k1.{SECRET}"},
    {"authorization": "", "x-api-key": f"k1.{SECRET}"},
    {"Authorization": f"Bearer k1.{SECRET}"}, {"x-principal": "team-a"},
]  # fmt: skip


def test_bad_credentials_are_all_refused_alike(keys: Authenticator) -> None:
    """Whatever is wrong with a credential, the answer is the same, so that it tells nothing."""
    texts = set()
    for metadata in BAD:
        with pytest.raises(ServiceError) as caught:
            keys.authenticate(metadata, ("team-a",))
        assert caught.value.reason is Reason.UNAUTHENTICATED
        assert caught.value.__cause__ is None
        texts.add((str(caught.value), caught.value.fields, caught.value.resource))
    assert len(BAD) >= 30
    assert len(texts) == 1


def test_certificates() -> None:
    """A verified name leads to its principal by exact match; none, another or an ambiguous one is refused."""
    auth = Auth(
        mode=AuthMode.MTLS,
        principals=(
            Principal(name="team-a", mtls_identities=("spiffe://x/a", "a.internal")),
            Principal(name="team-b", mtls_identities=("spiffe://x/b",)),
        ),
    )
    certificates = build_authenticator(auth, Secrets({}))
    assert certificates.authenticate({}, ("a.internal", "spiffe://x/a", "unknown")).name == "team-a"
    assert certificates.authenticate({"x-api-key": "k1.x"}, ("spiffe://x/b",)).method is AuthMethod.MTLS
    for names in (
        (),
        ("",),
        ("spiffe://x/A",),
        ("spiffe://x/a/b",),
        ("spiffe://x",),
        ("spiffe://x/a", "spiffe://x/b"),
    ):
        with pytest.raises(ServiceError) as caught:
            certificates.authenticate({"authorization": "spiffe://x/a"}, names)
        assert caught.value.reason is Reason.UNAUTHENTICATED


def test_nobody_is_asked() -> None:
    """Mode none lets everybody in as one anonymous principal, whatever they claim."""
    for auth in (Auth(), Auth(mode=AuthMode.NONE)):
        assert (
            build_authenticator(auth, Secrets({})).authenticate({"authorization": "Bearer x"}, ("y",))
            is ANONYMOUS
        )


def test_a_new_key_works_and_is_kept_nowhere() -> None:
    """What new_key prints is a key with 256 random bits and the configuration that knows it; its repr hides it."""
    made, another = new_key(), new_key()
    (entry,) = yaml.safe_load(made.snippet)
    auth = Auth(mode=AuthMode.API_KEY, principals=(Principal(name="a", api_keys=(ApiKey(**entry),)),))
    assert build_authenticator(auth, Secrets({})).authenticate({"x-api-key": made.key}, ()).name == "a"
    identifier, _, secret = made.key.partition(".")
    assert len(secret) == 43
    assert secret not in made.snippet
    assert secret not in repr(made)
    assert identifier not in another.key
