import os
import pickle
from pathlib import Path

import pytest

from pointsman_server.config.load import ConfigError, check_config, load
from pointsman_server.config.tokenizers import MAX_PACKED_BYTES, MAX_TOKENIZER_BYTES
from pointsman_server.launch import CHECKS, load_config
from pointsman_server.upstreams.translation.vocabulary import Vocabulary, vocabulary
from tests.fakes.tokenizer import make_tokenizer, save


def with_tokenizers(*files: object) -> str:
    """A file with a model for each."""
    models = "".join(
        f"  m{number}:\n    targets: [{{backend: gpu}}]\n    tokenizer:\n      file: {file}\n"
        for number, file in enumerate(files)
    )
    return f"backends:\n  gpu: {{provider: sglang, url: http://gpu.example/v1}}\nmodels:\n{models}"


@pytest.fixture
def written(tmp_path: Path):
    """A configuration as a file."""

    def do(text: str) -> str:
        path = tmp_path / "pointsman.yaml"
        path.write_text(text)
        return str(path)

    return do


@pytest.fixture
def faults_of(written, capsys):
    """What check-config says of a text."""

    def do(text: str) -> list[str]:
        path = written(text)
        assert check_config(path, environment={}, **CHECKS) == 1
        return [line.removeprefix(f"{path}:") for line in capsys.readouterr().out.splitlines()]

    return do


def test_a_tokenizer_is_read_at_load(written, tmp_path: Path):
    """It is watched, and part of what the hash names; a worker gets all of it but what it must make itself."""
    file = save(make_tokenizer(), tmp_path / "tokenizer.json")
    path = written(with_tokenizers(file, file))
    loaded = load_config(path, {})
    assert loaded.files == (Path(path), file)
    content = loaded.tokenizers.content(loaded.config.models["m0"].tokenizer)
    assert content is loaded.tokenizers.content(loaded.config.models["m1"].tokenizer)
    made = content.parsed(vocabulary)
    assert isinstance(made, Vocabulary)
    there = pickle.loads(pickle.dumps(content, pickle.HIGHEST_PROTOCOL))
    assert there.parsed(vocabulary) is made
    assert len(pickle.dumps(content)) < file.stat().st_size
    save(make_tokenizer(270), file)
    assert load_config(path, {}).hash != loaded.hash


def test_a_reload_parses_what_has_changed_and_nothing_else(written, tmp_path: Path):
    """Parsing stops the whole process for a while."""
    one, two = (save(make_tokenizer(size), tmp_path / f"{size}.json") for size in (320, 270))
    path = written(with_tokenizers(one, two))
    first = load_config(path, {})
    save(make_tokenizer(280), two)
    second = load_config(path, {})
    parsed = [
        [
            loaded.tokenizers.content(model.tokenizer).parsed(vocabulary)
            for model in loaded.config.models.values()
        ]
        for loaded in (first, second)
    ]
    assert [before is after for before, after in zip(*parsed, strict=True)] == [True, False]


@pytest.mark.parametrize(("content", "says"), [
    (None, "cannot be read: No such file or directory"),
    (b"", "cannot be used: it is no tokenizer file: "),
    (b"{}", "cannot be used: it is no tokenizer file: "),
    (b"\xff\xfe", "cannot be used: it is no tokenizer file: "),
])  # fmt: skip
def test_a_file_that_counts_nothing_is_a_fault(faults_of, tmp_path: Path, content, says):
    """With the line of the key, for each model that names it."""
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_bytes(content)
    told = faults_of(with_tokenizers(file, file))
    assert [line.split(": file ")[0] for line in told] == [
        "7: models.m0.tokenizer.file",
        "11: models.m1.tokenizer.file",
    ]
    assert all(f"{file} {says}" in line for line in told)


def test_a_folder_is_no_file(faults_of, tmp_path: Path):
    """Nor is anything else that cannot be read."""
    [told] = faults_of(with_tokenizers(tmp_path))
    assert told.endswith("cannot be read: Is a directory")


def test_a_file_is_bounded(faults_of, tmp_path: Path):
    """More than the bound is never read, however large the file is."""
    file = tmp_path / "tokenizer.json"
    with file.open("wb") as sparse:
        sparse.truncate(100 * MAX_TOKENIZER_BYTES)
    [told] = faults_of(with_tokenizers(file))
    assert told == f"7: models.m0.tokenizer.file: file {file} is larger than 64 MiB"


def test_all_files_together_are_bounded(written, tmp_path: Path):
    """Workers are handed them all at once; the first that is too much is told of, and those behind it."""
    files = [tmp_path / f"{number}.json" for number in range(3)]
    for file in files:
        file.write_bytes(os.urandom(MAX_PACKED_BYTES // 2 + 1))
    path = written(with_tokenizers(files[0], files[0], *files[1:]))
    with pytest.raises(ConfigError) as caught:
        load(path, environment={}, **{**CHECKS, "parse_tokenizer": len})
    assert [fault.path for fault in caught.value.faults] == [
        "models.m2.tokenizer.file",
        "models.m3.tokenizer.file",
    ]
    assert all("32 MiB together" in fault.message for fault in caught.value.faults)


@pytest.mark.parametrize(("tokenizer", "path"), [
    ("{}", "models.chat.tokenizer.file"),
    ("{file: ''}", "models.chat.tokenizer.file"),
    ("{file: a, text: b}", "models.chat.tokenizer.text"),
    ("{file: a, special_tokens: maybe}", "models.chat.tokenizer.special_tokens"),
    ("tokenizer.json", "models.chat.tokenizer"),
])  # fmt: skip
def test_a_tokenizer_is_a_file_and_nothing_else(faults, tokenizer, path):
    """What is written wrong is told with its path."""
    text = (
        "backends:\n  gpu: {provider: vllm, url: http://gpu.example/v1}\n"
        f"models:\n  chat:\n    targets: [{{backend: gpu}}]\n    tokenizer: {tokenizer}\n"
    )
    assert path in [found[1] for found in faults(text)]
