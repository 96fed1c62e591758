import os
import re
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import trustme
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from pointsman import v1
from pointsman.errors import BY_REASON
from pointsman.params import Cache, GenerateParams, Reasoning, Routing, StreamOptions
from tests.fakes.service import Fail, serving, whole

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / name for name in ("client.md", "streams.md", "errors.md")]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(name, target, **environ):
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / name],
        env={**os.environ, "POINTSMAN_TARGET": target, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_the_first_example_answers(fake):
    """A text, and what it took."""
    assert run("quickstart.py", fake.target) == ["You said: Why is the sky blue?", "fake-a 12 stop"]


def test_the_stream_example_streams(fake):
    """The text, and what it took."""
    assert run("stream.py", fake.target) == ["You said: Why is the sky blue?", "7 tokens from fake-a"]


def test_the_asyncio_example_asks_twice(fake):
    """Two answers over one connection."""
    lines = run("async_stream.py", fake.target)
    assert lines[2:] == ["You said: Why is the sky blue?", "You said: Why is grass green?"]


def test_the_conversation_example_remembers(fake):
    """The second question is asked with the first and its answer."""
    run("conversation.py", fake.target)
    assert [len(seen.request.conversation.messages) for seen in fake.seen] == [2, 4, 2]
    assert fake.seen[0].request == fake.seen[2].request


def test_the_tool_example_calls_and_goes_on(fake):
    """The model's call is carried out, and its result sent back with the call."""
    asked = whole("")
    asked.candidates[0].message.parts[0].tool_call.CopyFrom(
        v1.ToolCall(id="c1", name="weather", arguments_json='{"city": "Oslo"}')
    )
    fake.script(asked)
    fake.script(whole("7 degrees"))
    assert run("tools.py", fake.target) == ["calling weather {'city': 'Oslo'}", "7 degrees"]
    roles = [message.role for message in fake.seen[1].request.conversation.messages]
    assert roles == [v1.ROLE_USER, v1.ROLE_ASSISTANT, v1.ROLE_TOOL]


def test_the_schema_example_reads_json(fake):
    """The answer is decoded."""
    fake.script(whole('{"city": "Oslo", "country": "Norway"}'))
    assert run("structured.py", fake.target) == ["Oslo"]
    assert fake.seen[0].request.output_format.HasField("json_schema")


def test_the_error_example_waits_and_asks_again(fake):
    """A rate limit with a wait is waited out."""
    wait = error_details_pb2.RetryInfo(retry_delay=Duration(nanos=1_000_000))
    fake.script(Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, reason="QUOTA_EXCEEDED", details=(wait,)))
    assert run("errors.py", fake.target) == ["You said: Why is the sky blue?"]


def test_the_error_example_tells_what_to_mend(fake):
    """A wrong field is named, and the request id told."""
    violation = error_details_pb2.BadRequest.FieldViolation(field="model", description="unknown")
    bad = error_details_pb2.BadRequest(field_violations=[violation])
    fake.script(Fail(grpc.StatusCode.INVALID_ARGUMENT, reason="INVALID_REQUEST", details=(bad,)))
    lines = run("errors.py", fake.target)
    assert lines[:2] == ["mend model: unknown", "failed: INVALID_REQUEST, may work later: False"]
    assert fake.seen[0].metadata["x-request-id"] in lines[2]


def test_the_example_without_the_client_reads_the_details(fake):
    """Any generated code can read them."""
    fake.script(Fail(grpc.StatusCode.NOT_FOUND, reason="MODEL_NOT_FOUND"))
    assert run("raw_details.py", fake.target) == ["NOT_FOUND MODEL_NOT_FOUND 0:00:00 False"]


def test_the_secure_example_connects(tmp_path):
    """TLS with an authority of one's own, and a key from a file."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    pair = (issued.private_key_pem.bytes(), b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "key").write_text("k-1\n")
    environ = {"POINTSMAN_CA": str(tmp_path / "ca.pem"), "POINTSMAN_API_KEY_FILE": str(tmp_path / "key")}
    with serving(credentials=grpc.ssl_server_credentials([pair])) as fake:
        fake.models = [
            v1.Model(name="small", state=v1.MODEL_STATE_AVAILABLE, capabilities=["MODEL_CAPABILITY_TOOLS"])
        ]
        lines = run("secure.py", fake.target, **environ)
        assert lines == ["small available ['tools']", "order-4711 fake-a"]
        assert fake.seen[0].metadata["authorization"] == "Bearer k-1"


def test_every_example_is_run():
    """None stands here without a test above."""
    source = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES if f'run("{path.name}"' not in source] == []


def _blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_pages_show_is_what_runs(page):
    """Each Python block is, word for word, a piece of an example."""
    examples = [path.read_text(encoding="utf-8") for path in EXAMPLES]
    blocks = _blocks(page)
    assert blocks
    for block in blocks:
        assert any(block in example for example in examples), block


def _rows(page):
    table = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z_]+)` \| `(\w+)` \| `([A-Z_]+)` \| (.+?) \| .+ \|$", table, re.MULTILINE)
    return {reason: (kind, code, again) for reason, kind, code, again in rows}


def test_the_page_on_errors_is_complete_and_right():
    """Every reason of the contract, with its exception and its code."""
    from tests.client.test_errors import CODES

    told = {reason: (kind, code) for reason, (kind, code, _) in _rows("errors.md").items()}
    assert told == {reason: (BY_REASON[reason].__name__, CODES[reason].name) for reason in CODES}


def test_the_page_on_the_client_names_every_option():
    """No option is left out, and none is invented."""
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    section = page.partition("## All options of a call")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section)) - {"TypeError"}
    kinds = (GenerateParams, Reasoning, Routing, Cache, StreamOptions)
    known = {name for kind in kinds for name in kind.__annotations__}
    assert named == known | {"timeout_s", "request_id", "metadata"}
