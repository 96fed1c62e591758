"""Stubs for other languages: generated from the protos, compiled, and used for one streamed call."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.parts import ROOT
from tools.go_tools import ToolMissing, find

SOURCES = Path(__file__).parent / "stubs"
BUF = ROOT / ".venv" / "bin" / "buf"
SIMULATED = {
    "backends": {
        "simulator": {"provider": "simulator", "simulator": {"output_tokens": 3, "tokens_per_s": 100}}
    },
    "models": {"simulator": {"targets": [{"backend": "simulator"}]}},
}
WORDS, ANSWER = "over the wire", "over:0 the:1 wire:2"


async def run(*command, folder, **environment):
    """What a program prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=folder, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


def generate(folder, *, path=""):
    """The stubs, from the protos as they lie in the tree."""
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
    command = [BUF, "generate", ROOT / "protos", "--template", "buf.gen.yaml"]
    subprocess.run(command, cwd=folder, env=environment, check=True)


@pytest.mark.timeout(900)
async def test_go(tmp_path, start_service):
    """protoc-gen-go and protoc-gen-go-grpc, with the google.golang.org/grpc of the day."""
    if not (go := shutil.which("go")):
        pytest.skip("there is no Go toolchain: STUBS FOR GO WERE NOT TRIED")
    try:
        plugins = [find("protoc-gen-go").parent, find("protoc-gen-go-grpc").parent]
    except ToolMissing as error:
        pytest.skip(f"{error}: STUBS FOR GO WERE NOT TRIED")
    folder = shutil.copytree(SOURCES / "go", tmp_path / "go")
    generate(folder, path=":".join(map(str, plugins)))
    await run(go, "build", "-mod=mod", "-o", "caller", ".", folder=folder)
    service = await start_service(SIMULATED)
    assert await run("./caller", service.target, WORDS, folder=folder) == f"{ANSWER}\n"


@pytest.mark.timeout(900)
async def test_typescript(tmp_path, start_service):
    """protoc-gen-es, and gRPC by connect-node."""
    if not (npm := shutil.which("npm")):
        pytest.skip("there is no npm: STUBS FOR TYPESCRIPT WERE NOT TRIED")
    folder = shutil.copytree(SOURCES / "typescript", tmp_path / "typescript")
    try:
        await run(npm, "ci", "--no-audit", "--no-fund", folder=folder)
    except AssertionError as error:
        if "ENOTFOUND" in str(error) or "ECONNREFUSED" in str(error):
            pytest.skip("packages cannot be fetched: STUBS FOR TYPESCRIPT WERE NOT TRIED")
        raise
    generate(folder)
    await run(npm, "run", "build", folder=folder)
    service = await start_service(SIMULATED)
    assert await run("node", "built/main.js", service.target, WORDS, folder=folder) == f"{ANSWER}\n"


async def test_the_descriptor_set_of_a_release(tmp_path, start_service, grpcurl):
    """What `make proto` writes for releases is all that a caller needs where reflection is off."""
    made = tmp_path / "pointsman-v1.binpb"
    python = ROOT / ".venv-proto" / "bin" / "python"
    if not python.exists():
        pytest.skip("`make .venv-proto/.stamp` has not run: THE DESCRIPTOR SET WAS NOT TRIED")
    await run(python, ROOT / "tools/protos.py", "--descriptors", made, folder=ROOT)
    service = await start_service({**SIMULATED, "server": {"reflection": False}})
    request = f'{{"model": "simulator", "prompt": "{WORDS}"}}'
    method = "pointsman.v1.InferenceService/StreamGenerate"
    told = await run(
        grpcurl, "-plaintext", "-protoset", made, "-d", request, service.target, method, folder=tmp_path
    )
    assert "over:0" in told
