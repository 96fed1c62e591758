import json

import grpc
import pytest
import trustme
from google.rpc import error_details_pb2

import pointsman
from pointsman.channel import Connection, service_config
from tests.client.conftest import Asynchronous, Blocking
from tests.fakes.service import Fail, frames, serving, whole

C = grpc.StatusCode
BOTH = pytest.mark.parametrize("kind", [Blocking, Asynchronous])
UNREACHED = Fail(C.UNAVAILABLE, "gone")


def options(**given):
    defaults = {
        "tls": None,
        "load_balancing": "round_robin",
        "keepalive_s": 60.0,
        "retries": 4,
        "options": (),
    }
    return dict(Connection("localhost:1", **{**defaults, **given}).channel_options())


def test_the_options_agree_with_the_server():
    """Pings, their bound, message sizes and balancing are those that the server is made for."""
    made = options()
    assert (made["grpc.keepalive_time_ms"], made["grpc.http2.ping_timeout_ms"]) == (60_000, 20_000)
    assert made["grpc.max_send_message_length"] == 20 * 1024 * 1024
    assert made["grpc.max_receive_message_length"] == 128 * 1024 * 1024
    config = json.loads(made["grpc.service_config"])
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    assert config["healthCheckConfig"] == {"serviceName": "pointsman.v1.InferenceService"}


def test_a_callers_option_wins():
    """Whoever knows better says so."""
    assert options(options=(("grpc.keepalive_time_ms", 5),))["grpc.keepalive_time_ms"] == 5


