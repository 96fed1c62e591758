"""Reflection, for libraries, grpcurl and ghz."""

import asyncio
import json
import shutil

import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.rpc.harness import with_limits

SERVICES = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "pointsman.v1.InferenceService",
    "pointsman.v1.ModelService",
}
VERSIONS = ["v1", "v1alpha"]


async def ask(serving, version, **question):
    channel = await serving.channel()
    method = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    call = method(iter([reflection_pb2.ServerReflectionRequest(**question)]))
    return await call.read()


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_services_are_listed(serving, version):
    """Both versions list what is served, and nothing else."""
    answer = await ask(serving, version, list_services="")
    assert {service.name for service in answer.list_services_response.service} == SERVICES


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "symbol",
    [
        *sorted(SERVICES),
        "pointsman.v1.InferenceService.Generate",
        "pointsman.v1.Delta.text",
        "google.protobuf.Duration",
    ],
)
async def test_symbols_are_found(serving, version, symbol):
    """Services, their methods (which ghz asks for), messages and fields lead to their file."""
    answer = await ask(serving, version, file_containing_symbol=symbol)
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(raw)
        for raw in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert any(symbol.startswith(file.package) for file in files)


@pytest.mark.parametrize(
    "symbol", ["nope", "nope.Nope", "grpc.channelz.v1.Channelz", "pointsman.v1.RouterAdminService"]
)
async def test_what_is_not_served_is_not_told(serving, symbol):
    """Other symbols of the process are not found."""
    answer = await ask(serving, "v1", file_containing_symbol=symbol)
    assert answer.error_response.error_code == 5


async def test_reflection_can_be_off(serve):
    """Without it the service is unknown."""
    serving = await serve(config=with_limits(reflection=False))
    with pytest.raises(Exception, match="UNIMPLEMENTED"):
        await ask(serving, "v1", list_services="")


async def run(*command: str) -> str:
    program = shutil.which(command[0])
    if program is None:
        pytest.skip(f"{command[0]} is not on PATH: THIS CHECK DID NOT RUN")
    process = await asyncio.create_subprocess_exec(
        program, *command[1:], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_grpcurl_lists_describes_and_calls(serving):
    """Grpcurl works without a proto file."""
    address = f"127.0.0.1:{serving.port}"
    assert set((await run("grpcurl", "-plaintext", address, "list")).split()) == SERVICES
    for service in SERVICES:
        assert "service" in await run("grpcurl", "-plaintext", address, "describe", service)
    answer = await run(
        "grpcurl",
        "-plaintext",
        "-d",
        '{"prompt": "x"}',
        address,
        "pointsman.v1.InferenceService/StreamGenerate",
    )
    assert '"completed"' in answer


@pytest.mark.parametrize("method", ["Generate", "StreamGenerate"])
async def test_ghz_finds_its_method(serving, method):
    """Ghz works without a proto file, unary and streaming."""
    report = json.loads(
        await run(
            "ghz",
            "--insecure",
            "--call",
            f"pointsman.v1.InferenceService.{method}",
            "-d",
            '{"prompt": "x"}',
            "-n",
            "20",
            "-c",
            "4",
            "-O",
            "json",
            f"127.0.0.1:{serving.port}",
        )
    )
    assert report["statusCodeDistribution"] == {"OK": 20}
