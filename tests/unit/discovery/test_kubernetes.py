"""The watching loop against a scripted API server over loopback; time is the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from random import Random

import pytest
import trustme

from pointsman_server.config.schema import Kubernetes, KubernetesDiscovery
from pointsman_server.discovery import kubernetes
from pointsman_server.discovery.backoff import MOST_S
from pointsman_server.discovery.cluster import ClusterAccess, ClusterApi
from pointsman_server.discovery.kubernetes import KubernetesSource
from pointsman_server.errors import Reason
from pointsman_server.transport.aiohttp_transport import AiohttpTransport
from tests.fakes.api_server import ApiServer
from tests.fakes.clock import FakeClock
from tests.fakes.running_app import until
from tests.unit.discovery.slices import endpoint, slice_of

SERVICE = KubernetesDiscovery(type="kubernetes", service="vllm", namespace="models", port="http")

NOBODY = "https://127.0.0.1:1"


class Told:
    """A listener that remembers."""

    def __init__(self):
        self.sets = []
        self.faults = []
        self.heards = 0

    def told(self, endpoints):
        self.sets.append([one.address.partition(":")[0] for one in endpoints])

    def heard(self):
        self.heards += 1

    def failed(self, fault):
        self.faults.append(fault)

    @property
    def now(self):
        return self.sets[-1] if self.sets else None


class Following:
    """A source at work, and the hands to its clock."""

    def __init__(self, server, service=SERVICE, **access):
        config = Kubernetes(**({"api_server": server.url, "token_file": "", "ca_file": ""} | access))
        self.clock = FakeClock(autojump=False)
        self.server = server
        self.told = Told()
        self.made = []
        self._seen = 0
        api = ClusterApi(ClusterAccess.of(config, {}), self._connect, self.clock)
        self._source = KubernetesSource(service, api, self.clock, Random(1))

    def _connect(self, options):
        self.made.append(AiohttpTransport(options, clock=self.clock))
        return self.made[-1]

    async def __aenter__(self):
        self._task = asyncio.create_task(self._source.follow(self.told))
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def knows(self, *addresses):
        await until(f"{addresses} are known", lambda: self.told.now == list(addresses))

    async def watches(self, count=1):
        await until(f"there are {count} watches", lambda: len(self.server.watches) == count)

    async def fails(self):
        """Until it has told another fault, and waits before it tries again."""
        await until("it fails", lambda: len(self.told.faults) > self._seen and self.clock.pending == 1)
        self._seen = len(self.told.faults)

    async def again(self, holds):
        """Let its waits pass until it holds."""

        def passes():
            self.clock.advance(1)
            return holds()

        await until("it holds after some waits", passes, every_s=0.02)


@pytest.fixture
async def server():
    async with ApiServer() as fake:
        yield fake


async def test_slices_are_followed(server):
    """A list, then each change: added, changed, drained, removed; by one watch."""
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.knows("10.0.0.1")
        await following.watches()
        server.put(slice_of("b", endpoint("10.0.0.2")))
        await following.knows("10.0.0.1", "10.0.0.2")
        server.put(slice_of("a"))
        await following.knows("10.0.0.2")
        server.remove("b")
        await following.knows()
        assert [asked.watch for asked in server.asked] == [False, True]
        assert not following.told.faults
    (listed, watched) = server.asked
    assert listed.namespace == "models"
    assert listed.query == {"labelSelector": "kubernetes.io/service-name=vllm", "limit": "500"}
    assert watched.query["resourceVersion"] == "101"
    assert watched.query["allowWatchBookmarks"] == "true"
    assert 300 <= int(watched.query["timeoutSeconds"]) <= 600


async def test_only_the_slices_of_the_service(server):
    """Others of the namespace are not asked for."""
    other = slice_of("other", endpoint("10.0.0.9"))
    other["metadata"]["labels"]["kubernetes.io/service-name"] = "triton"
    server.put(other)
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.knows("10.0.0.1")


async def test_a_long_list_comes_in_pages(server):
    """All pages are read before anything is told, and the watch goes on from the list's version."""
    server.page_size = 2
    for last in range(1, 6):
        server.put(slice_of(f"s{last}", endpoint(f"10.0.0.{last}")))
    async with Following(server) as following:
        await following.knows(*(f"10.0.0.{last}" for last in range(1, 6)))
        await following.watches()
    assert server.lists == 3
    assert len(following.told.sets) == 1
    assert server.asked[-1].query["resourceVersion"] == "105"


