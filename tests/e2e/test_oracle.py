"""One tiny model on real engines that have nothing in common: through Pointsman they all say the same bytes."""

import pytest

from tests.e2e import mlserver, oracle, triton
from tests.e2e.parts import Engine

NUMBERS = {
    "streaming": True,
    "finish_reason_output": "finish_reason",
    "input_tokens_output": "input_tokens",
    "output_tokens_output": "output_tokens",
}


async def test_llama_cpp(tiny_files, tmp_path, start_service):
    """By its own tokenizer, template and arithmetic, through chat and through completions."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed here", exc_type=ImportError)
    engine = Engine("tiny", tmp_path, file=tiny_files / "tiny.gguf")
    try:
        await engine.ensure_running()
        config = {"backends": {"one": engine.backend}, "models": {"tiny": oracle.model("one")}}
        service = await start_service(config)
        await oracle.check_answers(service.target, "tiny")
    finally:
        engine.kill()


async def check_both(server, start_service, **backends) -> None:
    """Over HTTP and over gRPC."""
    config = {"backends": backends, "models": {name: oracle.model(name) for name in backends}}
    try:
        await server.ensure_running()
        service = await start_service(config)
        for name in backends:
            await oracle.check_answers(service.target, name)
    finally:
        server.kill()


@pytest.mark.skipif(
    not triton.STAMP.exists(), reason="Triton's wheel is not there: `make .venv-triton/.stamp` installs it"
)
async def test_triton(tiny_files, tmp_path, start_service):
    """Pointsman writes the conversation as text, and the model is a decoupled one."""
    models = oracle.FOLDER / "triton_models"
    server = triton.Triton("tiny", tmp_path, models=models, weights=tiny_files / "tiny.npz")
    backends = {
        name: {**server.backend(name, **NUMBERS), "unary_upstream": "stream"}
        for name in ("triton", "triton_grpc")
    }
    await check_both(server, start_service, **backends)


@pytest.mark.skipif(
    not mlserver.STAMP.exists(), reason="MLServer is not there: `make .venv-mlserver/.stamp` installs it"
)
async def test_mlserver(tiny_files, tmp_path, start_service):
    """Its streams over gRPC are bare responses, and their texts stand in `contents`."""
    models = oracle.FOLDER / "mlserver_models"
    server = mlserver.MLServer("tiny", tmp_path, models=models, weights=tiny_files / "tiny.npz")
    backends = {name: server.backend(name, **NUMBERS) for name in ("kserve", "kserve_grpc")}
    await check_both(server, start_service, **backends)
