from pathlib import Path

import pytest

from pointsman_server.config.load import ConfigError

BAD = "{% for m in messages %}\n{{ m.content }}\n{% endif %}"


def with_template(written: str, *, at: str = "model") -> str:
    """A file with one template, of the model or of its target."""
    target, model = (
        ("", f"    chat_template: {written}\n") if at == "model" else (f", chat_template: {written}", "")
    )
    return (
        "backends:\n  gpu: {provider: vllm, url: http://gpu.example/v1}\n"
        f"models:\n  chat:\n    targets:\n      - {{backend: gpu{target}}}\n{model}"
    )


@pytest.mark.parametrize(("at", "line", "path"), [
    ("model", 7, "models.chat.chat_template.text"),
    ("target", 6, "models.chat.targets[0].chat_template.text"),
])  # fmt: skip
def test_a_template_must_compile(faults, at, line, path):
    """The fault names the line of the key, and the line inside the template."""
    [found] = faults(with_template('{text: "x\\n{{ a b }}"}', at=at))
    assert found[:2] == (line, path)
    assert found[2].startswith("line 2 of the template: ")


def test_a_template_may_be_a_file(loading, tmp_path: Path):
    """It is read at load, watched, and part of what the hash names."""
    file = tmp_path / "chat.jinja"
    text = with_template(f"{{file: {file}, bos_token: <s>, variables: {{enable_thinking: false}}}}")
    file.write_text("{{ messages[0].content }}é")
    loaded = loading(text)
    template = loaded.config.models["chat"].chat_template
    assert loaded.templates.text(template) == "{{ messages[0].content }}é"
    assert (template.bos_token, template.variables) == ("<s>", {"enable_thinking": False})
    assert file in loaded.files
    file.write_text("other")
    assert loading(text).hash != loaded.hash


@pytest.mark.parametrize(("content", "says"), [
    (None, "cannot be read: No such file or directory"),
    (b"\xff", "is not UTF-8 text"),
    (b"x" * (256 * 1024 + 1), "is larger than 256 KiB"),
    (BAD.encode(), "line 3 of the template: "),
])  # fmt: skip
def test_a_file_without_a_usable_template_is_a_fault(faults, tmp_path: Path, content, says):
    """Missing, too large, no text, or a template that does not compile."""
    file = tmp_path / "chat.jinja"
    if content is not None:
        file.write_bytes(content)
    [(line, path, message)] = faults(with_template(f"{{file: {file}}}"))
    assert (line, path) == (7, "models.chat.chat_template.file")
    assert says in message


@pytest.mark.parametrize(("written", "path"), [
    ("{}", "models.chat.chat_template"),
    ("{text: a, file: b}", "models.chat.chat_template"),
    ("{text: a, variables: {no-name: 1}}", "models.chat.chat_template.variables.no-name"),
    ("{text: a, bos: b}", "models.chat.chat_template.bos"),
    ("x", "models.chat.chat_template"),
])  # fmt: skip
def test_a_template_is_written_in_one_place(faults, written, path):
    """Either as text or as a file, and nothing else beside its words."""
    assert [found[1] for found in faults(with_template(written))] == [path]


def test_all_unusable_templates_are_told_at_once(loading):
    """As every other fault is."""
    text = with_template('{text: "{{"}', at="target") + '    chat_template: {text: "{%"}\n'
    with pytest.raises(ConfigError) as caught:
        loading(text)
    assert len(caught.value.faults) == 2