async def test_pages_that_expire_are_asked_for_anew(server):
    """An expired token is a real 410: the list begins again, and nothing is told meanwhile."""
    server.page_size = 1
    for last in (1, 2):
        server.put(slice_of(f"s{last}", endpoint(f"10.0.0.{last}")))
    answer = server._list

    def expiring(asked):
        if len(server.asked) == 2:
            server.forget()
        return answer(asked)

    server._list = expiring
    async with Following(server) as following:
        await following.again(lambda: following.told.now == ["10.0.0.1", "10.0.0.2"])
    assert server.lists == 4
    assert not following.told.faults


async def test_a_watch_that_ends_goes_on_from_its_last_version(server):
    """Also what changed in between is told, without another list."""
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.watches()
        server.put(slice_of("b", endpoint("10.0.0.2")))
        await following.knows("10.0.0.1", "10.0.0.2")
        following.clock.advance(59)
        server.end_watches()
        server.put(slice_of("c", endpoint("10.0.0.3")))
        await following.knows("10.0.0.1", "10.0.0.2", "10.0.0.3")
        assert server.asked[-1].query["resourceVersion"] in ("102", "103")
        assert server.lists == 1
        assert not following.told.faults


async def test_a_bookmark_moves_the_version(server):
    """After it a watch goes on from where nothing had changed, which is still kept."""
    async with Following(server) as following:
        await following.watches()
        server.version = 150
        heards = following.told.heards
        server.bookmark()
        await until("it is heard", lambda: following.told.heards > heards)
        following.clock.advance(59)
        server.end_watches()
        await until("it watches again", lambda: server.asked[-1].query.get("resourceVersion") == "150")
        assert server.lists == 1


async def test_a_broken_watch_is_resumed(server):
    """As by a balancer that cuts connections: the endpoints stay, what changed meanwhile is told."""
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.watches()
        server.break_watches()
        await following.fails()
        assert following.told.faults[0].reason is Reason.UPSTREAM_TRUNCATED
        server.put(slice_of("b", endpoint("10.0.0.2")))
        await following.again(lambda: following.told.now == ["10.0.0.1", "10.0.0.2"])
        assert server.lists == 1


@pytest.mark.parametrize(
    "by_status", [False, True], ids=["an event of a watch with status 200", "status 410"]
)
async def test_an_expired_version_leads_to_a_new_list(server, by_status):
    """Either way of telling it; the old endpoints stay until the new list is in, and no change is missed."""
    server.expired_by_status = by_status
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.watches()
        following.clock.advance(59)
        server.slices["a"] = slice_of("a", endpoint("10.0.0.2"))
        server.refuse["list"] = 503
        server.forget()
        server.end_watches()
        await until("it tried to list", lambda: server.lists >= 2 or following.clock.advance(1))
        assert following.told.now == ["10.0.0.1"]
        server.refuse.clear()
        await following.again(lambda: following.told.now == ["10.0.0.2"])
        await following.watches()
        assert [
            fault.reason for fault in following.told.faults if fault.reason is Reason.UPSTREAM_CONFLICT
        ] == []


