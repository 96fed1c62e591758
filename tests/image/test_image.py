"""The image that the Dockerfile makes: what is in it, and what it does with all rights taken away."""

import asyncio
import json
import subprocess
import tomllib
from collections.abc import Sequence

import pytest

from pointsman import AsyncClient
from tests.e2e.parts import get, until
from tests.fakes.tokenizer import make_tokenizer, save
from tests.image.building import ENVIRONMENT, ROOT, base, build, exists, inspect, run
from tests.image.container import STRICT, Container
from tools.go_tools import there

LIMIT_BYTES = 150 * 1000 * 1000
"""Beyond the base."""
SLOW = {
    "backends": {"sim": {"provider": "simulator", "simulator": {"output_tokens": 40, "tokens_per_s": 10}}},
    "models": {"slow": {"targets": [{"backend": "sim"}]}},
}


@pytest.fixture
async def container(image, tmp_path):
    """One that serves the model `slow`: 40 tokens in 4 s."""
    started = Container(image, tmp_path, SLOW)

    async def ready() -> bool:
        running = run("podman", "inspect", "--format={{.State.Running}}", started.name).strip() == "true"
        assert running, started.logs()
        try:
            return bool(await asyncio.to_thread(get, f"http://127.0.0.1:{started.ops}/readyz"))
        except OSError:
            return False

    try:
        await until("the container is ready", ready)
        yield started
    finally:
        started.remove()


def test_it_is_small(image):
    """Less than 150 MB beyond its base."""
    beyond = inspect(image)["Size"] - inspect(base())["Size"]
    print(f"{beyond / 1e6:.1f} MB beyond {base()}")  # noqa: T201 -- for who updates the README
    assert beyond < LIMIT_BYTES


def test_it_says_what_it_is(image):
    """Labels, user, signal and program."""
    known = inspect(image)
    config, labels = known["Config"], known["Labels"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    revision = run("git", "rev-parse", "HEAD").strip()
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}version"] == project["version"]
    assert labels[f"{prefix}revision"] == revision
    assert labels[f"{prefix}licenses"] == project["license"]
    assert labels[f"{prefix}base.name"] == base()
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert config["Entrypoint"] == ["pointsman-server"]
    assert config["Cmd"] == ["serve"]


def _listing(image: str, *find: str) -> list[str]:
    """What `find` finds inside."""
    command = [
        "podman",
        "run",
        "--rm",
        "--user=0",
        "--network=none",
        "--entrypoint=find",
        image,
        "/",
        "-xdev",
        *find,
    ]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout.split()


def test_nothing_in_it_builds_or_installs(image):
    """No compiler, no installer of Python packages, no source tree, no tests of ours."""
    programs = ("gcc*", "cc", "c++", "g++*", "make", "ld", "git", "pip", "pip3*")
    assert _listing(image, "-type", "f", "-perm", "/111", *_any_of(programs)) == []
    assert (
        _listing(image, "-type", "d", "-path", "*-packages/*", *_any_of(("pip", "setuptools", "wheel"))) == []
    )
    assert _listing(image, "-path", "/opt/*", *_any_of(("conftest.py", "Makefile", "Dockerfile"))) == []


def _any_of(names: Sequence[str]) -> list[str]:
    """The condition that a file has one of these names."""
    return ["(", *[part for name in names for part in ("-o", "-name", name)][1:], ")"]


def test_nobody_but_root_could_change_the_service(image):
    """Files of the service are root's, and for others to read only."""
    assert _listing(image, "-path", "/opt/pointsman*", "-not", "-type", "l", "-perm", "/022") == []
    assert _listing(image, "-path", "/opt/pointsman*", "-not", "-user", "0") == []


def test_all_of_it_is_compiled(image):
    """The file system is read-only, so what is not compiled would be compiled anew at each start."""
    sources = _listing(image, "-path", "/opt/pointsman/lib/*/pointsman*", "-name", "*.py", "-not", "-empty")
    compiled = _listing(image, "-path", "/opt/pointsman/lib/*/pointsman*", "-name", "*.pyc")
    assert len(sources) > 100
    assert len(compiled) >= len(sources)


