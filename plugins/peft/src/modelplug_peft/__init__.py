"""The trainer peft for modelplug: chat models, by LoRA or all of their weights."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from attrs import frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import ModelType, Training, TrainingPlan

__all__ = ["Peft", "plugin"]

SCRIPT = Path(__file__).with_name("train.py")
MANIFEST = Path(__file__).with_name("modelplug.toml")


@frozen(eq=False)
class Peft:
    """Trains in `train.py`, which any interpreter with TRL and PEFT can run."""

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
        names = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))["finetune"]["peft"]["settings"]
        arguments = {names[name]: value for name, value in given.items()} | dict(request.options)
        return TrainingPlan(
            argv=[request.python, str(SCRIPT), "request.json"],
            files={"request.json": json.dumps(request.to_dict() | {"arguments": arguments})},
            env={"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
        )


plugin = Peft()
