from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.config.document import MAX_DEPTH, parse
from pointsman_server.config.faults import ConfigError, dotted
from pointsman_server.config.load import load
from pointsman_server.config.schema import Backend
from pointsman_server.upstreams.translation.templates import template_fault
from tests.config.conftest import PROVIDERS, Faults, Load, no_findings

CASES = {
    "unknown_key": ("modles: {}", 1, "modles", "unknown key 'modles'; did you mean 'models'?"),
    "unknown_deep": (
        "backends:\n  a:\n    provider: vllm\n    timeouts:\n      idel_s: 1\nmodels: {m: {targets: [{backend: a}]}}",
        5,
        "backends.a.timeouts.idel_s",
        "unknown key 'idel_s'; did you mean 'idle_s'?",
    ),
    "unknown_in_union": (
        (
            "backends:\n  a:\n    provider: vllm\n    credentials: {type: header, name: x, secrt: 1"
            ", secret: {env: E}}\n"
            "models: {m: {targets: [{backend: a}]}}"
        ),
        4,
        "backends.a.credentials.secrt",
        "unknown key 'secrt'",
    ),
    "header_of_ours": (
        "backends: {a: {provider: vllm, headers: {Authorization: x}}}\nmodels: {m: {targets: [{backend: a}]}}",
        1,
        "backends.a.headers.Authorization",
        "is not for the configuration",
    ),
    "header_value": (
        "backends: {a: {provider: vllm, headers: {X-Team: ümlaut}}}\nmodels: {m: {targets: [{backend: a}]}}",
        1,
        "backends.a.headers.X-Team",
        "must have printable ASCII characters only",
    ),
    "entra_without_a_proof": (
        (
            "backends: {a: {provider: vllm, credentials: {type: entra, tenant: t, client_id: c}}}\n"
            "models: {m: {targets: [{backend: a}]}}"
        ),
        1,
        "backends.a.credentials",
        "name exactly one of client_secret and workload_token_file",
    ),
    "too_large": ("deadlines:\n  maximum_s: 100000", 2, "deadlines.maximum_s", "must be at most 86400"),
    "not_a_number": ("max_queue_time_s: soon", 1, "max_queue_time_s", "must be a number"),
    "text_is_no_number": ("max_queued_calls: '7'", 1, "max_queued_calls", "must be a whole number"),
    "yes_is_text": ("admin: {enabled: yes}", 1, "admin.enabled", "must be true or false"),
    "number_is_no_text": (
        "models:\n  m:\n    owner: 7\n    targets: [{backend: simulator}]",
        3,
        "models.m.owner",
        "must be text (put it in quotes)",
    ),
    "infinite": ("max_queue_time_s: .inf", 1, "max_queue_time_s", "must be"),
    "section_is_empty": ("server:\n", 1, "server", "must be a mapping of keys"),
    "list_expected": ("models: {m: {targets: simulator}}", 1, "models.m.targets", "must be a list"),
    "enum": ("telemetry: {log_level: loud}", 1, "telemetry.log_level", "must be one of 'debug', 'info'"),
    "listen": ("server: {listen: here}", 1, "server.listen", "must be host:port, as 0.0.0.0:50051"),
    "port": ("server: {listen: '127.0.0.1:70000'}", 1, "server.listen", "must be at most 65535"),
    "required": ("models: {m: {}}", 1, "models.m.targets", "this key is required"),
    "name": (
        "models: {'bad name': {targets: [{backend: simulator}]}}",
        1,
        'models["bad name"]',
        "a name must begin",
    ),
    "union": (
        "backends: {a: {provider: vllm, credentials: {type: basic}}}",
        1,
        "backends.a.credentials",
        "type must be one of 'key', 'bearer', 'header', 'query'",
    ),
    "type_is_no_word": (
        "backends: {a: {provider: vllm, credentials: {type: [bearer], secret: {env: A}}}}",
        1,
        "backends.a.credentials",
        "type must be one of 'key', 'bearer', 'header', 'query'",
    ),
    "untyped": (
        "backends: {a: {provider: vllm, credentials: {name: x}}}",
        1,
        "backends.a.credentials.secret",
        "this key is required",
    ),
    "no_section": (
        "backends: {a: {provider: vllm, credentials: sk-1}}",
        1,
        "backends.a.credentials",
        "must be a mapping of keys",
    ),
    "api_version": (
        "backends: {a: {provider: vllm, api_version: 2024/1}}",
        1,
        "backends.a.api_version",
        "may hold letters, digits, dots, _ and - only",
    ),
    "two_places": (
        "backends: {a: {provider: vllm, credentials: {type: bearer, secret: {env: A, file: B}}}}",
        1,
        "backends.a.credentials.secret",
        "name exactly one of env and file",
    ),
    "url_with_password": (
        "backends: {a: {provider: vllm, url: 'http://u:p@h/'}}",
        1,
        "backends.a.url",
        "must be an http(s) URL without user information",
    ),
    "no_such_backend": (
        "models:\n  m:\n    targets:\n      - backend: simulatr",
        4,
        "models.m.targets[0].backend",
        "no backend 'simulatr'; did you mean 'simulator'?",
    ),
    "no_such_provider": (
        "backends: {a: {provider: foo}}\nmodels: {m: {targets: [{backend: a}]}}",
        1,
        "backends.a.provider",
        "no provider 'foo'; known: openai, openai_compatible, simulator, vllm",
    ),
    "models_required": ("backends: {a: {provider: vllm}}", 0, "models", "required when backends are written"),
    "alias_is_a_model": (
        (
            "models:\n  m: &m {targets: [{backend: simulator}]}\n  n:\n    aliases: [m]\n"
            "    targets: [{backend: simulator}]"
        ),
        4,
        "models.n.aliases[0]",
        "'m' is the name of a model",
    ),
    "alias_twice": (
        (
            "models:\n  m: {targets: [{backend: simulator}], aliases: [x]}\n"
            "  n: {targets: [{backend: simulator}], aliases: [x]}"
        ),
        3,
        "models.n.aliases[0]",
        "'x' is already an alias of model 'm'",
    ),
    "fallback_to_itself": (
        "models: {m: {targets: [{backend: simulator}], fallbacks: [m]}}",
        1,
        "models.m.fallbacks[0]",
        "cannot fall back to itself",
    ),
    "fallback_unknown": (
        "models: {m: {targets: [{backend: simulator}], fallbacks: [n]}}",
        1,
        "models.m.fallbacks[0]",
        "no model 'n'",
    ),
    "no_weight": (
        "models: {m: {targets: [{backend: simulator, weight: 0}]}}",
        1,
        "models.m.targets",
        "weight 0",
    ),
    "default_beyond_bound": (
        "models:\n  m:\n    targets: [{backend: simulator}]\n    defaults: {temperature: 3}",
        4,
        "models.m.defaults.temperature",
        "must be from 0 to 2, as bounds say",
    ),
    "default_too_long": (
        (
            "models:\n  m:\n    targets: [{backend: simulator}]\n    defaults: {max_output_tokens: 9}\n"
            "    bounds: {max_output_tokens: 8}"
        ),
        4,
        "models.m.defaults.max_output_tokens",
        "must be at most 8, as bounds say",
    ),
    "auth_unwritten": ("server: {listen: '0.0.0.0:1'}", 0, "auth.mode", "must be written down"),
    "auth_without_keys": (
        "auth: {mode: api_key}",
        1,
        "auth.principals",
        "needs at least one principal with api_keys",
    ),
    "auth_without_ca": (
        "auth: {mode: mtls, principals: [{name: a, mtls_identities: [b]}]}",
        1,
        "auth.mode",
        "needs server.tls.client_ca_file",
    ),
    "nobody_asked": ("auth: {mode: none, principals: [{name: a}]}", 1, "auth.mode", "nobody would be asked"),
    "identity_twice": (
        "auth: {mode: mtls, principals: [{name: a, mtls_identities: [x]}, {name: b, mtls_identities: [x]}]}",
        1,
        "auth.principals[1].mtls_identities[0]",
        "this identity is used twice",
    ),
    "principal_model": (
        "auth: {mode: none, principals: [{name: a, models: [simulatr]}]}",
        1,
        "auth.principals[0].models[0]",
        "no model 'simulatr'; did you mean 'simulator'?",
    ),
    "access_list_commented_out": (
        "auth:\n  mode: none\n  principals:\n    - name: a\n      models:\n",
        5,
        "auth.principals[0].models",
        "write a list, or leave the key out",
    ),
    "grace_too_short": (
        "server: {http2: {max_connection_age_grace_s: 10}}",
        1,
        "server.http2.max_connection_age_grace_s",
        "must be at least deadlines.maximum_s (600)",
    ),
    "default_deadline": (
        "deadlines: {unary_default_s: 601}",
        1,
        "deadlines.unary_default_s",
        "must be at most deadlines.maximum_s (600)",
    ),
    "batch": (
        "telemetry: {otlp: {endpoint: 'http://c:4318', queue_size: 10, batch_size: 11}}",
        1,
        "telemetry.otlp.batch_size",
        "must be at most queue_size (10)",
    ),
    "drop": (
        "backends: {a: {provider: vllm, drop_params: [generation.sed]}}\nmodels: {m: {targets: [{backend: a}]}}",
        1,
        "backends.a.drop_params[0]",
        "no parameter 'generation.sed'; did you mean 'generation.seed'?",
    ),
    "no_secret": (
        (
            "backends: {a: {provider: vllm, credentials: {type: bearer, secret: {env: NOPE}}}}\n"
            "models: {m: {targets: [{backend: a}]}}"
        ),
        1,
        "backends.a.credentials.secret",
        "environment variable NOPE is not set",
    ),
    "no_secret_file": (
        (
            "backends: {a: {provider: vllm, credentials: {type: bearer, secret: {file: /nope}}}}\n"
            "models: {m: {targets: [{backend: a}]}}"
        ),
        1,
        "backends.a.credentials.secret",
        "file /nope cannot be read: No such file or directory",
    ),
    "no_certificate": (
        "server: {tls: {certificate_file: /nope, key_file: /dev/null}}",
        1,
        "server.tls.certificate_file",
        "file /nope cannot be read",
    ),
    "duplicate": (
        "max_queued_calls: 1\nretry: {}\nmax_queued_calls: 2",
        3,
        "max_queued_calls",
        "written twice; first on line 1",
    ),
    "merge": ("server: {<<: {}}", 1, "server", "merge keys (<<) are not supported"),
    "tag": ("server: !!python/object:os.system {}", 1, "server", "tags are not supported"),
    "own_tag": ("server: !secret x", 1, "server", "tags are not supported"),
    "syntax": ("server: [", 1, "", "not valid YAML"),
    "documents": ("a: 1\n---\nb: 2", 2, "", "only one document is allowed"),
    "not_a_mapping": ("- 1", 1, "", "the file must be a mapping of keys"),
    "deep": ("a: " + "[" * 100 + "]" * 100, 1, "", f"nested deeper than {MAX_DEPTH} levels"),
    "recursive": ("a: &a [*a]", 1, None, "too large once its aliases are followed"),
    "complex_key": ("{[1]: 2}", 1, "", "a key must be text"),
    "control": ("a: \x01", 0, "", "not valid YAML"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_fault_has_a_place_and_a_remedy(faults: Faults, case: str) -> None:
    """Every kind of fault is told with its line, its path and words that help, without the validator's own."""
    text, line, path, message = CASES[case]
    found = faults(text)
    matching = [fault for fault in found if message in fault[2]]
    assert matching, found
    assert matching[0][0] in (line, line + 1) if case == "syntax" else matching[0][0] == line
    if path is not None:
        assert matching[0][1] == path
    assert not any(
        word in str(found).lower() for word in ("pydantic", "input should", "value error", "validation")
    )


def test_billion_laughs(faults: Faults) -> None:
    """Aliases that multiply are stopped long before memory is."""
    text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    for number in range(8):
        previous, name = "abcdefghi"[number], "abcdefghi"[number + 1]
        text += f"{name}: &{name} [{','.join([f'*{previous}'] * 10)}]\n"
    assert "too large once its aliases are followed" in faults(text)[0][2]


def test_a_large_file_is_refused(faults: Faults) -> None:
    """More than 1 MiB is not read."""
    assert "larger than 1024 KiB" in faults("#" * (1024 * 1024 + 1))[0][2]


def test_bytes_that_are_no_text(faults: Faults) -> None:
    """A file that is not UTF-8 is told with the line."""
    assert faults(b"a: 1\nb: \xff\n") == [(2, "", "not UTF-8 text")]


def test_all_faults_at_once(faults: Faults) -> None:
    """One run tells everything that is wrong, in the order of the file."""
    found = faults(
        """\
        server: {listen: 0.0.0.0:1}
        telemtry: {}
        backends:
          a: {provider: opnai, credentials: {type: bearer, secret: {env: NOPE}}}
        models:
          m:
            polcy: x
            targets: [{backend: b}]
        """
    )
    assert [(line, path) for line, path, _ in found] == [
        (0, "auth.mode"), (2, "telemtry"), (4, "backends.a.credentials.secret"), (4, "backends.a.provider"),
        (7, "models.m.polcy"), (8, "models.m.targets[0].backend"),
    ]  # fmt: skip


def test_a_providers_own_rules(tmp_path: Path) -> None:
    """What a provider finds in its backend is told with the key's line; an unknown provider is asked nothing."""
    path = tmp_path / "pointsman.yaml"
    path.write_text(
        "backends:\n  a:\n    provider: vllm\n    url: http://h\n  b: {provider: none}\n"
        "models: {m: {targets: [{backend: a}]}}"
    )
    asked: list[str] = []

    def check(backend: Backend) -> list[tuple[str, str]]:
        asked.append(backend.provider)
        return [("url", "is too short")]

    with pytest.raises(ConfigError) as caught:
        load(
            path,
            environment={},
            known_providers=PROVIDERS,
            check_backend=check,
            check_template=template_fault,
        )
    told = [(fault.line, fault.path, fault.message) for fault in caught.value.faults]
    assert told[0] == (4, "backends.a.url", "is too short")
    assert [path for _, path, _ in told[1:]] == ["backends.b.provider"]
    assert asked == ["vllm"]


@pytest.mark.parametrize("content", ["", "  \n", "two\nlines", "a\x00b"])
def test_a_secret_must_be_one_line(faults: Faults, content: str) -> None:
    """An empty secret, or one that could break out of a header, is a fault that does not quote it."""
    text = (
        "backends: {a: {provider: vllm, credentials: {type: bearer, secret: {env: E}}}}\n"
        "models: {m: {targets: [{backend: a}]}}"
    )
    ((_, path, message),) = faults(text, {"E": content})
    assert path == "backends.a.credentials.secret"
    assert "lines" not in message.replace("more than one line", "")


def test_no_fault_quotes_a_value(faults: Faults) -> None:
    """A secret written where a reference belongs, or anywhere else, is not repeated."""
    secret = "sk-canary-0123456789"
    for text in (
        f"backends: {{a: {{provider: vllm, credentials: {{type: bearer, secret: {secret}}}}}}}",
        f"backends: {{a: {{provider: vllm, credentials: {secret}}}}}",
        f"backends: {{a: {{provider: vllm, url: 'https://u:{secret}@host'}}}}",
        f"auth: {{mode: {secret}}}",
        f"auth: {{mode: api_key, principals: [{{name: a, api_keys: [{{id: k, hash: {secret}}}]}}]}}",
        f"telemetry: {{otlp: {{endpoint: 'http://c', headers: {{authorization: {secret}}}}}}}",
        f"key: '{secret}",
    ):
        assert secret not in str(faults(text))


def test_a_hash_by_reference_is_checked(faults: Faults) -> None:
    """What hash_from leads to must be a hash; a key put there by mistake is not repeated."""
    text = "auth: {mode: api_key, principals: [{name: a, api_keys: [{id: k, hash_from: {env: E}}]}]}"
    ((_, path, message),) = faults(text, {"E": "sk-canary"})
    assert path == "auth.principals[0].api_keys[0].hash_from"
    assert "sk-canary" not in message


def test_plain_words_are_what_they_look_like(loading: Load) -> None:
    """YAML 1.2: `no`, dates and versions are text, and a number as a key is a name."""
    loaded = loading(
        "models: {no: {owner: no, display_name: 2024-01-01, targets: [{backend: simulator}]}, 1.5: "
        "{targets: [{backend: simulator}]}}"
    )
    assert list(loaded.config.models) == ["no", "1.5"]
    assert (loaded.config.models["no"].owner, loaded.config.models["no"].display_name) == ("no", "2024-01-01")


def test_paths() -> None:
    """A path reads as people write it."""
    assert dotted(("models", "gpt-4.1", "targets", 0, "backend")) == 'models["gpt-4.1"].targets[0].backend'


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Whatever the file holds, it is read or refused with faults, and nothing else is raised."""
    told = True
    try:
        parse(data)
    except ConfigError as error:
        told = bool(error.faults)
    assert told


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(
    ["server", "models", "backends", "auth", "targets", "backend", "provider", "credentials", "type", "secret", "env",
     "principals", "api_keys", "listen", "retry", "telemetry", "otlp", "x"]
)  # fmt: skip
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_any_values(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]) -> None:
    """Whatever the values are, they are used or refused with faults, and nothing else is raised."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(json.dumps(tree))
    messages = ["good"]
    try:
        load(
            path,
            environment={},
            known_providers=PROVIDERS,
            check_backend=no_findings,
            check_template=template_fault,
        )
    except ConfigError as error:
        messages = [fault.message for fault in error.faults]
    assert messages
    assert all(messages)