async def test_a_version_that_always_expires_is_no_busy_loop(server):
    """A list that nothing can go on from: asked for ever less often."""
    server.refuse["watch"] = 410
    times = []
    answer = server._list
    async with Following(server) as following:

        def timed(asked):
            times.append(following.clock.now())
            return answer(asked)

        server._list = timed
        await following.again(lambda: len(times) >= 9)
        assert times[-1] - times[-2] >= MOST_S / 2
        assert not following.told.faults


async def test_silence_leads_to_a_new_list(server):
    """A watch from a version of the future says nothing for ever: no word for 90 s, and all is asked anew."""
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.watches()
        server.restore(50)
        following.clock.advance(59)
        server.end_watches()
        server.slices["a"] = slice_of("a", endpoint("10.0.0.2"))
        await until("it watches from the future", lambda: len(server.asked) == 3 and not server.watches)
        assert server.asked[-1].query["resourceVersion"] == "101"
        following.clock.advance(kubernetes.SILENT_S - 1)
        assert following.told.now == ["10.0.0.1"]
        await following.again(lambda: following.told.now == ["10.0.0.2"])
        assert following.told.faults[0].reason is Reason.UPSTREAM_TIMEOUT
        server.put(slice_of("b", endpoint("10.0.0.3")))
        await following.knows("10.0.0.2", "10.0.0.3")


async def test_a_word_now_and_then_is_enough(server):
    """Bookmarks keep a watch alive for as long as they come."""
    async with Following(server) as following:
        await following.watches()
        for _ in range(4):
            following.clock.advance(kubernetes.SILENT_S - 5)
            heards = following.told.heards
            server.bookmark()
            await until("it is heard", lambda: following.told.heards > heards)  # noqa: B023
        assert not following.told.faults
        assert (len(server.watches), server.lists) == (1, 1)


async def test_a_watch_that_brought_nothing_in_a_minute_is_not_believed(server):
    """It ends in good order, but without a bookmark: what it goes on from may be a version of the future."""
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.watches()
        following.clock.advance(61)
        server.slices["a"] = slice_of("a", endpoint("10.0.0.2"))
        server.end_watches()
        await following.knows("10.0.0.2")
        assert server.lists == 2


async def test_the_server_goes_and_comes_back(server):
    """SIGKILL, nothing listening, then another history: the endpoints stay all the while."""
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.watches()
        await server.kill()
        await following.fails()
        for _ in range(3):
            following.clock.advance(20)
            await following.fails()
        assert following.told.sets == [["10.0.0.1"]]
        assert {fault.reason for fault in following.told.faults} <= {
            Reason.UPSTREAM_TRUNCATED,
            Reason.UPSTREAM_UNREACHABLE,
        }
        server.forget()
        server.slices["b"] = slice_of("b", endpoint("10.0.0.2"))
        await server.start()
        await following.again(lambda: following.told.now == ["10.0.0.1", "10.0.0.2"])
        await following.watches()


@pytest.mark.parametrize(
    ("code", "what"), [(403, "watch"), (403, "list"), (401, "list"), (500, "list"), (429, "watch")]
)
async def test_a_refusal_keeps_what_is_known(server, code, what):
    """The right was taken away, or the server is in trouble: the fault is told, the endpoints stay."""
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.watches()
        server.refuse[what] = code
        server.forget()
        following.clock.advance(59)
        server.end_watches()
        await following.again(lambda: following.told.faults)
        fault = following.told.faults[0]
        assert fault.upstream.http_status == code
        assert following.told.now == ["10.0.0.1"]
        server.refuse.clear()
        server.slices["a"] = slice_of("a", endpoint("10.0.0.2"))
        await following.again(lambda: following.told.now == ["10.0.0.2"])


async def test_who_may_list_and_not_watch_is_told_all_the_same(server):
    """A role without `watch` makes it ask again and again, no oftener than its waits allow."""
    server.refuse["watch"] = 403
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.fails()
        server.slices["a"] = slice_of("a", endpoint("10.0.0.2"))
        await following.again(lambda: following.told.now == ["10.0.0.2"])
        lists = server.lists
        for _ in range(5):
            following.clock.advance(15)
            await following.fails()
        assert server.lists <= lists + 6


