"""The Grafana dashboard of the chart, made from a table of panels; `tools.docs` writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 8, 8
"""Of a panel, in Grafana's grid of 24 columns."""
SELECTOR = '{namespace=~"$namespace", job=~"$job"}'


@dataclass(frozen=True)
class Panel:
    """One graph; queries are (PromQL, legend). `$` in a query stands for the selection of the variables above."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    description: str = ""


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{SELECTOR}[$__rate_interval]))"


def _increase(metric: str, by: str) -> str:
    return f"sum by ({by}) (increase({metric}{SELECTOR}[$__rate_interval]))"


def _quantile(percent: float, metric: str, by: str = "") -> str:
    group = f"{by}, le" if by else "le"
    inner = f"sum by ({group}) (rate({metric}_bucket{SELECTOR}[$__rate_interval]))"
    return f"histogram_quantile({percent}, {inner})"


FIRST = "gen_ai_client_operation_time_to_first_chunk_seconds"
WHOLE = "gen_ai_client_operation_duration_seconds"
EACH = "gen_ai_client_operation_time_per_output_chunk_seconds"
STATUSES = "rpc_server_call_duration_seconds_count"
ROWS: Sequence[tuple[str, Sequence[Panel]]] = (
    (
        "Callers",
        (
            Panel("Calls by outcome", "reqps", [(_rate("pointsman_calls_total", "reason"), "{{reason}}")]),
            Panel("Calls by model", "reqps", [(_rate("pointsman_calls_total", "model"), "{{model}}")]),
            Panel(
                "In progress", "short", [(f"sum by (pod) (pointsman_calls_in_flight{SELECTOR})", "{{pod}}")]
            ),
            Panel(
                "Duration of calls",
                "s",
                [
                    (_quantile(p, "rpc_server_call_duration_seconds"), f"p{p * 100:g}")
                    for p in (0.5, 0.95, 0.99)
                ],
                "From arrival to status; a stream's is that of the whole stream.",
            ),
            Panel("Statuses", "reqps", [(_rate(STATUSES, "rpc_status_code"), "{{rpc_status_code}}")]),
            Panel(
                "Waits for a place",
                "s",
                [(_quantile(p, "pointsman_queue_wait_seconds"), f"p{p * 100:g}") for p in (0.5, 0.95)],
            ),
        ),
    ),
    (
        "Models",
        (
            Panel(
                "First token",
                "s",
                [
                    (_quantile(0.95, FIRST, "gen_ai_request_model"), "p95 {{gen_ai_request_model}}"),
                    (_quantile(0.5, FIRST), "p50 of all"),
                ],
            ),
            Panel(
                "Time per output token",
                "s",
                [(_quantile(0.5, EACH, "gen_ai_request_model"), "p50 {{gen_ai_request_model}}")],
            ),
            Panel(
                "Duration of attempts",
                "s",
                [(_quantile(0.95, WHOLE, "gen_ai_provider_name"), "p95 {{gen_ai_provider_name}}")],
            ),
            Panel("Tokens", "short", [(_rate("pointsman_tokens_total", "type"), "{{type}} a second")]),
            Panel(
                "Tokens of an attempt",
                "short",
                [
                    (
                        _quantile(0.95, "gen_ai_client_token_usage", "gen_ai_token_type"),
                        "p95 {{gen_ai_token_type}}",
                    )
                ],
            ),
            Panel(
                "Cost an hour",
                "short",
                [(f"3600 * {_rate('pointsman_cost_total', 'model, currency')}", "{{model}}, {{currency}}")],
                "Failed attempts included.",
            ),
        ),
    ),
    (
        "Backends",
        (
            Panel(
                "Attempts by outcome",
                "reqps",
                [(_rate("pointsman_attempts_total", "backend, reason"), "{{backend}} {{reason}}")],
            ),
            Panel(
                "Attempts in progress",
                "short",
                [(f"sum by (backend) (pointsman_attempts_in_flight{SELECTOR})", "{{backend}}")],
            ),
            Panel(
                "Tokens in progress",
                "short",
                [(f"sum by (backend) (pointsman_backend_tokens_in_flight{SELECTOR})", "{{backend}}")],
                "Estimated.",
            ),
            Panel(
                "Out of rotation",
                "short",
                [
                    (
                        f'sum by (backend, state) (pointsman_backend_state{SELECTOR[:-1]}, state!="HEALTHY"}})',
                        "{{backend}} {{state}}",
                    )
                ],
                "Replicas that see it so.",
            ),
            Panel(
                "Retries, failovers, fallbacks",
                "reqps",
                [
                    (_rate("pointsman_retries_total", "kind"), "{{kind}}"),
                    (_rate("pointsman_fallbacks_total", "model"), "fallback of {{model}}"),
                ],
            ),
            Panel(
                "Ejections and credentials at rest",
                "short",
                [
                    (_increase("pointsman_backend_ejections_total", "backend"), "ejected {{backend}}"),
                    (
                        _increase("pointsman_credential_rests_total", "backend, reason"),
                        "rests {{backend}} {{reason}}",
                    ),
                ],
            ),
            Panel(
                "Endpoints found",
                "short",
                [
                    (
                        f"max by (backend, condition) (pointsman_discovery_endpoints{SELECTOR})",
                        "{{backend}} {{condition}}",
                    )
                ],
            ),
            Panel(
                "Discovery last heard",
                "s",
                [(f"max by (backend) (pointsman_discovery_age_seconds{SELECTOR})", "{{backend}}")],
            ),
            Panel(
                "Discovery failures",
                "reqps",
                [(_rate("pointsman_discovery_failures_total", "backend, reason"), "{{backend}} {{reason}}")],
            ),
        ),
    ),
    (
        "Processes",
        (
            Panel(
                "CPU",
                "percentunit",
                [(f"sum by (pod) (rate(process_cpu_seconds_total{SELECTOR}[$__rate_interval]))", "{{pod}}")],
            ),
            Panel(
                "Memory", "bytes", [(f"sum by (pod) (process_resident_memory_bytes{SELECTOR})", "{{pod}}")]
            ),
            Panel(
                "Lag of the event loop",
                "s",
                [(_quantile(0.99, "pointsman_loop_lag_seconds", "pod"), "p99 {{pod}}")],
                "What callers wait beside everything else.",
            ),
            Panel(
                "Configurations in force",
                "short",
                [
                    (f"count by (hash) (pointsman_config_info{SELECTOR} == 1)", "{{hash}}"),
                    (_rate("pointsman_config_reloads_total", "result"), "{{result}} a second"),
                ],
            ),
            Panel(
                "Versions",
                "short",
                [(f"count by (version) (pointsman_build_info{SELECTOR} == 1)", "{{version}}")],
            ),
            Panel(
                "Telemetry lost",
                "short",
                [
                    (_rate("pointsman_spans_total", "result"), "spans {{result}}"),
                    (_rate("pointsman_log_lines_dropped_total", "pod"), "log lines {{pod}}"),
                    (f"max by (pod) (pointsman_metric_series{SELECTOR})", "series {{pod}}"),
                ],
            ),
        ),
    ),
)


def dashboard() -> str:
    """The dashboard's JSON."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS:
        panels.append(
            {
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": _place(top, 0, 24, 1),
                "panels": [],
            }
        )
        top += 1
        for position, panel in enumerate(row):
            across, down = position % 3, position // 3
            panels.append(_panel(panel, _place(top + down * HEIGHT, across * WIDTH, WIDTH, HEIGHT)))
        top += -(-len(row) // 3) * HEIGHT
    for number, made in enumerate(panels, 1):
        made["id"] = number
    return json.dumps({**_FRAME, "panels": panels}, indent=1) + "\n"


def _place(top: int, left: int, width: int, height: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 8}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"datasource": source, "expr": query, "legendFormat": legend, "refId": chr(ord("A") + number)}
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }


def _variable(name: str) -> dict[str, Any]:
    query = f"label_values(pointsman_build_info, {name})"
    return {
        "name": name, "type": "query", "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": query, "refId": name}, "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }  # fmt: skip


_FRAME: dict[str, Any] = {
    "title": "Pointsman",
    "uid": "pointsman",
    "tags": ["pointsman", "inference"],
    "schemaVersion": 39,
    "editable": True,
    "refresh": "30s",
    "time": {"from": "now-1h", "to": "now"},
    "templating": {
        "list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"},
            _variable("namespace"),
            _variable("job"),
        ]
    },
}
