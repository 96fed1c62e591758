"""Amazon's client: Converse and ConverseStream."""

from __future__ import annotations

import base64
import os
from functools import cache
from typing import Any
from urllib.parse import unquote

import boto3
import botocore.exceptions
from botocore.config import Config

from tests.sdks.clients.heard import Heard, bearer


@cache
def _client(url: str, name: str, secret: str, token: str, authority: str) -> Any:
    os.environ.pop("AWS_BEARER_TOKEN_BEDROCK", None)
    if token:
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = token
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        verify=authority or None,
        region_name="us-east-1",
        aws_access_key_id=None if token else name,
        aws_secret_access_key=None if token else secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
    )


def _ask(job: dict[str, Any], operation: str) -> Any:
    token = bearer(job) if job["headers"]["authorization"].startswith("Bearer ") else ""
    client = _client(job["url"], job["secrets"]["ID"], job["secrets"]["SECRET"], token, job["authority"])
    shape = client.meta.service_model.operation_model(operation).input_shape
    body = {"modelId": unquote(job["path"].split("/")[2]), **_bytes(job["body"], shape)}
    return (client.converse if operation == "Converse" else client.converse_stream)(**body)


def _bytes(value: Any, shape: Any) -> Any:
    """As the client takes it: what is base64 on the wire is bytes. The rest it checks against its own model."""
    match shape and shape.type_name:
        case "blob" if isinstance(value, str):
            return base64.b64decode(value)
        case "structure" if isinstance(value, dict) and not getattr(shape, "is_document_type", False):
            return {name: _bytes(one, shape.members.get(name)) for name, one in value.items()}
        case "list" if isinstance(value, list):
            return [_bytes(one, shape.member) for one in value]
        case _:
            return value


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    answer = _ask(job, "Converse")
    heard.set(finish_reason_raw=answer["stopReason"])
    for index, block in enumerate(answer["output"]["message"]["content"]):
        heard.add(text=block.get("text"))
        heard.add(reasoning=block.get("reasoningContent", {}).get("reasoningText", {}).get("text"))
        if "toolUse" in block:
            said = block["toolUse"]
            heard.call(index, said["toolUseId"], said["name"], said["input"])
    _used(answer["usage"], heard)


def stream(job: dict[str, Any], heard: Heard) -> None:
    """A stream of events, each under its name."""
    for event in _ask(job, "ConverseStream")["stream"]:
        match event:
            case {"contentBlockStart": {"start": {"toolUse": said}, "contentBlockIndex": index}}:
                heard.call(index, said["toolUseId"], said["name"], "")
            case {"contentBlockDelta": {"delta": {"text": text}}}:
                heard.add(text=text)
            case {"contentBlockDelta": {"delta": {"reasoningContent": said}}}:
                heard.add(reasoning=said.get("text"))
            case {"contentBlockDelta": {"delta": {"toolUse": said}, "contentBlockIndex": index}}:
                heard.call(index, None, None, said["input"])
            case {"messageStop": said}:
                heard.set(finish_reason_raw=said["stopReason"])
            case {"metadata": said}:
                _used(said["usage"], heard)
            case _:
                pass


def _used(usage: dict[str, Any], heard: Heard) -> None:
    heard.used(
        input_tokens=usage["inputTokens"],
        output_tokens=usage["outputTokens"],
        total_tokens=usage["totalTokens"],
        cached_input_tokens=usage.get("cacheReadInputTokens"),
        cache_write_tokens=usage.get("cacheWriteInputTokens"),
    )


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells."""
    if not isinstance(error, botocore.exceptions.ClientError):
        return {}
    said, about = error.response["Error"], error.response["ResponseMetadata"]
    return {
        "http_status": about.get("HTTPStatusCode"),
        "code": said["Code"],
        "message": said["Message"],
        "request_id": about.get("RequestId"),
    }
