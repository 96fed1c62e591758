import io
import os
import signal
import subprocess
import sys

import grpc
import pytest

import pointsman
from pointsman import v1
from pointsman.cli import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TRY_LATER, EXIT_USAGE, main
from tests.fakes.service import Fail, Hold, frames

STOP = (("grpc-retry-pushback-ms", "-1"),)


class Typed(io.StringIO):
    """A person's keyboard."""

    def isatty(self):
        return True


class Interrupting(io.StringIO):
    """A screen whose owner presses Ctrl-C when a word appears."""

    def __init__(self, word):
        super().__init__()
        self.word = word

    def write(self, text):
        super().write(text)
        if self.word and self.word in text:
            self.word = ""
            raise KeyboardInterrupt
        return len(text)


class Run:
    def __init__(self, *argv, target, stdin=None, stdout=None, stderr=None, **environ):
        self.stdout = stdout or io.StringIO()
        self.stderr = stderr or io.StringIO()
        self.code = main(
            argv,
            stdin=stdin or io.StringIO(),
            stdout=self.stdout,
            stderr=self.stderr,
            environ={"POINTSMAN_TARGET": target, **environ},
        )
        self.out, self.err = self.stdout.getvalue(), self.stderr.getvalue()


def test_one_question_one_answer(fake):
    """The answer alone is on standard output; what it took is on standard error."""
    run = Run("chat", "--model", "small", "hello", "you", target=fake.target)
    assert (run.code, run.out) == (0, "You said: hello you\n")
    assert run.err.startswith("[fake-a | 5 in, 7 out tokens | first ")
    assert fake.seen[0].request.model == "small"


def test_a_question_can_be_piped_in(fake):
    """Alone, or after the words of the command line."""
    assert Run("chat", "-m", "small", target=fake.target, stdin=io.StringIO("from a pipe\n")).out == (
        "You said: from a pipe\n"
    )
    piped = Run("chat", "-m", "small", "Shorten:", target=fake.target, stdin=io.StringIO("long text"))
    assert piped.out == "You said: Shorten:\n\nlong text\n"


def test_options_reach_the_model(fake):
    """Instructions and sampling are in the request."""
    Run(
        "chat",
        "-m",
        "a",
        "-s",
        "be brief",
        "--max-tokens",
        "9",
        "--temperature",
        "0",
        "hi",
        target=fake.target,
    )
    request = fake.seen[0].request
    assert [m.role for m in request.conversation.messages] == [v1.ROLE_SYSTEM, v1.ROLE_USER]
    assert request.generation.max_output_tokens == 9
    assert request.generation.HasField("temperature")


def test_a_conversation_remembers_what_was_said(fake):
    """Each turn is asked with the turns before it; /new forgets them."""
    typed = Typed("one\ntwo\n/new\n\nthree\n")
    run = Run("chat", "-m", "small", target=fake.target, stdin=typed)
    assert run.code == 0
    said = [[p.text for m in seen.request.conversation.messages for p in m.parts] for seen in fake.seen]
    assert said == [["one"], ["one", "You said: one", "two"], ["three"]]
    assert "You said: two\n" in run.out


def test_ctrl_c_ends_the_answer_and_keeps_the_conversation(fake):
    """The call is cancelled, the turn is forgotten, and the next one is asked."""
    fake.script(*frames("first ", "second ", complete=False), Hold())
    run = Run(
        "chat", "-m", "small", target=fake.target, stdin=Typed("one\ntwo\n"), stdout=Interrupting("second")
    )
    assert fake.seen[0].left.wait(10)
    assert "[cancelled]" in run.err
    assert [len(seen.request.conversation.messages) for seen in fake.seen] == [1, 1]
    assert "You said: two\n" in run.out
    assert run.code == 0


