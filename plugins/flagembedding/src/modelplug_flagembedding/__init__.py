"""The trainer flagembedding for modelplug: embedders and rerankers of one encoder."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import ModelType, Training, TrainingPlan
from modelplug_training.plans import renamed, script_plan, settings_of

__all__ = ["FlagEmbedding", "plugin"]

SCRIPT = Path(__file__).with_name("train.py")


@frozen(eq=False)
class FlagEmbedding:
    """Trains in `train.py`, which any interpreter with FlagEmbedding can run."""

    @hookimpl
    def finetune(self, request: Training) -> TrainingPlan | None:
        """A plan for embedders and rerankers; None for others."""
        if request.type not in (ModelType.EMBED, ModelType.RERANK):
            return None
        arguments = renamed("flagembedding", settings_of(request), request)
        return script_plan(SCRIPT, request, arguments)


plugin = FlagEmbedding()