async def test_a_named_wait_is_kept(server):
    """429 with Retry-After: not asked again before."""
    server.refuse["list"], server.retry_after_s = 429, 40
    async with Following(server) as following:
        await following.fails()
        following.clock.advance(39)
        assert (server.lists, following.clock.pending) == (1, 1)
        server.refuse.clear()
        following.clock.advance(1)
        await following.knows()
        assert server.lists == 2


@pytest.mark.parametrize("line", [b"no json\n", b'{"type": "ADDED", "object": {}}\n', b'{"type": "ADDED"\n'])
async def test_what_is_not_understood_leads_to_a_new_list(server, line):
    """And what was understood ahead of it is told at once."""
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        await following.watches()
        server.put(slice_of("b", endpoint("10.0.0.2")))
        server.say(line)
        await following.fails()
        assert following.told.now == ["10.0.0.1", "10.0.0.2"]
        assert following.told.faults[0].reason is Reason.UPSTREAM_BAD_RESPONSE
        following.clock.advance(1)
        await until("it lists anew", lambda: server.lists == 2)
        await following.watches()


async def test_events_in_pieces(server):
    """Lines are whole whatever way they are cut."""
    async with Following(server) as following:
        await following.watches()
        (watch,) = server.watches
        server.put(slice_of("a", endpoint("10.0.0.1")))
        await following.knows("10.0.0.1")
        server.put(slice_of("b", endpoint("10.0.0.2")))
        await following.knows("10.0.0.1", "10.0.0.2")
        line = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"777"}}}\n'
        for start in range(0, len(line), 7):
            watch.lines.put_nowait(line[start : start + 7])
        following.clock.advance(59)
        server.end_watches()
        await until("it goes on from there", lambda: server.asked[-1].query.get("resourceVersion") == "777")


async def test_a_watch_that_always_ends_at_once_is_no_busy_loop(server):
    """Something in between that lets no watch live: it is told, and asked ever less often."""
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server) as following:
        for _ in range(4):
            await following.watches()
            server.end_watches()
            await following.fails()
            following.clock.advance(15)
        assert [fault.detail for fault in following.told.faults] == [
            "the API server ended a watch at once"
        ] * 4
        assert following.told.now == ["10.0.0.1"]


async def test_a_port_that_is_not_there_is_told(server):
    """With every sign of life, for it stays wrong until somebody mends it."""
    server.put(slice_of("a", endpoint("10.0.0.1"), ports=[{"name": "metrics", "port": 9000}]))
    async with Following(server) as following:
        await following.knows()
        await following.watches()
        server.bookmark()
        await until("it is told again", lambda: len(following.told.faults) == 2)
        assert following.told.heards == 0
        assert "no TCP port named 'http'; there are metrics" in following.told.faults[0].detail
        server.put(slice_of("a", endpoint("10.0.0.1")))
        await following.knows("10.0.0.1")
        assert following.told.heards == 1


