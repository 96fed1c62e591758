"""Runs of calls that are answered in one piece: vectors, and counts of tokens."""

from __future__ import annotations

from dataclasses import replace

from pointsman_server.context import RoutingReport
from pointsman_server.dispatch.counting import estimated_count
from pointsman_server.dispatch.rules import RULES, Rule
from pointsman_server.dispatch.run import Run
from pointsman_server.dispatch.trial import Trial
from pointsman_server.domain import CountCall, EmbedCall, Embeddings, TokenCount, TokenIds
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.plan import Candidate, Plan, Tokenizer
from pointsman_server.upstreams.contract import Embedder, Upstream

_NO_PLACE = frozenset({Reason.NO_HEALTHY_BACKEND, Reason.QUEUE_TIMEOUT})
"""No backend could be asked."""


class EmbeddingRun(Run[EmbedCall]):
    """Vectors."""

    async def embed(self) -> Embeddings:
        """The vectors, all from one backend: those of different models cannot be compared."""
        return await self._answered(lambda trial: self._attempts.reply(trial, _embedder(trial.upstream)))


def _embedder(upstream: Upstream) -> Embedder:
    if upstream.embedder is None:
        raise ServiceError(Reason.UPSTREAM_UNIMPLEMENTED, "the backend makes no embeddings")
    return upstream.embedder


class CountingRun(Run[CountCall]):
    """A count: by the first of the plan's backends that can, else by the model's own tokenizer here, else estimated."""

    _replaced = False
    """Whether a count of ours stands in place of one that no backend made."""

    def report(self) -> RoutingReport:
        """As a Run's; no backend is named that did not count."""
        report = super().report()
        return replace(report, served=None, opened=None) if self._replaced else report

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
            return await self._here()
        try:
            return TokenCount(await self._answered(self._asked), exact=True)
        except ServiceError as error:
            return await self._instead(error)

    async def _asked(self, trial: Trial[CountCall]) -> int:
        """What a backend says."""
        counter = trial.upstream.counter
        assert counter is not None, "only such candidates are in the plan"
        return await self._attempts.reply(trial, counter)

    async def _instead(self, error: ServiceError) -> TokenCount:
        """A count in place of one that the backends failed to make, if it is exact; raises their failure if not."""
        tokenizer = self._tokenizer()
        if tokenizer is not None and (RULES[error.reason] is not Rule.NEVER or error.reason in _NO_PLACE):
            count = await self._counted(tokenizer)
            if count.exact:
                self._replaced = True
                return count
        raise error

    async def _here(self) -> TokenCount:
        tokenizer = self._tokenizer()
        if tokenizer is None or isinstance(self._call.asked.input, TokenIds):
            return estimated_count(self._call.asked)
        return await self._counted(tokenizer)

    def _tokenizer(self) -> Tokenizer | None:
        view = self._snapshot.model(self._call.model)
        return None if view is None else view.tokenizer

    async def _counted(self, tokenizer: Tokenizer) -> TokenCount:
        try:
            return await tokenizer.count(self._call.asked)
        except ServiceError as error:
            raise error.under("request") from error.__cause__
