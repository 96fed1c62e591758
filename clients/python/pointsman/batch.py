"""Results of a batch, and what both clients share to ask for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pointsman import v1
from pointsman.answer import Generation, Usage
from pointsman.conversation import Input
from pointsman.errors import PointsmanError, truncated
from pointsman.request import build_request
from pointsman.status import restore_status


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one question; exactly one of `answer` and `error` is set."""

    index: int
    """Its position among the questions, from 0."""
    custom_id: str
    """The caller's name for it."""
    answer: Generation | None = None
    error: PointsmanError | None = None

    def unwrap(self) -> Generation:
        """The answer. Raises the error when there is none."""
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """A batch that is done."""

    succeeded: int
    failed: int
    usage: Usage | None
    """Tokens of all items together."""


def batch_request(
    questions: Iterable[Input | v1.GenerateRequest] | Mapping[str, Input | v1.GenerateRequest],
    *, model: str, max_concurrency: int, fail_fast: bool, params: Any,  # noqa: ANN401 - GenerateParams
) -> v1.BatchGenerateRequest:  # fmt: skip
    """The request; a mapping names its questions. A ready request stands as it is."""
    batch = v1.BatchGenerateRequest(max_concurrency=max_concurrency, fail_fast=fail_fast)
    named = questions.items() if isinstance(questions, Mapping) else (("", one) for one in questions)
    for custom_id, question in named:
        ready = question if isinstance(question, v1.GenerateRequest) else None
        asked = ready or build_request(cast(Input, question), model=model, request=None, params=params)
        batch.items.add(custom_id=custom_id).request.CopyFrom(asked)
    return batch


class BatchBooks:
    """What has come of one batch so far."""

    def __init__(self) -> None:
        self.summary: BatchSummary | None = None

    def take(self, message: v1.BatchGenerateResponse, request_id: str) -> BatchResult | None:
        """The result that a message holds; None for the last one, which is the summary."""
        if message.HasField("completed"):
            done = message.completed
            usage = Usage(done.usage) if done.HasField("usage") else None
            self.summary = BatchSummary(done.succeeded, done.failed, usage)
            return None
        if message.HasField("status"):
            error = restore_status(message.status, request_id)
            return BatchResult(message.index, message.custom_id, error=error)
        answer = Generation(message.response, message.response.routing.request_id or request_id)
        return BatchResult(message.index, message.custom_id, answer)

    def check_complete(self, request_id: str) -> None:
        """Raises StreamTruncated for a batch that ended without its summary."""
        if self.summary is None:
            raise truncated("the batch ended before it was complete", request_id, content_delivered=True)