def test_a_failure_keeps_the_conversation(fake):
    """One line about it, and the next turn is asked."""
    fake.script(Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", reason="QUOTA_EXCEEDED"))
    run = Run("chat", "-m", "small", target=fake.target, stdin=Typed("one\ntwo\n/quit\nthree\n"))
    assert "pointsman: QUOTA_EXCEEDED: slow down (request id " in run.err
    assert len(fake.seen) == 2
    assert run.code == 0


def test_the_only_model_needs_no_name(fake):
    """Where there is one model, it is taken."""
    fake.models = [v1.Model(name="only")]
    Run("chat", "hi", target=fake.target)
    assert fake.seen[-1].request.model == "only"


def test_several_models_are_named(fake):
    """Where there are more, the choice is the caller's, and they are listed; the environment can choose."""
    fake.models = [v1.Model(name="a"), v1.Model(name="b"), v1.Model(name="c")]
    run = Run("chat", "hi", target=fake.target)
    assert (run.code, run.out) == (EXIT_USAGE, "")
    assert run.err == "pointsman: which model? Choose one with --model: a, b, c\n"
    assert Run("chat", "hi", target=fake.target, POINTSMAN_MODEL="b").code == 0


def test_no_model_is_told(fake):
    """An empty server says so."""
    run = Run("chat", "hi", target=fake.target)
    assert (run.code, run.err) == (EXIT_USAGE, "pointsman: the server has no model for this key\n")


def test_nothing_to_ask_is_told(fake):
    """No prompt, and nothing piped in."""
    run = Run("chat", "-m", "a", target=fake.target)
    assert run.code == EXIT_USAGE
    assert "nothing to ask" in run.err


def test_models_are_listed(fake):
    """As a table, one model a line."""
    fake.models = [
        v1.Model(name="small", state=v1.MODEL_STATE_AVAILABLE, owner="us", aliases=["s", "tiny"]),
        v1.Model(name="large", state=v1.MODEL_STATE_UNAVAILABLE),
    ]
    run = Run("models", target=fake.target)
    assert run.out.splitlines() == [
        "NAME   STATE        OWNER  ALIASES",
        "small  available    us     s, tiny",
        "large  unavailable  -      -",
    ]


@pytest.mark.parametrize(
    ("fail", "code", "hint"),
    [
        (
            Fail(grpc.StatusCode.NOT_FOUND, "no model x", reason="MODEL_NOT_FOUND"),
            EXIT_FAILED,
            "`pointsman models`",
        ),
        (
            Fail(grpc.StatusCode.UNAUTHENTICATED, "bad key", reason="UNAUTHENTICATED"),
            EXIT_FAILED,
            "POINTSMAN_API_KEY",
        ),
        (
            Fail(
                grpc.StatusCode.UNAVAILABLE,
                "all busy",
                reason="NO_HEALTHY_BACKEND",
                failure=v1.Failure(retryable=True),
                trailers=STOP,
            ),
            EXIT_TRY_LATER,
            "Try again in a moment.",
        ),
    ],
)
def test_a_failure_is_one_line_with_a_hint(fake, fail, code, hint):
    """Reason, words, request id and what to do; the exit code tells whether trying later may help."""
    fake.script(fail)
    run = Run("chat", "-m", "x", "hi", target=fake.target)
    assert run.code == code
    [line] = run.err.splitlines()
    assert line.startswith(f"pointsman: {fail.reason}: {fail.message} (request id ")
    assert hint in line


def test_every_exception_has_a_line():
    """Whatever fails is described without raising."""
    from pointsman.cli import describe
    from pointsman.errors import BY_REASON, Details

    for reason, kind in BY_REASON.items():
        assert describe(kind("words", Details(reason=reason))).startswith(f"pointsman: {reason}: words")


def test_a_key_comes_from_the_environment_or_a_file(fake, tmp_path):
    """The file wins; the key is never shown."""
    path = tmp_path / "key"
    path.write_text("from-file\n")
    Run("models", target=fake.target, POINTSMAN_API_KEY="from-env")
    Run("models", "--api-key-file", str(path), target=fake.target, POINTSMAN_API_KEY="from-env")
    sent = [seen.metadata["authorization"] for seen in fake.seen]
    assert sent == ["Bearer from-env", "Bearer from-file"]


def test_a_key_is_not_sent_in_plain_text():
    """Calling it so is a mistake that names the way out."""
    run = Run("models", "--api-key", "k", target="router.example:50051")
    assert run.code == EXIT_USAGE
    assert "tls" in run.err


def test_a_file_that_is_not_there_is_a_usage_error(fake):
    """One line, no traceback."""
    run = Run("models", "--api-key-file", "/nowhere/key", target=fake.target)
    assert run.code == EXIT_USAGE
    assert "/nowhere/key" in run.err


def test_notes_are_coloured_for_people_alone(fake):
    """Dim on a terminal; plain in a pipe, with NO_COLOR and on a dumb terminal. Answers are never coloured."""
    for screen, environ, coloured in [
        (Typed(), {}, True),
        (Typed(), {"NO_COLOR": "1"}, False),
        (Typed(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ]:
        run = Run("chat", "-m", "a", "hi", target=fake.target, stderr=screen, **environ)
        assert ("\x1b" in run.err) is coloured
        assert "\x1b" not in run.out


def test_what_was_not_done_as_asked_is_told(fake):
    """Warnings, an unusual ending and estimates stand in the note."""
    made = frames("cut")
    made[-1].candidate_finished[0].finish_reason = v1.FINISH_REASON_MAX_TOKENS
    made[-1].completed.warnings.add(code="FIELD_NOT_ACTIVE", field="cache")
    made[-1].completed.usage.source = v1.USAGE_SOURCE_ESTIMATED
    fake.script(*made)
    run = Run("chat", "-m", "a", "hi", target=fake.target)
    assert "(estimated)" in run.err
    assert "ended by max_tokens | warning FIELD_NOT_ACTIVE cache]" in run.err


def _process(fake, *argv):
    return subprocess.Popen(
        [sys.executable, "-m", "pointsman", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "POINTSMAN_TARGET": fake.target},
    )


def test_the_command_streams_and_can_be_interrupted(fake):
    """As a process: pieces come as they are sent; SIGINT cancels the call, ends the line and exits with 130."""
    fake.script(*frames("first", complete=False), Hold())
    with _process(fake, "chat", "-m", "small", "hi") as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == "first"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == EXIT_INTERRUPTED
    assert out == "\n"
    assert "Traceback" not in err
    assert fake.seen[0].left.wait(10)


def test_a_reader_that_leaves_ends_the_command_quietly(fake):
    """As in `pointsman chat ... | head`: no traceback, and the call is cancelled."""
    fake.script(*frames("first", complete=False), Hold(), *frames("a", "b", "more")[1:], Hold())
    with _process(fake, "chat", "-m", "small", "hi") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5) == "first"
        process.stdout.close()
        fake.let_go()
        err = process.stderr.read()
        assert process.wait(30) == EXIT_FAILED
    assert err == ""


def test_the_command_tells_its_version(fake):
    """`pointsman --version`."""
    with _process(fake, "--version") as process:
        out, _ = process.communicate(timeout=30)
    assert out == f"pointsman {pointsman.__version__}\n"
