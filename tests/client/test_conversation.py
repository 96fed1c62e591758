import base64

import pytest

from pointsman import assistant, audio, developer, file, image, system, tool_result, user, v1
from pointsman.conversation import to_conversation

PIXEL = b"\x89PNG"


def one(message):
    [made] = to_conversation([message]).messages
    return made


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ({"role": "user", "content": "hi"}, user("hi")),
        ({"content": "hi"}, user("hi")),
        ({"role": "system", "content": "be brief"}, system("be brief")),
        ({"role": "developer", "content": "be brief"}, developer("be brief")),
        ({"role": "assistant", "content": "hello"}, assistant("hello")),
        ({"role": "user", "content": "hi", "name": "ann"}, user("hi", name="ann")),
        ({"role": "user", "content": ["a", {"type": "text", "text": "b"}]}, user("a", "b")),
        ({"role": "tool", "tool_call_id": "c1", "content": "42"}, tool_result("c1", "42")),
        ({"role": "ROLE_USER", "content": "hi"}, user("hi")),
    ],
)
def test_dictionaries_and_functions_say_the_same(said, made):
    """Each helper has its dictionary, and both give one message of the contract."""
    assert one(said) == made


def test_an_image_comes_in_many_forms():
    """By address, as a `data:` address, as bytes, or nested below `image_url`."""
    by_value = user("what is it?", image(PIXEL, media_type="image/png", detail="low"))
    encoded = base64.b64encode(PIXEL).decode()
    nested = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}", "detail": "low"}}
    flat = {"type": "image", "data": PIXEL, "media_type": "image/png", "detail": "low"}
    assert one({"content": ["what is it?", nested]}) == by_value
    assert one({"content": ["what is it?", flat]}) == by_value
    assert one({"content": [{"type": "image", "url": "https://x/y.png"}]}) == user(image("https://x/y.png"))
    assert by_value.parts[1].image.detail == v1.MEDIA_DETAIL_LOW


def test_local_files_are_read_and_typed_by_their_name(tmp_path):
    """A Path is sent by value, with the media type that its name tells."""
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF")
    part = file(path)
    expected = v1.Media(data=b"%PDF", media_type="application/pdf", filename="report.pdf")
    assert part.file == expected
    assert one({"content": [{"type": "file", "path": path}]}).parts[0].file == expected
    assert audio(b"RIFF", media_type="audio/wav").audio.data == b"RIFF"


def test_media_by_value_needs_a_type():
    """Bytes without a media type would be refused by the server, so they are refused here."""
    with pytest.raises(ValueError, match="media_type"):
        image(PIXEL)


@pytest.mark.parametrize("url", ["data:image/png", "data:image/png;base64,*"])
def test_a_broken_data_address_is_refused(url):
    """A `data:` address that cannot be read is a ValueError."""
    with pytest.raises(ValueError, match="data: address"):
        image(url)


@pytest.mark.parametrize(
    "call",
    [
        {"id": "c1", "name": "weather", "arguments": {"city": "Oslo"}},
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
    ],
)
def test_tool_calls_of_an_earlier_turn_can_be_told_again(call):
    """The model's calls go back in either form, after the text of the turn."""
    made = one({"role": "assistant", "content": "let me see", "tool_calls": [call]})
    expected = v1.ToolCall(id="c1", name="weather", arguments_json='{"city": "Oslo"}')
    assert [part.WhichOneof("content") for part in made.parts] == ["text", "tool_call"]
    assert made.parts[1].tool_call == expected


def test_a_tool_result_may_be_any_value():
    """Text stays text, parts stay parts, everything else becomes JSON."""
    assert tool_result("c", "42").parts[0].tool_result.parts[0].text == "42"
    assert tool_result("c", {"t": 3}).parts[0].tool_result.parts[0].text == '{"t": 3}'
    assert tool_result("c", [1, 2]).parts[0].tool_result.parts[0].text == "[1, 2]"
    shown = tool_result("c", [image("https://x/y.png")], is_error=True).parts[0].tool_result
    assert shown.is_error
    assert shown.parts[0].image.url == "https://x/y.png"


def test_typed_parts_can_be_dictionaries():
    """Reasoning, refusals, calls and results can be told as parts."""
    made = one(
        {
            "role": "assistant",
            "content": [
                {"type": "reasoning", "text": "hm"},
                {"type": "refusal", "refusal": "no"},
                {"type": "tool_call", "id": "c", "name": "f", "arguments": "{}"},
                {"type": "tool_result", "tool_call_id": "c", "content": "1"},
                {"type": "text", "text": "ok", "cache_breakpoint": True},
            ],
        }
    )
    kinds = [part.WhichOneof("content") for part in made.parts]
    assert kinds == ["reasoning", "refusal", "tool_call", "tool_result", "text"]
    assert made.parts[-1].cache_breakpoint


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([{"role": "user", "contnet": "x"}], r"input\[0\] has no 'contnet'"),
        ([{"role": "user", "content": [{"type": "txt"}]}], r"input\[0\].content\[0\]: unknown type 'txt'"),
        ([{"role": "user", "content": [{"type": "text"}]}], r"a 'text' part needs 'text'"),
        ([{"role": "user", "content": [{"type": "text", "text": "x", "y": 1}]}], r"content\[0\] has no 'y'"),
        ([{"role": "user", "content": [{"type": "image"}]}], "exactly one of 'url', 'data' and 'path'"),
        ([{"role": "assistant", "tool_calls": [{"name": "f"}]}], r"tool_calls\[0\]: a tool call needs 'id'"),
        ([{"role": "user", "content": 7}], "expected a text or a list of parts, not int"),
        (["hello"], r"input\[0\]: expected a Message or a mapping, not str"),
        ({"role": "user", "content": "x"}, "expected a text, a list of messages"),
    ],
)
def test_a_mistake_in_a_conversation_is_told_with_its_place(said, words):
    """Whatever cannot be meant is a TypeError that names the message and the part."""
    with pytest.raises(TypeError, match=words):
        to_conversation(said)


def test_an_unknown_role_names_the_known_ones():
    """A wrong role is a ValueError that lists the right ones."""
    with pytest.raises(ValueError, match="'boss' is none of 'system', 'developer', 'user'"):
        to_conversation([{"role": "boss", "content": "x"}])
