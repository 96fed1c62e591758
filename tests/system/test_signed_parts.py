"""What a model made and signed comes back to it, through the whole service and the client."""

import json

from pointsman import tool_result, user
from tests.fakes.eventstream import event
from tests.fakes.replies import Reply, json_reply, stream_reply
from tests.fakes.running_app import model_over
from tests.system.asking import BOTH, ask

SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": "tere"}}
BLOCKS = [
    {"type": "thinking", "thinking": "hm", "signature": "Esig+/=="},
    {"type": "redacted_thinking", "data": "x=="},
    SEARCH,
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "it"}},
]
MESSAGE = {
    "type": "message", "role": "assistant", "id": "msg_1", "model": "m", "content": BLOCKS, "stop_reason": "tool_use",
    "usage": {"input_tokens": 4, "cache_read_input_tokens": 6, "output_tokens": 5},
}  # fmt: skip


def anthropic_stream():
    """The same message in events."""
    events = [{"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}}]
    for index, block in enumerate(BLOCKS):
        begun = {**block, "input": {}} if "input" in block else block
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        if "input" in block:
            piece = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            events.append({"type": "content_block_delta", "index": index, "delta": piece})
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": "tool_use"}
    events += [
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    # The official client reads no event without its name.
    return stream_reply(*(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events))


async def went_on(client, *, stream):
    """The first answer, and what was sent of it with the question after it."""
    first = await ask(client, "look", stream=stream)
    result = tool_result(first.tool_calls[0].id, "nothing", name="look")
    again = await ask(client, [user("look"), first.message, result], stream=stream)
    assert not again.warnings
    return first


@BOTH
async def test_anthropic(start, provider, stream):
    """Thoughts, readable or not, and the provider's own blocks go back unchanged, ahead of the tool's result."""
    provider.script(anthropic_stream() if stream else json_reply(MESSAGE))
    backend = {"provider": "anthropic", "url": provider.url, "credentials": {"secret": {"env": "KEY"}}}
    settings = {"backends": {"only": backend}, "models": {"chat": model_over("only", output_token_limit=700)}}
    app = await start(settings, environment={"KEY": "sk-ant-of-this-test"})
    first = await went_on(await app.client(), stream=stream)
    assert (first.text, first.reasoning, first.finish_reason) == ("I look.", "hm", "tool_calls")
    assert (first.usage.input_tokens, first.usage.cached_input_tokens) == (10, 6)
    asked, went = (request.json() for request in provider.requests)
    assert asked["max_tokens"] == 700
    assert went["messages"][1] == {"role": "assistant", "content": BLOCKS}
    assert [block["type"] for block in went["messages"][2]["content"]] == ["tool_result"]
    assert provider.requests[0].headers["authorization"] == "Bearer sk-ant-of-this-test"
    assert provider.requests[0].headers["anthropic-version"] == "2026-10-21"


CONTENT = [
    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig=="}}},
    {"reasoningContent": {"redactedContent": "eA=="}},
    {"text": "I look."},
    {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": "it"}}},
]
USAGE = {"inputTokens": 4, "outputTokens": 5, "totalTokens": 9}


def bedrock_stream():
    """The same content in messages of the event stream."""
    deltas = [
        {"reasoningContent": {"text": "hm"}}, {"reasoningContent": {"signature": "sig=="}},
        {"reasoningContent": {"redactedContent": "eA=="}}, {"text": "I look."}, {"toolUse": {"input": '{"at": "it"}'}},
    ]  # fmt: skip
    pieces = [event("messageStart", role="assistant")]
    for index, delta in zip((0, 0, 1, 2, 3), deltas, strict=True):
        if index == 3:
            begun = {"toolUse": {"toolUseId": "t1", "name": "look"}}
            pieces.append(event("contentBlockStart", contentBlockIndex=index, start=begun))
        pieces.append(event("contentBlockDelta", contentBlockIndex=index, delta=delta))
    pieces += [event("contentBlockStop", contentBlockIndex=index) for index in range(4)]
    pieces += [event("messageStop", stopReason="tool_use"), event("metadata", usage=USAGE)]
    return Reply(200, {"content-type": "application/vnd.amazon.eventstream"}, tuple(pieces))


@BOTH
async def test_bedrock(start, provider, stream):
    """Signed requests, binary streams, and thoughts that go back."""
    message = {"role": "assistant", "content": CONTENT}
    whole = {"output": {"message": message}, "stopReason": "tool_use", "usage": USAGE}
    provider.script(bedrock_stream() if stream else json_reply(whole))
    names = {"access_key_id": {"env": "ID"}, "secret_access_key": {"env": "SECRET"}}
    credentials = {"type": "sigv4", "region": "us-east-1", **names}
    backend = {"provider": "bedrock", "url": provider.url, "credentials": credentials}
    settings = {"backends": {"only": backend}, "models": {"chat": model_over("only")}}
    app = await start(settings, environment={"ID": "AKIDEXAMPLE", "SECRET": "a-secret-of-this-test"})
    first = await went_on(await app.client(), stream=stream)
    assert (first.text, first.reasoning, first.finish_reason) == ("I look.", "hm", "tool_calls")
    assert first.usage.total_tokens == 9
    went = provider.requests[1].json()
    assert went["messages"][1] == {"role": "assistant", "content": CONTENT}
    assert went["toolConfig"]["tools"][0]["toolSpec"]["name"] == "look"
    assert (
        provider.requests[0].headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    )
    assert provider.requests[0].path == f"/model/chat/converse{'-stream' if stream else ''}"
