"""The trainer peft for modelplug: chat models, by LoRA or all of their weights."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import ModelType, Training, TrainingPlan
from modelplug_training.plans import renamed, script_plan, settings_of

__all__ = ["Peft", "plugin"]

SCRIPT = Path(__file__).with_name("train.py")


@frozen(eq=False)
class Peft:
    """Trains in `train.py`, which any interpreter with TRL and PEFT can run."""

    @hookimpl
    def finetune(self, request: Training) -> TrainingPlan | None:
        """A plan for chat models; None for others."""
        if request.type != ModelType.LLM:
            return None
        arguments = renamed("peft", settings_of(request), request)
        return script_plan(SCRIPT, request, arguments)


plugin = Peft()