def test_the_core_takes_the_service_config():
    """The core would ignore a broken one silently; a policy that works is shown by the tests below."""
    policy = service_config("round_robin", 4)["methodConfig"][0]["retryPolicy"]
    assert policy["maxAttempts"] == 5
    assert policy["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]
    assert "methodConfig" not in service_config("round_robin", 0)


@pytest.mark.parametrize("retries", [-1, 5])
def test_more_retries_than_the_core_makes_are_refused(retries):
    """The core would lower the number silently."""
    with pytest.raises(ValueError, match="retries: 0 to 4"):
        pointsman.Client("localhost:1", retries=retries)


@pytest.mark.parametrize("code", [C.UNAVAILABLE, C.CANCELLED])
def test_a_call_that_met_a_closing_server_is_made_again(fake, asker, code):
    """UNAVAILABLE and the CANCELLED of a draining replica are retried before anything was received."""
    fake.script(Fail(code, "closing"))
    fake.script(whole("there"))
    assert asker.generate("x", request_id="same").text == "there"
    assert [seen.metadata["x-request-id"] for seen in fake.seen] == ["same", "same"]


def test_a_stream_that_met_a_closing_server_is_begun_again(fake, asker):
    """Streams too, as long as nothing came."""
    fake.script(Fail(C.UNAVAILABLE, "closing"))
    fake.script(*frames("there"))
    assert asker.stream("x").text == "there"


def test_a_stream_is_never_begun_again_after_content(fake, asker):
    """What came stays valid; asking again is the caller's decision."""
    fake.script(*frames("half", complete=False), Fail(C.UNAVAILABLE, "gone"))
    with pytest.raises(pointsman.Unavailable):
        asker.stream("x")
    assert len(fake.seen) == 1


def test_the_servers_pushback_ends_the_policy(fake, asker):
    """What the server has retried itself is not multiplied by the client."""
    fake.script(
        Fail(C.UNAVAILABLE, "tried", reason="UPSTREAM_TIMEOUT", trailers=(("grpc-retry-pushback-ms", "-1"),))
    )
    with pytest.raises(pointsman.Unavailable, match="UPSTREAM_TIMEOUT"):
        asker.generate("x")
    assert len(fake.seen) == 1


def test_the_servers_wait_is_kept_before_the_next_attempt(fake, asker):
    """A refusal with a wait is retried after it."""
    fake.script(
        Fail(C.UNAVAILABLE, "shed", reason="ROUTER_OVERLOADED", trailers=(("grpc-retry-pushback-ms", "1"),))
    )
    fake.script(whole("there"))
    assert asker.generate("x").text == "there"


def test_retries_can_be_turned_off(fake, asker):
    """`retries=0` makes each call once."""
    asker.options = {"retries": 0}
    fake.script(UNREACHED)
    with pytest.raises(pointsman.ConnectionFailed):
        asker.generate("x")
    assert len(fake.seen) == 1


def test_limits_and_mistakes_are_never_retried(fake, asker):
    """Only the two codes are; a rate limit is the caller's to wait for."""
    fake.script(Fail(C.RESOURCE_EXHAUSTED, reason="QUOTA_EXCEEDED"))
    with pytest.raises(pointsman.RateLimited):
        asker.generate("x")
    assert len(fake.seen) == 1


@pytest.fixture
def closed_target():
    """An address where nobody listens any more."""
    with serving() as fake:
        return fake.target


@BOTH
def test_a_server_that_is_not_there_is_a_failed_connection(kind, closed_target):
    """After its retries the call fails with a class and the caller's id, long before its deadline."""
    with pytest.raises(pointsman.ConnectionFailed) as caught:
        kind(closed_target, {"retries": 1}).generate("x", request_id="r", timeout_s=60)
    assert (caught.value.retryable, caught.value.request_id) == (True, "r")


@BOTH
def test_waiting_for_a_server_ends_with_the_deadline(kind, closed_target):
    """`wait_for_ready` waits for a server to come, and no longer than the deadline."""
    with pytest.raises(pointsman.DeadlineExceeded):
        kind(closed_target, {"wait_for_ready": True}).generate("x", timeout_s=0.2)


@BOTH
def test_calls_go_where_the_server_is_healthy(kind):
    """A replica that says NOT_SERVING gets no new calls, though it still listens."""
    with serving(address="127.0.0.1:0") as well, serving(address="127.0.0.1:0") as draining:
        draining.on_health(False)
        both = kind(f"ipv4:{well.target},{draining.target}")
        for _ in range(3):
            both.generate("x", timeout_s=30)
        assert (len(well.seen), len(draining.seen)) == (3, 0)


def test_calls_spread_over_replicas():
    """Round robin uses every address."""
    with serving(address="127.0.0.1:0") as a, serving(address="127.0.0.1:0") as b:
        # The first calls may find only one connection ready, so ask until both were met.
        with pointsman.Client(f"ipv4:{a.target},{b.target}", wait_for_ready=True) as client:
            for _ in range(1000):
                client.generate("x")
                if a.seen and b.seen:
                    break
        assert a.seen
        assert b.seen


def test_details_are_no_larger_than_metadata_may_be(fake, asker):
    """A failure with 3 KiB of details arrives whole."""
    long = error_details_pb2.ResourceInfo(resource_name="m" * 3000)
    fake.script(Fail(C.NOT_FOUND, reason="MODEL_NOT_FOUND", details=(long,)))
    with pytest.raises(pointsman.ModelNotFound) as caught:
        asker.generate("x")
    assert len(caught.value.details.resource) == 3000


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def _credentials(authority, *, mutual):
    issued = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    roots = authority.cert_pem.bytes()
    return grpc.ssl_server_credentials(
        [(issued.private_key_pem.bytes(), chain)],
        root_certificates=roots if mutual else None,
        require_client_auth=mutual,
    )


@BOTH
def test_a_connection_can_be_encrypted(kind, authority, tmp_path):
    """With an authority of one's own, from a file; the key then travels without a word."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    with serving(credentials=_credentials(authority, mutual=False)) as fake:
        options = {"tls": pointsman.TlsConfig(ca=path), "api_key": "k"}
        assert kind(fake.target, options).generate("x").text == "You said: x"
        assert fake.seen[0].metadata["authorization"] == "Bearer k"


@BOTH
def test_a_caller_can_show_a_certificate(kind, authority):
    """Mutual TLS, with the certificates as bytes."""
    issued = authority.issue_cert("caller.internal")
    tls = pointsman.TlsConfig(
        ca=authority.cert_pem.bytes(),
        cert=issued.cert_chain_pems[0].bytes(),
        key=issued.private_key_pem.bytes(),
    )
    with serving(credentials=_credentials(authority, mutual=True)) as fake:
        assert kind(fake.target, {"tls": tls}).generate("x").text == "You said: x"
        with pytest.raises(pointsman.ConnectionFailed):
            kind(fake.target, {"tls": pointsman.TlsConfig(ca=tls.ca), "retries": 0}).generate("x")


@BOTH
def test_a_server_of_another_authority_is_refused(kind, authority):
    """The system's authorities do not know this one."""
    with serving(credentials=_credentials(authority, mutual=False)) as fake:
        with pytest.raises(pointsman.ConnectionFailed):
            kind(fake.target, {"tls": True, "retries": 0}).generate("x")
        assert not fake.seen


def test_the_name_in_the_certificate_can_be_given(authority):
    """For connections by address, or through a tunnel."""
    with serving(credentials=_credentials(authority, mutual=False), address="127.0.0.1:0") as fake:
        tls = pointsman.TlsConfig(ca=authority.cert_pem.bytes(), server_name="localhost")
        with pointsman.Client(fake.target, tls=tls) as client:
            assert client.generate("x").text == "You said: x"


def test_half_a_client_certificate_is_refused():
    """A certificate without its key, or the other way round, is a mistake."""
    with pytest.raises(ValueError, match="both cert and key"):
        pointsman.TlsConfig(cert=b"x")


def test_a_tls_configuration_shows_no_key():
    """Its representation holds neither key nor certificate."""
    assert "PRIVATE" not in repr(pointsman.TlsConfig(cert=b"PRIVATE", key=b"PRIVATE"))
