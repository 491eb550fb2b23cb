"""The trainer sentence_transformers for modelplug: embedders and rerankers."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import ModelType, Training, TrainingPlan
from modelplug_training.plans import renamed, script_plan, settings_of

__all__ = ["SentenceTransformers", "plugin"]

SCRIPT = Path(__file__).with_name("train.py")


@frozen(eq=False)
class SentenceTransformers:
    """Trains in `train.py`, which any interpreter with sentence-transformers can run."""

    @hookimpl
    def finetune(self, request: Training) -> TrainingPlan | None:
        """A plan for embedders and rerankers; None for others."""
        if request.type not in (ModelType.EMBED, ModelType.RERANK):
            return None
        arguments = renamed("sentence_transformers", settings_of(request), request)
        return script_plan(SCRIPT, request, arguments)


plugin = SentenceTransformers()
