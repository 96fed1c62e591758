"""A tokenizer file -> counts: as the library counts, or a fault that says what is wrong."""

import gc
import json
import subprocess
import sys
import threading
import weakref

import pytest
from tokenizers import Tokenizer, models

from pointsman_server.upstreams.translation.vocabulary import UncountableError, vocabulary
from tests.fakes.tokenizer import counted, make_tokenizer, save


def data(**options):
    return make_tokenizer(**options).to_str().encode()


def without_unknown():
    """Words alone, and none for what it does not know."""
    return Tokenizer(models.WordLevel({"a": 0}, unk_token="[UNK]")).to_str().encode()


@pytest.mark.parametrize(
    "text", ["", "two", "What is two plus two?", "<|im_start|>user", "é 中 \U0001f600\0\n"]
)
def test_it_counts_as_the_library_does(text):
    """Marks of the model are one token each."""
    assert vocabulary(data()).count(text, special=False) == counted(text)
    assert counted("<|im_start|>") == 1


def test_special_tokens_are_counted_where_asked_for():
    """And it knows how many there are."""
    made = vocabulary(data(begins=True))
    assert made.special_tokens == 1
    assert [made.count("two", special=special) for special in (False, True)] == [
        counted("two"),
        counted("two") + 1,
    ]


def test_an_unchanged_file_is_parsed_once():
    """As long as anybody uses it, and no longer: parsing holds Python's lock."""
    first = vocabulary(data())
    assert vocabulary(data()) is first
    assert vocabulary(data(size=270)) is not first
    known = weakref.ref(first)
    del first
    gc.collect()
    assert known() is None


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"{}", b"nope", b"[" * 100_000, b"\xff\xfe\0", b"null", b"[]",
        b'{"version":"1.0","model":{"type":"X"}}',
        b'{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}',
        data()[:-100],
        data().replace(b'"ByteLevel"', b'"NoSuchThing"', 1),
        json.dumps({**json.loads(data()), "added_tokens": [{"id": -1}]}).encode(),
    ],
    ids=[
        "empty", "an object", "a word", "deep", "binary", "null", "a list", "an unknown model",
        "merges of nothing", "cut off", "an unknown step", "a bad token",
    ],
)  # fmt: skip
def test_what_is_no_tokenizer_file_is_a_fault(broken):
    """Never an exception of the library; short enough to be read."""
    with pytest.raises(ValueError, match=r"^it is no tokenizer file: ") as caught:
        vocabulary(broken)
    assert len(str(caught.value)) < 400


def test_a_file_that_cannot_count_common_text_is_a_fault():
    """It is tried before anybody asks."""
    with pytest.raises(ValueError, match=r"it is no tokenizer file: .*UNK"):
        vocabulary(without_unknown())


def test_half_a_character_is_a_fault_of_the_text():
    """The library takes none; who counts has to replace it first."""
    with pytest.raises(UncountableError):
        vocabulary(data()).count("\ud800", special=False)


def test_others_run_while_it_counts():
    """The library lets go of Python's lock: a thread gets further in the meantime."""
    made, text = vocabulary(data()), "The quick brown fox. " * 40_000
    turns, done = [0], threading.Event()

    def spin():
        while not done.wait(0.001):
            turns[0] += 1

    spinner = threading.Thread(target=spin)
    spinner.start()
    try:
        before = turns[0]
        made.count(text, special=False)
        during = turns[0] - before
    finally:
        done.set()
        spinner.join()
    assert during > 5


def test_the_library_is_imported_only_where_a_file_is_configured(tmp_path):
    """A service that needs no tokenizer has none; and with it there comes no client of any hub, and no thread."""
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        "models: {chat: {targets: [{backend: simulator}]}}\nbackends: {simulator: {provider: simulator}}\n"
    )
    code = (
        "import sys; import pointsman_server.app; from pointsman_server.launch import CHECKS, load_config\n"
        "def there(): return sorted({'tokenizers', 'huggingface_hub', 'httpx'} & sys.modules.keys())\n"
        "load_config(sys.argv[1], {}); print(there())\n"
        "import os; before = len(os.listdir('/proc/self/task'))\n"
        "CHECKS['parse_tokenizer'](open(sys.argv[2], 'rb').read()); print(there())\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    tokenizer = save(make_tokenizer(), tmp_path / "tokenizer.json")
    command = [sys.executable, "-c", code, str(file), str(tokenizer)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == ["[]", "['tokenizers']", "0"]


def test_without_the_library_the_fault_says_what_to_install():
    """As in an installation without the extra."""
    code = (
        "import sys; sys.modules['tokenizers'] = None\n"
        "from pointsman_server.upstreams.translation.vocabulary import vocabulary\n"
        "try: vocabulary(b'{}')\n"
        "except ValueError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        told.stdout.strip()
        == "needs a library that is not installed: pip install 'pointsman-server[tokenizers]'"
    )
