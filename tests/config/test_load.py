from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import pytest

from pointsman_server.config.load import DEFAULTS, check_config, load, redacted
from pointsman_server.config.schema import AuthMode, SecretRef
from pointsman_server.config.secrets import Secret
from pointsman_server.upstreams.translation.templates import template_fault
from tests.config.conftest import PROVIDERS, Faults, Load, no_findings

GOOD = """\
    auth:
      mode: api_key
      principals:
        - name: team-a
          models: [chat]
          api_keys:
            - {id: k1, hash: "sha256:%s"}
            - {id: k2, hash_from: {env: K2}}
    backends:
      gpu:
        provider: vllm
        url: http://gpu:8000/v1
        credentials: {type: bearer, secret: {env: GPU_KEY}}
    models:
      chat:
        aliases: [default]
        targets: [{backend: gpu, model: qwen3}]
""" % ("0" * 64)
ENVIRONMENT = {"GPU_KEY": "  s3cret\n", "K2": "sha256:" + "1" * 64}


def test_without_a_file_the_defaults_serve() -> None:
    """No file at all is a working configuration: the simulator, on loopback, for everybody."""
    loaded = load(
        None,
        environment={},
        known_providers=PROVIDERS,
        check_backend=no_findings,
        check_template=template_fault,
    )
    assert loaded.source == DEFAULTS
    assert list(loaded.config.models) == ["simulator"]
    assert loaded.config.auth.effective_mode is AuthMode.NONE
    assert loaded.files == ()


def test_an_empty_file_is_the_defaults(loading: Load) -> None:
    """A file with nothing in it says nothing else than no file."""
    assert (
        loading("# nothing\n").hash
        == load(
            None,
            environment={},
            known_providers=PROVIDERS,
            check_backend=no_findings,
            check_template=template_fault,
        ).hash
    )


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    """POINTSMAN_CONFIG names the file where nothing else does; an argument wins."""
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("max_queued_calls: 1")
    two.write_text("max_queued_calls: 2")
    environment = {"POINTSMAN_CONFIG": str(one)}
    assert (
        load(
            None,
            environment=environment,
            known_providers=PROVIDERS,
            check_backend=no_findings,
            check_template=template_fault,
        ).config.max_queued_calls
        == 1
    )
    assert (
        load(
            two,
            environment=environment,
            known_providers=PROVIDERS,
            check_backend=no_findings,
            check_template=template_fault,
        ).config.max_queued_calls
        == 2
    )


def test_the_environment_says_where_the_process_is(loading: Load) -> None:
    """Addresses and the log level may come from the environment, over what the file says."""
    loaded = loading(
        "server: {listen: '127.0.0.1:1'}",
        {
            "POINTSMAN_LISTEN": "127.0.0.1:2", "POINTSMAN_ADMIN_LISTEN": "127.0.0.1:3",
            "POINTSMAN_OPS_LISTEN": "0.0.0.0:4", "POINTSMAN_LOG_LEVEL": "debug",
        },
    )  # fmt: skip
    config = loaded.config
    assert (config.server.listen, config.admin.listen, config.ops.listen) == (
        "127.0.0.1:2",
        "127.0.0.1:3",
        "0.0.0.0:4",
    )
    assert config.telemetry.log_level == "debug"


def test_nothing_else_comes_from_the_environment(loading: Load) -> None:
    """Other variables change nothing."""
    plain = loading("")
    assert loading("", {"POINTSMAN_MAX_QUEUED_CALLS": "7", "SERVER__LISTEN": "x"}).hash == plain.hash


def test_a_bad_variable_is_named(faults: Faults) -> None:
    """A fault that comes from the environment says so."""
    ((line, path, message),) = faults("server: {listen: '127.0.0.1:1'}", {"POINTSMAN_LISTEN": "everywhere"})
    assert (line, path) == (0, "server.listen")
    assert "POINTSMAN_LISTEN" in message


def test_secrets_are_read_at_load(loading: Load, tmp_path: Path) -> None:
    """A secret is read from where it is, without surrounding white space; its file is one to watch."""
    file = tmp_path / "key"
    file.write_text("from-file\n")
    loaded = loading(GOOD.replace("{env: GPU_KEY}", f"{{file: {file}}}"), ENVIRONMENT)
    assert loaded.secrets.get(SecretRef(file=str(file))).reveal() == "from-file"
    assert loaded.secrets.get(SecretRef(env="K2")).reveal() == ENVIRONMENT["K2"]
    assert file in loaded.files
    assert loading(GOOD, ENVIRONMENT).secrets.get(SecretRef(env="GPU_KEY")).reveal() == "s3cret"


def test_a_secret_never_shows_itself(loading: Load) -> None:
    """No way of turning it into text gives a secret away; only reveal does."""
    secret = Secret("s3cret")
    loaded = loading(GOOD, ENVIRONMENT)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>20}",
        f"{secret}",
        repr([secret]),
        repr(loaded),
    ]
    assert not any("s3cret" in text for text in shown)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_what_may_be_shown(loading: Load) -> None:
    """The redacted configuration is JSON, holds neither secrets nor hashes of keys, and still says where they are."""
    text = json.dumps(redacted(loading(GOOD, ENVIRONMENT).config))
    assert "s3cret" not in text
    assert "0" * 64 not in text
    assert "1" * 64 not in text
    assert '"env": "GPU_KEY"' in text


def test_the_hash_names_the_content(loading: Load) -> None:
    """Comments, order and written-out defaults change nothing; a value does."""
    first = loading("max_queued_calls: 7\nretry: {max_attempts: 2}").hash
    assert loading("# hello\nretry: {max_attempts: 2, budget_floor: 3}\nmax_queued_calls: 7").hash == first
    assert loading("max_queued_calls: 8\nretry: {max_attempts: 2}").hash != first


def test_check_config_lists_every_fault_with_its_line(tmp_path: Path) -> None:
    """The command's text names file, line, path and what to do, one line per fault; good files exit with 0."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "max_queued_calls: -1\nmodels:\n  chat:\n    polcy: weighted\n    targets: [{backend: simulator}]\n"
    )
    out = io.StringIO()
    assert (
        check_config(
            path,
            environment={},
            known_providers=PROVIDERS,
            check_backend=no_findings,
            check_template=template_fault,
            out=out,
        )
        == 1
    )
    assert out.getvalue().splitlines() == [
        f"{path}:1: max_queued_calls: must be at least 0",
        f"{path}:4: models.chat.polcy: unknown key 'polcy'; did you mean 'policy'?",
    ]
    path.write_text("max_queued_calls: 1\n")
    out = io.StringIO()
    assert (
        check_config(
            path,
            environment={},
            known_providers=PROVIDERS,
            check_backend=no_findings,
            check_template=template_fault,
            out=out,
        )
        == 0
    )
    assert "good" in out.getvalue()


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    """A path that leads nowhere is told like any other fault."""
    out = io.StringIO()
    assert (
        check_config(
            tmp_path / "none.yaml",
            environment={},
            known_providers=PROVIDERS,
            check_backend=no_findings,
            check_template=template_fault,
            out=out,
        )
        == 1
    )
    assert "cannot be read: No such file" in out.getvalue()
