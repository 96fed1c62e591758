"""The chat template that an attempt is made with: the target's, else the model's, else none."""

from __future__ import annotations

from pointsman_server.context import ChatTemplate
from pointsman_server.domain import Fallback
from tests.fakes.upstream import served
from tests.flow.rig import Rig

MODELS = {
    "m": {
        "chat_template": {"text": "model's", "eos_token": "</s>", "variables": {"b": 1, "a": "x"}},
        "targets": [{"backend": "a"}, {"backend": "b", "chat_template": {"text": "own"}}],
    }
}
MODELS_OWN = ChatTemplate("model's", "", "</s>", (("a", "x"), ("b", 1)))


def used(rig: Rig, backend: str) -> ChatTemplate | None:
    return rig.upstreams[backend].attempts[-1].target.chat_template


async def test_a_targets_template_stands_above_the_models():
    """Both come with their words; variables are in one order, so that equal ones are equal."""
    rig = Rig({"a": [served()], "b": [served()]}, models=MODELS)
    await rig.generate()
    await rig.generate()
    assert (used(rig, "a"), used(rig, "b")) == (MODELS_OWN, ChatTemplate("own"))


async def test_a_backend_that_the_caller_names_uses_the_models_template():
    """As a fallback that the model does not list."""
    models = {"m": {**MODELS["m"], "targets": [{"backend": "a"}]}}
    rig = Rig({"a": [served()], "c": [served()]}, models=models)
    await rig.generate(allow_backends=("c",), fallbacks=(Fallback(backend="c"),))
    assert used(rig, "c") == MODELS_OWN


async def test_without_one_nothing_is_chosen():
    """The dialect then uses the default."""
    rig = Rig({"a": [served()]})
    await rig.generate()
    assert used(rig, "a") is None


async def test_an_attempt_knows_the_day():
    """From the clock's wall time, which prompts may tell."""
    rig = Rig({"a": [served()]})
    await rig.generate()
    assert rig.upstreams["a"].attempts[-1].wall_s >= rig.clock.wall() - 60 > 0
