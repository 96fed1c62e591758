"""Long conversations, cut to their model's window on the way."""

import pytest

from pointsman import DeadlineExceeded, assistant, system, tool_result, user
from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.replies import hang_before_headers, json_reply
from tests.fakes.running_app import backend_at, model_over, one_model
from tests.fakes.tokenizer import make_tokenizer, save
from tests.system.asking import BOTH, ask

LONG = [system("brief"), user("first"), assistant("one"), user("second"), assistant("two"), user("third")]


def settings(provider, context, **models):
    return {
        "backends": {"only": backend_at(provider)},
        "models": {"chat": model_over("only", context=context), **models},
    }


def sent(provider, number=-1):
    return [message["content"] for message in provider.requests[number].json()["messages"]]


@BOTH
async def test_it_is_off_by_default(start, provider, stream):
    """Everything is sent, and nothing is reported."""
    provider.handler = chat.as_asked
    answer = await ask(await (await start(one_model(provider))).client(), LONG, stream=stream)
    assert len(sent(provider)) == len(LONG)
    assert not answer.warnings


@BOTH
async def test_the_last_turns_are_sent_and_the_caller_is_told(start, provider, stream):
    """System words stay; a warning says how much was left out."""
    provider.handler = chat.as_asked
    app = await start(settings(provider, {"keep_turns": 1}))
    answer = await ask(await app.client(), LONG, stream=stream)
    assert sent(provider) == ["brief", "third"]
    [warning] = answer.warnings
    assert (warning.code, warning.field) == ("CONTEXT_TRIMMED", "conversation.messages")
    assert "4 oldest" in warning.message


@pytest.mark.parametrize(("limit", "kept"), [(36, LONG[:1] + LONG[3:]), (51, LONG)], ids=["too long", "fits"])
async def test_a_budget_is_counted_with_the_models_tokenizer(start, provider, tmp_path, limit, kept):
    """Where it has one: of a text that has a token for each letter, so much less fits than is estimated."""
    provider.handler = chat.as_asked
    file = save(make_tokenizer(258), tmp_path / "tokenizer.json")
    written = settings(provider, {"max_input_tokens": limit})
    estimated = await start(written)
    await ask(await estimated.client(), LONG, stream=False)
    assert len(sent(provider)) == len(LONG)
    written["models"]["chat"]["tokenizer"] = {"file": str(file)}
    answer = await ask(await (await start(written)).client(), LONG, stream=False)
    assert sent(provider) == [message.parts[0].text for message in kept]
    assert bool(answer.warnings) == (kept != LONG)


async def test_a_budget_is_counted_within_the_deadline(start, provider, tmp_path):
    """A conversation that takes longer is refused, and asked of nobody."""
    provider.handler = chat.as_asked
    written = settings(provider, {"max_input_tokens": 40})
    written["models"]["chat"]["tokenizer"] = {
        "file": str(save(make_tokenizer(), tmp_path / "tokenizer.json"))
    }
    app = await start(written)
    client = await app.client()
    await client.generate("hello", model="chat")
    app.remember_tasks()
    asked = len(provider.requests)
    with pytest.raises(DeadlineExceeded):
        await client.generate("a b" * 3_000_000, model="chat", timeout_s=0.3)
    assert len(provider.requests) == asked
    await app.settled()


async def test_a_budget_of_tokens(start, provider):
    """Calls and results go together; a short conversation is left alone."""
    provider.handler = chat.as_asked
    app = await start(settings(provider, {"max_input_tokens": 40}))
    client = await app.client()
    call = pb.Message(
        role=pb.ROLE_ASSISTANT, parts=[pb.Part(tool_call=pb.ToolCall(id="c", name="f", arguments_json="{}"))]
    )
    question = [user("look " * 30), call, tool_result("c", "found " * 30), assistant("so"), user("and now?")]
    answer = await ask(client, question, stream=False)
    assert sent(provider) == ["so", "and now?"]
    assert [warning.code for warning in answer.warnings] == ["CONTEXT_TRIMMED"]
    short = await ask(client, LONG, stream=False)
    assert len(sent(provider)) == len(LONG)
    assert not short.warnings


async def test_what_is_dropped_is_summarised(start, provider, other):
    """By a model of its own, whose words stand behind the system's; it is paid for and logged, too."""
    provider.handler = chat.as_asked
    other.handler = lambda _: json_reply(chat.whole("They spoke of one and two."))
    context = {"keep_turns": 1, "summary": {"model": "writer", "max_output_tokens": 99}}
    price = {"input": 1, "output": 1}
    app = await start(
        {
            "backends": {"only": backend_at(provider), "cheap": backend_at(other)},
            "models": {
                "chat": model_over("only", context=context),
                "writer": model_over("cheap", price=price),
            },
        }
    )
    answer = await ask(await app.client(), LONG, stream=False, request_id="r-1")
    head, summary, last = sent(provider)
    assert (head, last) == ("brief", "third")
    assert summary == "Summary of the earlier conversation:\nThey spoke of one and two."
    assert "summary of writer" in answer.warnings[0].message
    asked = other.requests[0].json()
    assert asked["max_tokens"] == 99
    assert asked["messages"][1]["content"] == "user: first\nassistant: one\nuser: second\nassistant: two"
    line = await app.logged(event="call", purpose="summary")
    assert (line["request_id"], line["model"], line["cost_nanos"]) == ("r-1", "writer", 5000)


@pytest.mark.parametrize("failure", ["refused", "empty", "late"])
async def test_without_a_summary_the_call_goes_on(start, provider, other, failure):
    """Its failure costs the caller the summary and nothing else."""
    provider.handler = chat.as_asked
    replies = {
        "refused": json_reply({"error": {"message": "no"}}, status=400),
        "empty": json_reply(chat.whole(" ")),
        "late": hang_before_headers(),
    }
    other.handler = lambda _: replies[failure]
    context = {"keep_turns": 1, "summary": {"model": "writer", "timeout_s": 0.3}}
    app = await start(
        {
            "backends": {"only": backend_at(provider), "cheap": backend_at(other)},
            "models": {"chat": model_over("only", context=context), "writer": model_over("cheap")},
        }
    )
    answer = await ask(await app.client(), LONG, stream=False)
    assert answer.text == "Hello there"
    assert sent(provider) == ["brief", "third"]
    assert "no summary could be made" in answer.warnings[0].message
    await app.settled_calls()
