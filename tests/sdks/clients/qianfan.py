"""Baidu's client: the older interface to ERNIE, and the exchange of keys for its access token."""

from __future__ import annotations

import os
import re
from typing import Any

# Before it is imported, which reads them.
os.environ.update(QIANFAN_ACCESS_TOKEN="-", QIANFAN_DISABLE_CACHE="true", QIANFAN_LLM_API_RETRY_COUNT="1")
import qianfan
from qianfan.errors import APIError
from qianfan.resources.auth.oauth import Auth

from tests.sdks.clients.heard import Heard


def _ask(job: dict[str, Any]) -> Any:
    settings = qianfan.get_config()
    settings.BASE_URL = job["url"]
    settings.ACCESS_TOKEN = job["query"]["access_token"]
    body = dict(job["body"])
    chat = qianfan.ChatCompletion(version=1)
    return chat.do(
        messages=body.pop("messages"),
        endpoint=job["path"].rpartition("/")[2],
        stream=body.pop("stream", False),
        retry_count=1,
        request_timeout=20,
        **body,
    )


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer, or a token."""
    if not job["path"].startswith("/oauth/"):
        _response(_ask(job).body, heard)
        return
    settings = qianfan.get_config()
    settings.BASE_URL, settings.ACCESS_TOKEN = job["url"], None
    heard.add(text=Auth(ak=job["query"]["client_id"], sk=job["query"]["client_secret"]).access_token())


def stream(job: dict[str, Any], heard: Heard) -> None:
    """A stream: each chunk is a response."""
    for chunk in _ask(job):
        _response(chunk.body, heard)


def _response(body: dict[str, Any], heard: Heard) -> None:
    heard.set(id=body["id"], finish_reason_raw=body.get("finish_reason") or None)
    heard.add(text=body["result"])
    if said := body.get("function_call"):
        heard.call(0, None, said["name"], said["arguments"])
    if usage := body.get("usage"):
        heard.used(
            input_tokens=usage["prompt_tokens"],
            output_tokens=usage["completion_tokens"],
            total_tokens=usage["total_tokens"],
        )


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells: code and message in one text."""
    if not isinstance(error, APIError):
        return {}
    found = re.search(r"code: (\d+), msg: (.*)", str(error))
    return {"code": found[1], "message": found[2]} if found else {}
