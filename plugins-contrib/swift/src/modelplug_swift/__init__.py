"""The trainer swift for modelplug: chat models, by LoRA or all of their weights."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import frozen

from modelplug.catalog import read_manifest
from modelplug.hookspecs import hookimpl
from modelplug.types import ModelType, Training, TrainingPlan

__all__ = ["Swift", "plugin"]

SCRIPT = Path(__file__).with_name("train.py")


@frozen(eq=False)
class Swift:
    """Trains in `train.py`, which any interpreter with ms-swift can run."""

    @hookimpl
    def finetune(self, request: Training) -> TrainingPlan | None:
        """A plan for chat models; None for others."""
        if request.type != ModelType.LLM:
            return None
        given = request.settings.given()
        if request.method != "lora":
            for name in ("lora_r", "lora_alpha", "lora_dropout", "lora_targets"):
                # Defaults of the manifest are there whatever the method is.
                given.pop(name, None)
        names = read_manifest(__name__).table("finetune", "swift").settings
        arguments = {names[name]: value for name, value in given.items()} | dict(request.options)
        return TrainingPlan(
            argv=[request.python, str(SCRIPT), "request.json"],
            files={"request.json": json.dumps(request.to_dict() | {"arguments": arguments})},
            env={"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
        )


plugin = Swift()
