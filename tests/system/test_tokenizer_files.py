"""CountTokens with a tokenizer file: what is exact, what is an estimate, and who counts before it."""

import asyncio
import json

import pytest

from pointsman import (
    DeadlineExceeded,
    InvalidRequest,
    PointsmanError,
    assistant,
    developer,
    image,
    system,
    user,
)
from pointsman import v1 as pb
from tests.fakes.replies import json_reply
from tests.fakes.running_app import backend_at, until
from tests.fakes.tokenizer import CHATML, counted, make_tokenizer, save

QUESTION = [system("Be brief."), user("What is two plus two?")]
RENDERED = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is two plus two?<|im_end|>\n"
    "<|im_start|>assistant\n"
)
WEATHER = {"name": "weather", "description": "of a city", "parameters": {"type": "object", "properties": {}}}
TGI = {"provider": "tgi", "url": "http://127.0.0.1:9"}
CHAT = {"provider": "openai_compatible", "url": "http://127.0.0.1:9/v1"}
TURNS = {"provider": "openai", "url": "http://127.0.0.1:9/v1"}
"""Takes no prompt."""
IDS = {"provider": "sglang", "url": "http://127.0.0.1:9/v1"}


@pytest.fixture
def file(tmp_path):
    return save(make_tokenizer(), tmp_path / "tokenizer.json")


def settings(file, *backends, template=CHATML, **more):
    backends = dict(zip("abc", backends or (CHAT,), strict=False))
    model = {"targets": [{"backend": name} for name in backends], "tokenizer": {"file": str(file)}, **more}
    if template:
        model["chat_template"] = {"text": template}
    return {"backends": backends, "models": {"chat": model}}


def told(count):
    return count.input_tokens, count.exact, count.backend


@pytest.mark.parametrize("backend", [CHAT, TGI], ids=["messages", "text"])
async def test_a_conversation_in_the_models_template_is_counted_exactly(start, file, backend):
    """As many tokens as the library says of the text that the template makes; no backend is asked."""
    client = await (await start(settings(file, backend))).client()
    count = await client.count_tokens(QUESTION, model="chat")
    assert told(count) == (counted(RENDERED), True, "")
    assert counted(RENDERED) < len(RENDERED.encode()) // 2


async def test_tools_are_counted_where_they_are_offered(start, file):
    """In the template's words; for a server that takes none, the same question without them, and not as exact."""
    app = await start(settings(file, CHAT))
    plain = RENDERED.replace("<|im_start|>assistant\n", "")
    tool = {"type": "function", "function": WEATHER}
    count = await (await app.client()).count_tokens(QUESTION, model="chat", tools=[WEATHER])
    assert told(count) == (counted(plain + json.dumps([tool]) + "<|im_start|>assistant\n"), True, "")
    forbidden = await (await app.client()).count_tokens(
        QUESTION, model="chat", tools=[WEATHER], tool_choice="none"
    )
    assert told(forbidden) == (counted(RENDERED), True, "")
    other = await start(settings(file, TGI))
    without = await (await other.client()).count_tokens(QUESTION, model="chat", tools=[WEATHER])
    assert told(without) == (counted(RENDERED), False, "")


@pytest.mark.parametrize(("backend", "exact"), [(TGI, True), (TURNS, False)], ids=["text", "messages"])
async def test_a_prompt_is_counted_exactly_where_it_is_one(start, tmp_path, backend, exact):
    """With the tokenizer's special tokens, as servers add them; who takes no prompt says it as a user, in words of its
    own.
    """
    file = save(make_tokenizer(begins=True), tmp_path / "tokenizer.json")
    client = await (await start(settings(file, backend, template=""))).client()
    count = await client.count_tokens(prompt="What is two plus two?", model="chat")
    assert told(count) == (counted("What is two plus two?") + 1, exact, "")
    empty = await client.count_tokens(prompt="two", model="chat")
    assert empty.input_tokens == counted("two") + 1


async def test_tokens_are_counted_as_they_are(start, file):
    """Without the tokenizer's saying anything."""
    client = await (await start(settings(file, IDS))).client()
    assert told(await client.count_tokens(token_ids=[1, 2, 3], model="chat")) == (3, True, "")


async def test_without_a_template_texts_are_counted_and_the_rest_is_estimated(start, file):
    """Four tokens around each message."""
    client = await (await start(settings(file, template=""))).client()
    count = await client.count_tokens(QUESTION, model="chat")
    words = counted("Be brief.") + counted("What is two plus two?")
    assert told(count) == (words + 2 * 4, False, "")


