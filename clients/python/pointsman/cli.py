"""The command `pointsman`: talk to a model from a terminal, or see which there are.

Answers go to standard output, everything else to standard error. Exit codes: 0 it worked; 1 it failed, and would again;
2 it was called wrongly; 75 it failed, and may work later; 130 it was interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from pointsman.channel import TlsConfig
from pointsman.chat import Chat
from pointsman.client import Client
from pointsman.core import DEFAULT_TARGET
from pointsman.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    NoEligibleBackend,
    PermissionDenied,
    PointsmanError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    Unauthenticated,
    Unavailable,
)
from pointsman.terminal import Terminal
from pointsman.version import __version__

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_TRY_LATER = 75
EXIT_INTERRUPTED = 130

# The first that fits; narrow classes stand before wide ones.
_HINTS: Sequence[tuple[type[PointsmanError], str]] = (
    (ConnectionFailed, "Is the server running, and are --target and --tls right?"),
    (Unauthenticated, "Give a key with POINTSMAN_API_KEY or --api-key-file."),
    (PermissionDenied, "This key may not do that; `pointsman models` tells what it may use."),
    (ModelNotFound, "`pointsman models` tells which there are."),
    (RateLimited, "Wait, then try again."),
    (QuotaExhausted, "Waiting does not help: a budget or quota has to be raised."),
    (NoEligibleBackend, "No backend can serve this request as it stands."),
    (DeadlineExceeded, "Give it more time with --timeout."),
    (Unavailable, "Try again in a moment."),
    (InvalidRequest, "The request has to change."),
    (ServerError, "Whoever runs the server can find the call by its request id."),
)


class UsageError(Exception):
    """The command was called wrongly."""


def main(
    argv: Sequence[str] | None = None,
    *,
    stdin: TextIO | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Runs the command; its exit code."""
    environ = os.environ if environ is None else environ
    terminal = Terminal(stdin or sys.stdin, stdout or sys.stdout, stderr or sys.stderr, environ)
    args = _parser(environ).parse_args(argv)
    try:
        with _client(args, environ) as client:
            run: Callable[[Client, argparse.Namespace, Terminal], int] = args.run
            return run(client, args, terminal)
    except PointsmanError as error:
        terminal.note(describe(error))
        return EXIT_TRY_LATER if error.retryable else EXIT_FAILED
    except BrokenPipeError:
        # Nobody reads any more; what is still buffered has nowhere to go, and Python would complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except (UsageError, ValueError, OSError) as error:
        terminal.note(f"pointsman: {error}")
        return EXIT_USAGE
    except KeyboardInterrupt:
        terminal.note("")
        return EXIT_INTERRUPTED


def describe(error: PointsmanError) -> str:
    """One line: what happened, the call's id, and what to do."""
    fields = "".join(f" [{v.field}: {v.description}]" for v in error.field_violations)
    hint = next((hint for kind, hint in _HINTS if isinstance(error, kind)), "")
    line = f"pointsman: {error}{fields}".rstrip()
    return " ".join(f"{line}{'' if line.endswith('.') else '.'} {hint}".split())


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pointsman", description="Ask models through a Pointsman server.")
    parser.add_argument("--version", action="version", version=f"pointsman {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    chat = commands.add_parser("chat", help="talk to a model, or ask it one thing")
    chat.add_argument("prompt", nargs="*", help="what to ask; without it, a conversation")
    chat.add_argument(
        "-m",
        "--model",
        default=environ.get("POINTSMAN_MODEL", ""),
        help="the model [POINTSMAN_MODEL]; may be left out where there is but one",
    )
    chat.add_argument("-s", "--system", default="", help="instructions that stand above the conversation")
    chat.add_argument("--max-tokens", type=int, help="most tokens of an answer")
    chat.add_argument("--temperature", type=float, help="randomness; 0 is greedy")
    chat.set_defaults(run=_chat)
    models = commands.add_parser("models", help="list the models")
    models.set_defaults(run=_models)
    for command in (chat, models):
        _add_connection(command, environ)
    return parser


def _add_connection(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    group = parser.add_argument_group("connection")
    target = environ.get("POINTSMAN_TARGET", DEFAULT_TARGET)
    group.add_argument(
        "--target", default=target, help=f"the server [POINTSMAN_TARGET]; default {DEFAULT_TARGET}"
    )
    group.add_argument(
        "--api-key", help="the key [POINTSMAN_API_KEY]; others on this machine may see it, so prefer:"
    )
    group.add_argument("--api-key-file", type=Path, help="a file that holds the key")
    group.add_argument("--tls", action="store_true", help="encrypt, trusting the system's authorities")
    group.add_argument("--ca", type=Path, help="encrypt, trusting the authorities in this file")
    group.add_argument("--cert", type=Path, help="this caller's certificate, with --key")
    group.add_argument("--key", type=Path, help="the certificate's private key")
    group.add_argument(
        "--allow-insecure-key", action="store_true", help="send a key unencrypted over the network"
    )
    group.add_argument("--timeout", type=float, default=None, help="most seconds that an answer may take")


def _client(args: argparse.Namespace, environ: Mapping[str, str]) -> Client:
    encrypted = args.tls or args.ca or args.cert or args.key
    return Client(
        args.target,
        api_key=args.api_key_file or args.api_key or environ.get("POINTSMAN_API_KEY") or None,
        tls=TlsConfig(ca=args.ca, cert=args.cert, key=args.key) if encrypted else None,
        allow_insecure_key=args.allow_insecure_key,
    )


def _models(client: Client, args: argparse.Namespace, terminal: Terminal) -> int:
    models = client.models(timeout_s=args.timeout)
    rows = [("NAME", "STATE", "OWNER", "ALIASES")]
    rows += [(m.name, m.state or "-", m.owner or "-", ", ".join(m.aliases) or "-") for m in models]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        terminal.say(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
        )
    return 0


def _chat(client: Client, args: argparse.Namespace, terminal: Terminal) -> int:
    prompt = " ".join(args.prompt)
    if not terminal.interactive:
        prompt = "\n\n".join(filter(None, (prompt, terminal.read_all().strip())))
        if not prompt:
            raise UsageError("nothing to ask: give a prompt, or pipe one in")
    chat = Chat(
        client,
        model=args.model or _only_model(client),
        system=args.system,
        timeout_s=args.timeout,
        options={"max_output_tokens": args.max_tokens, "temperature": args.temperature},
    )
    if prompt:
        chat.ask(prompt, terminal)
    else:
        chat.converse(terminal, describe)
    return 0


def _only_model(client: Client) -> str:
    names = [model.name for model in client.models()]
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError("the server has no model for this key")
    raise UsageError(f"which model? Choose one with --model: {', '.join(names)}")
