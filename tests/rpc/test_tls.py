"""TLS: good and bad certificates, mTLS, and new files in place of old ones."""

import datetime as dt
import os
from dataclasses import dataclass

import grpc
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pointsman.v1 import inference_service_pb2_grpc
from pointsman_server.config.schema import Auth, AuthMode, TlsServer
from pointsman_server.errors import ServiceError
from pointsman_server.server.tls import CertificateSource
from tests.fakes.admission import FakeAuthenticator
from tests.fakes.telemetry import FakeTelemetry
from tests.rpc.harness import PROMPT, refusal, with_limits

PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def ca():
    return trustme.CA()


class Files:
    """A certificate on disk that can be replaced."""

    def __init__(self, folder, client_ca=None):
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.client_ca = folder / "ca.crt" if client_ca else None
        if client_ca:
            client_ca.cert_pem.write_to_path(self.client_ca)
        self.writes = 0

    def write(self, certificate: bytes, key: bytes) -> None:
        self.writes += 1
        for path, data in ((self.certificate, certificate), (self.key, key)):
            path.write_bytes(data)
            os.utime(path, ns=(self.writes, self.writes))

    def issue(self, ca, name: str = "localhost", **options) -> None:
        leaf = ca.issue_cert(name, **options)
        self.write(leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes())

    @property
    def tls(self) -> TlsServer:
        return TlsServer(
            certificate_file=str(self.certificate),
            key_file=str(self.key),
            client_ca_file=str(self.client_ca) if self.client_ca else None,
        )


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def pem(ca) -> bytes:
    return ca.cert_pem.bytes()


async def stub(serving, ca, client=None):
    pair = (client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(pem(ca), *pair)
    channel = grpc.aio.secure_channel(f"localhost:{serving.port}", credentials)
    await serving.stack.enter_async_context(channel)
    return inference_service_pb2_grpc.InferenceServiceStub(channel)


async def test_calls_over_tls(serve, files, ca):
    """A client that trusts the authority is served."""
    files.issue(ca)
    serving = await serve(config=with_limits(tls=files.tls))
    assert (await (await stub(serving, ca)).Generate(PROMPT)).model == "chat"


async def test_new_certificates_are_taken_without_a_restart(serve, files, ca):
    """After the files change, new connections see the new certificate."""
    files.issue(ca)
    serving = await serve(config=with_limits(tls=files.tls))
    other = trustme.CA()
    files.issue(other)
    assert (await (await stub(serving, other)).Generate(PROMPT)).model == "chat"
    assert [name for name, _ in serving.telemetry.events] == ["certificate_reloaded"]


def expired(files, ca):
    files.issue(ca, not_before=PAST, not_after=PAST + dt.timedelta(days=1))


def mismatched(files, ca):
    first, second = ca.issue_cert("localhost"), ca.issue_cert("localhost")
    files.write(first.cert_chain_pems[0].bytes(), second.private_key_pem.bytes())


def junk(files, ca):
    files.write(b"junk", b"junk")


def missing(files, ca):
    files.key.unlink(missing_ok=True)


BAD = [expired, mismatched, junk, missing]


@pytest.mark.parametrize("spoil", BAD)
async def test_a_bad_new_certificate_keeps_the_good_one(serve, files, ca, spoil):
    """Expired, mismatched, broken or missing files are reported, and the last good pair goes on serving."""
    files.issue(ca)
    serving = await serve(config=with_limits(tls=files.tls))
    spoil(files, ca)
    assert (await (await stub(serving, ca)).Generate(PROMPT)).model == "chat"
    assert "certificate_refused" in [name for name, _ in serving.telemetry.events]


@pytest.mark.parametrize("spoil", BAD)
def test_a_bad_certificate_at_the_start_is_a_clear_fault(files, ca, spoil):
    """The server does not come up with a certificate that no client would take, and says which setting it is."""
    files.issue(ca)
    spoil(files, ca)
    with pytest.raises(ServiceError, match=r"server\.tls"):
        CertificateSource(files.tls, FakeTelemetry())


class Pem(bytes):
    def bytes(self) -> bytes:
        return self


@dataclass
class Leaf:
    """What trustme gives, for a name that it cannot write."""

    private_key_pem: Pem
    cert_chain_pems: list[Pem]


def spiffe(ca, uri: str) -> Leaf:
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    authority = x509.load_pem_x509_certificate(pem(ca))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
        .sign(serialization.load_pem_private_key(ca.private_key_pem.bytes(), None), hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Leaf(Pem(private), [Pem(certificate.public_bytes(serialization.Encoding.PEM))])


async def test_mtls_callers_are_known_by_their_names(serve, tmp_path, ca):
    """With mTLS the certificate's names reach the authenticator; an unknown name is UNAUTHENTICATED."""
    files = Files(tmp_path, client_ca=ca)
    files.issue(ca)
    config = with_limits(tls=files.tls).model_copy(update={"auth": Auth(mode=AuthMode.MTLS)})
    serving = await serve(
        config=config,
        authenticator=FakeAuthenticator(
            names={"team.internal": "team", "spiffe://house/team": "by-uri", "common": "by-common-name"}
        ),
    )
    for client, principal in (
        (ca.issue_cert("team.internal"), "team"),
        (spiffe(ca, "spiffe://house/team"), "by-uri"),
        (ca.issue_cert("x.internal", common_name="common"), "by-common-name"),
    ):
        await (await stub(serving, ca, client)).Generate(PROMPT)
        assert serving.admission.entered[-1][1].principal.name == principal
    stranger = await stub(serving, ca, ca.issue_cert("stranger.internal"))
    assert (await refusal(stranger.Generate(PROMPT))).info.reason == "UNAUTHENTICATED"
    assert (await refusal(stranger.StreamGenerate(PROMPT))).info.reason == "UNAUTHENTICATED"


async def test_mtls_demands_a_certificate(serve, tmp_path, ca):
    """A client without one does not get a connection."""
    files = Files(tmp_path, client_ca=ca)
    files.issue(ca)
    serving = await serve(config=with_limits(tls=files.tls))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (await stub(serving, ca)).Generate(PROMPT)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