async def test_it_answers_without_rights_and_without_a_place_to_write(container):
    """Read-only file system, no capability, no privilege to gain, an unknown user, 256 MB."""
    async with AsyncClient(container.target) as client:
        answer = await client.generate("hello", model="slow", timeout_s=30)
    assert answer.usage.output_tokens == 40
    assert container.execute("id", "-u").stdout.strip() == "10001"
    for place in ("/tmp/a", "/opt/pointsman/a", "/run/a", "/var/tmp/a"):
        assert "Read-only" in container.execute("touch", place).stderr
    status = container.execute("cat", "/proc/1/status").stdout
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


async def test_told_to_go_it_finishes_fifty_streams(container):
    """SIGTERM reaches the server itself, which lets all streams in flight come to their end, and exits with 0."""
    begun: asyncio.Queue[None] = asyncio.Queue()

    async def one(client: AsyncClient) -> int:
        async with client.stream("go", model="slow", timeout_s=50) as stream:
            text = ""
            async for event in stream:
                if event.text and not text:
                    begun.put_nowait(None)
                text += event.text
        return len(text.split())

    async with AsyncClient(container.target) as client:
        streams = [asyncio.create_task(one(client)) for _ in range(50)]
        for _ in streams:
            await begun.get()
        container.terminate()
        assert await asyncio.gather(*streams) == [40] * 50
    assert await asyncio.to_thread(container.ended) == 0
    assert '"event":"stopped"' in container.logs()


def test_it_reads_tokenizer_files(image, tmp_path):
    """Their library is there, and brings along nothing that could fetch any."""
    save(make_tokenizer(), tmp_path / "tokenizer.json")
    model = {"targets": [{"backend": "simulator"}], "tokenizer": {"file": "/etc/pointsman/tokenizer.json"}}
    config = {"backends": {"simulator": {"provider": "simulator"}}, "models": {"chat": model}}
    (tmp_path / "pointsman.yaml").write_text(json.dumps(config))
    tmp_path.chmod(0o755)
    command = [
        "podman",
        "run",
        "--rm",
        "--network=none",
        *STRICT,
        f"--volume={tmp_path}:/etc/pointsman:ro",
        image,
    ]
    told = run(*command, "check-config", "/etc/pointsman/pointsman.yaml")
    assert "good: 1 model(s)" in told
    assert not _listing(image, "/opt/pointsman", "-iname", "huggingface*")


def test_without_a_configuration_it_says_so(image):
    """It does not serve a simulator to the world by accident."""
    command = ["podman", "run", "--rm", "--network=none", *STRICT, image]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr


async def test_the_command_line_client_is_in_it(image, container):
    """What `helm test` runs."""
    how = ["podman", "run", "--rm", "--network=host", *STRICT, "--entrypoint=pointsman", image]
    ask = ["chat", "--target", container.target, "--model", "slow", "--max-tokens", "2", "hello"]
    done = await asyncio.to_thread(
        subprocess.run, [*how, *ask], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["hello:0", "hello:1"]


def test_the_same_tree_gives_the_same_layers(image):
    """Built a second time from nothing, every layer has the same digest."""
    again = "localhost/pointsman:test-again"
    build(again, "--no-cache")
    assert inspect(again)["RootFS"]["Layers"] == inspect(image)["RootFS"]["Layers"]
    run("podman", "rmi", again)
    assert not exists(again)


def test_the_bill_of_materials_names_what_is_locked(image, tmp_path):
    """Every third party of the lock with its version, and the packages of the base. `make sbom` builds syft."""
    if not there("syft"):
        pytest.skip("syft is not there: `make sbom` builds it, in five minutes")
    file = tmp_path / "sbom.json"
    run("python3", "tools/image.py", "sbom", "--tag", image, file)
    parts = {
        (part["name"].lower().replace("_", "-"), part["version"])
        for part in json.loads(file.read_text())["components"]
    }
    locked = [
        line.split(" ")[0]
        for lock in ("service", "tokenizers")
        for line in (ROOT / f"requirements/{lock}.txt").read_text().splitlines()
        if "==" in line
    ]
    missing = [line for line in locked if tuple(line.lower().replace("_", "-").split("==")) not in parts]
    assert missing == []
    assert any(name == "libc6" for name, _ in parts)