@pytest.mark.parametrize(
    ("question", "more"),
    [
        ([user("What is two plus two?", image("https://pictures.example/a.png"))], {}),
        ([developer("Be brief."), user("What?")], {}),
        ([user("What?"), assistant("Four")], {}),
        ([user("one", "two")], {}),
        (QUESTION, {"reasoning": {"effort": "high"}}),
        (QUESTION, {"provider_options": {"openai_compatible": {"body": {"chat_template_kwargs": {"a": 1}}}}}),
    ],
    ids=["image", "developer", "continued", "two texts", "reasoning", "options"],
)
async def test_what_servers_write_in_their_own_way_is_an_estimate(start, file, question, more):
    """The tokens are still counted, and not from the length of the texts."""
    client = await (await start(settings(file))).client()
    count = await client.count_tokens(question, model="chat", **more)
    assert not count.exact
    assert count.input_tokens >= counted("What?")


async def test_a_picture_is_counted_as_an_estimate_does(start, file):
    """512 tokens each, beside the words."""
    client = await (await start(settings(file))).client()
    picture = image("https://pictures.example/a.png")
    with_it = await client.count_tokens([user(picture)], model="chat")
    bare = "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"
    assert told(with_it) == (512 + counted(bare), False, "")


async def test_a_target_with_a_template_of_its_own_leaves_an_estimate(start, file):
    """What is counted is the model's template, which is not that target's."""
    written = settings(file, CHAT, CHAT)
    written["models"]["chat"]["targets"][1]["chat_template"] = {"text": "{{ messages[0].content }}"}
    client = await (await start(written)).client()
    assert told(await client.count_tokens(QUESTION, model="chat")) == (counted(RENDERED), False, "")


@pytest.mark.parametrize(("special", "more", "exact"), [(None, 0, False), (False, 0, True), (True, 1, True)])
async def test_special_tokens_around_a_conversation_are_the_configurations_to_tell(
    start, tmp_path, special, more, exact
):
    """Servers of text put them there, chat routes do not; unsaid, the count is an estimate."""
    file = save(make_tokenizer(begins=True), tmp_path / "tokenizer.json")
    written = settings(file)
    written["models"]["chat"]["tokenizer"]["special_tokens"] = special
    client = await (await start(written)).client()
    count = await client.count_tokens(QUESTION, model="chat")
    assert told(count) == (counted(RENDERED) + more, exact, "")


async def test_truncation_and_padding_of_the_file_do_not_count(start, tmp_path):
    """A model's training may have left them there; a long text is not cut, a short one not filled up."""
    file = save(make_tokenizer(cut_to=64), tmp_path / "tokenizer.json")
    client = await (await start(settings(file, TGI))).client()
    for text in ("two", "two plus two is four. " * 100):
        assert told(await client.count_tokens(prompt=text, model="chat")) == (counted(text), True, "")


async def test_a_conversation_that_the_template_refuses_is_refused(start, file):
    """As `Generate` would refuse it; the field is named from the request on."""
    template = "{{ raise_exception('no system here') }}"
    client = await (await start(settings(file, template=template))).client()
    with pytest.raises(InvalidRequest) as caught:
        await client.count_tokens(QUESTION, model="chat")
    assert [violation.field for violation in caught.value.field_violations] == ["request.conversation"]
    assert "no system here" in str(caught.value)


async def test_a_backend_that_counts_goes_first(start, provider, file):
    """The file is for when there is none."""
    provider.handler = lambda _: json_reply({"count": 17})
    vllm = {"provider": "vllm", "url": f"{provider.url}/v1"}
    client = await (await start(settings(file, CHAT, vllm))).client()
    assert told(await client.count_tokens(QUESTION, model="chat")) == (17, True, "b")


async def test_the_file_counts_where_backends_fail_to_if_it_is_as_good(start, provider, file):
    """Exactly, or not at all: an estimate is not what a backend would have said."""
    provider.handler = lambda _: json_reply({"error": "down"}, status=503)
    vllm = {"provider": "vllm", "url": f"{provider.url}/v1"}
    client = await (await start(settings(file, vllm))).client()
    assert told(await client.count_tokens(QUESTION, model="chat")) == (counted(RENDERED), True, "")
    assert provider.requests
    with pytest.raises(PointsmanError) as caught:
        await client.count_tokens([*QUESTION, assistant("Four")], model="chat")
    assert caught.value.reason.startswith("UPSTREAM_")


