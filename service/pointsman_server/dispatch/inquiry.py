"""Runs of calls that are answered in one piece: vectors, and counts of tokens."""

from __future__ import annotations

from dataclasses import replace

from pointsman_server.dispatch.counting import estimated_count
from pointsman_server.dispatch.run import Run
from pointsman_server.domain import CountCall, EmbedCall, Embeddings, TokenCount
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.plan import Candidate, Plan
from pointsman_server.upstreams.contract import Embedder, Upstream


class EmbeddingRun(Run[EmbedCall]):
    """Vectors."""

    async def embed(self) -> Embeddings:
        """The vectors, all from one backend: those of different models cannot be compared."""
        trial = await self._first()
        while True:
            try:
                return await self._attempts.reply(trial, _embedder(trial.upstream))
            except ServiceError as error:
                trial = await self._next(error)


def _embedder(upstream: Upstream) -> Embedder:
    if upstream.embedder is None:
        raise ServiceError(Reason.UPSTREAM_UNIMPLEMENTED, "the backend makes no embeddings")
    return upstream.embedder


class CountingRun(Run[CountCall]):
    """A count: by the first of the plan's backends that can, else by the model's own tokenizer here, else estimated."""

    def _chosen(self, plan: Plan) -> Plan:
        """Fallbacks do not count: their models cut text into other tokens."""
        able = (
            candidate for candidate in plan.candidates if not candidate.fallback and self._counts(candidate)
        )
        return replace(plan, candidates=tuple(able))

    def _counts(self, candidate: Candidate) -> bool:
        return self._snapshot.handle(candidate.view.target).upstream.counter is not None

    async def count(self) -> TokenCount:
        """The count. Where no backend of the plan counts, none is asked."""
        if self._plan is None or not self._plan.candidates:
            return await self._local()
        trial = await self._first()
        while True:
            counter = trial.upstream.counter
            assert counter is not None, "only such candidates are in the plan"
            try:
                return TokenCount(await self._attempts.reply(trial, counter), exact=True)
            except ServiceError as error:
                trial = await self._next(error)

    async def _local(self) -> TokenCount:
        view = self._snapshot.model(self._call.model)
        if view is not None and view.tokenizer is not None:
            return await view.tokenizer.count(self._call.asked)
        return estimated_count(self._call.asked)