async def test_the_token_is_read_again(server, tmp_path):
    """It is renewed on disk; no request goes out with a stale one, and none is ever told of."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    ca_file, token_file = tmp_path / "ca.crt", tmp_path / "token"
    authority.cert_pem.write_to_path(str(ca_file))
    token_file.write_text("first-token\n")
    async with ApiServer(ssl_context=context) as secured:
        secured.token = "first-token"
        secured.put(slice_of("a", endpoint("10.0.0.1")))
        files = {"token_file": str(token_file), "ca_file": str(ca_file)}
        async with Following(secured, **files) as following:
            await following.watches()
            secured.token = "second-token"
            secured.put(slice_of("b", endpoint("10.0.0.2")))
            await following.knows("10.0.0.1", "10.0.0.2")
            following.clock.advance(59)
            secured.end_watches()
            await following.fails()
            assert following.told.faults[0].reason is Reason.UPSTREAM_CREDENTIALS_INVALID
            assert "token" not in str(following.told.faults[0]).replace("the token", "")
            token_file.write_text("second-token")
            secured.put(slice_of("c", endpoint("10.0.0.3")))
            await following.again(lambda: following.told.now == ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
    assert secured.asked[-1].authorization == "Bearer second-token"


async def test_authorities_are_read_again(server, tmp_path):
    """A cluster whose CA was renewed is trusted as soon as the mounted file says so, and not before."""
    old, new = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    new.issue_cert("localhost").configure_cert(context)
    ca_file = tmp_path / "ca.crt"
    old.cert_pem.write_to_path(str(ca_file))
    async with ApiServer(ssl_context=context) as secured:
        secured.put(slice_of("a", endpoint("10.0.0.1")))
        async with Following(secured, ca_file=str(ca_file)) as following:
            await following.fails()
            assert following.told.faults[0].detail == "no TLS connection to the upstream"
            new.cert_pem.write_to_path(str(ca_file))
            await following.again(lambda: following.told.now == ["10.0.0.1"])


async def test_no_token_goes_out_in_plain_text(server, tmp_path):
    """Over http, as to `kubectl proxy`, nobody is shown one."""
    (tmp_path / "token").write_text("secret")
    server.put(slice_of("a", endpoint("10.0.0.1")))
    async with Following(server, token_file=str(tmp_path / "token")) as following:
        await following.knows("10.0.0.1")
    assert {asked.authorization for asked in server.asked} == {""}


async def test_the_pods_own_namespace(server, tmp_path):
    """Where none is configured the file beside the token says it."""
    (tmp_path / "namespace").write_text("team-a")
    own = KubernetesDiscovery(type="kubernetes", service="vllm")
    async with Following(server, own, token_file=str(tmp_path / "token")) as following:
        await following.knows()
    assert {asked.namespace for asked in server.asked} == {"team-a"}


@pytest.mark.parametrize(
    ("access", "detail"),
    [
        ({"api_server": ""}, "not in a cluster, and kubernetes.api_server is not set"),
        ({"api_server": NOBODY, "token_file": "/nowhere/token"}, "the file /nowhere/token cannot be read"),
        ({"api_server": NOBODY, "ca_file": "/nowhere/ca"}, "the file of authorities /nowhere/ca cannot be used"),
        ({"api_server": "http://127.0.0.1:1"}, "no connection to the upstream"),
    ],
    ids=["nowhere", "no token", "no authorities", "nobody listens"],
)  # fmt: skip
async def test_what_keeps_it_from_asking_is_told(server, access, detail):
    """In words that say what to mend; it goes on trying."""
    async with Following(server, **access) as following:
        await following.fails()
        assert following.told.faults[0].detail == detail
        following.clock.advance(20)
        await until("it tries again", lambda: len(following.told.faults) == 2)


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, ""),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}, "https://10.96.0.1:443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, "https://[fd00::1]:6443"),
        ({"KUBERNETES_SERVICE_HOST": "kubernetes.default", "KUBERNETES_SERVICE_PORT": "x"},
         "https://kubernetes.default:443"),
    ],
)  # fmt: skip
def test_where_a_pod_finds_the_server(environment, url):
    """The environment of every pod says it; the configuration goes before."""
    assert ClusterAccess.of(Kubernetes(), environment).url == url
    written = Kubernetes(api_server="https://10.0.0.1:6443/")
    assert ClusterAccess.of(written, environment).url == "https://10.0.0.1:6443"


async def test_leaving_frees_everything(server):
    """Cancelled in the middle of a watch, it leaves no connection and no timer."""
    async with Following(server) as following:
        await following.watches()
    await until("the watch is gone", lambda: not server.watches)
    assert following.clock.pending == 0
    assert all(transport._pool.closed for transport in following.made)