async def test_a_megabyte_is_counted_exactly_and_more_in_pieces(start, file):
    """Nothing is cut off; beyond a MiB a count may be some tokens off, and says so."""
    client = await (await start(settings(file, TGI))).client()
    text = "The quick brown fox jumps over the lazy dog. " * 22_000
    count = await client.count_tokens(prompt=text, model="chat")
    whole = counted(text)
    assert told(count) == (whole, True, "")
    longer = await client.count_tokens(prompt=text * 2, model="chat")
    assert not longer.exact
    assert abs(longer.input_tokens - 2 * whole) <= 32


async def test_others_are_served_while_a_long_text_is_counted(start, provider, file):
    """Counting leaves the loop free, and a caller that goes away ends it."""
    provider.handler = lambda _: json_reply({"data": []})
    app = await start(settings(file, TGI))
    client = await app.client()
    await client.count_tokens(prompt="two", model="chat")
    app.remember_tasks()
    long = asyncio.create_task(client.count_tokens(prompt="a b" * 3_000_000, model="chat"))
    await until("it is counting", lambda: app.app.gate.in_flight)
    assert (await client.count_tokens(prompt="two", model="chat")).exact
    assert not long.done()
    long.cancel()
    await until("it is let go of", lambda: not app.app.gate.in_flight)
    await app.settled()


async def test_the_deadline_ends_a_count(start, file):
    """With the reason that every other call has."""
    app = await start(settings(file, TGI))
    client = await app.client()
    await client.count_tokens(prompt="two", model="chat")
    app.remember_tasks()
    with pytest.raises(DeadlineExceeded):
        await client.count_tokens(prompt="a b" * 3_000_000, model="chat", timeout_s=0.3)
    await app.settled()


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "\ud7ff\ue000\U0010ffff",
        "<|im_end|><|im_start|>",
        "\N{COMBINING ACUTE ACCENT}" * 5000,
        " " * 100_000,
    ],
    ids=["nul", "edges", "marks", "accents", "blanks"],
)
async def test_odd_texts_are_counted_as_the_library_does(start, file, text):
    """Marks included: a prompt is not searched for them."""
    client = await (await start(settings(file, TGI))).client()
    assert told(await client.count_tokens(prompt=text, model="chat")) == (counted(text), True, "")


async def test_calls_of_tools_and_their_results_are_counted(start, file):
    """As the template writes them: arguments as an object, results as turns of their own."""
    client = await (await start(settings(file))).client()
    call = pb.ToolCall(id="1", name="weather", arguments_json='{"city":"Oulu"}')
    result = pb.ToolResult(tool_call_id="1", parts=[pb.Part(text="8 C")])
    question = [
        user("How warm?"),
        pb.Message(role=pb.ROLE_ASSISTANT, parts=[pb.Part(tool_call=call)]),
        pb.Message(role=pb.ROLE_TOOL, parts=[pb.Part(tool_result=result)]),
    ]
    rendered = (
        "<|im_start|>user\nHow warm?<|im_end|>\n<|im_start|>assistant\n"
        '{"name": "weather", "arguments": {"city": "Oulu"}}<|im_end|>\n'
        "<|im_start|>tool\n8 C<|im_end|>\n<|im_start|>assistant\n"
    )
    assert told(await client.count_tokens(question, model="chat")) == (counted(rendered), True, "")


async def test_another_file_counts_from_the_reload_on(start, tmp_path):
    """It is noticed when it changes; a broken one changes nothing, and is told of."""
    file = save(make_tokenizer(), tmp_path / "tokenizer.json")
    app = await start(settings(file, TGI))
    client = await app.client()
    text = "The quick brown fox jumps over the lazy dog."

    async def counts(size):
        count = await client.count_tokens(prompt=text, model="chat")
        return count.exact and count.input_tokens == counted(text, size=size)

    assert await counts(320)
    file.write_text("{}")
    await until(
        "the refusal is counted", lambda: app.metric("pointsman_config_reloads_total", result="refused")
    )
    assert "models.chat.tokenizer.file, line" in (await app.logged(event="config_refused"))["fault"]
    assert await counts(320)
    assert counted(text, size=265) != counted(text)
    save(make_tokenizer(265), file)
    await until("the other file counts", lambda: counts(265))


async def test_a_model_without_a_tokenizer_is_estimated_beside_one_that_has_it(start, provider, file):
    """Each model for itself."""
    written = settings(file)
    written["backends"]["plain"] = backend_at(provider)
    written["models"]["plain"] = {"targets": [{"backend": "plain"}]}
    client = await (await start(written)).client()
    assert not (await client.count_tokens(QUESTION, model="plain")).exact
    assert (await client.count_tokens(QUESTION, model="chat")).exact
