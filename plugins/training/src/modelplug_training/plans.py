"""What the plans of trainers have in common: arguments by the manifest, one script, one request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelplug.errors import ConfigError
from modelplug.plugins import installed
from modelplug.types import ModelType, Training, TrainingPlan

EMBEDDER_ONLY = ("temperature", "pooling", "normalize", "instruction")
LORA_ONLY = ("lora_r", "lora_alpha", "lora_dropout", "lora_targets")


def settings_of(request: Training) -> dict[str, Any]:
    """The settings that go with the type and the method; ConfigError for one of embedders."""
    given = request.settings.given()
    if request.type == ModelType.RERANK:
        for name in EMBEDDER_ONLY:
            if name in given:
                msg = f"{name} is a setting of embedders and this is a reranker; leave it out"
                raise ConfigError(msg)
    if request.method != "lora":
        # Defaults of the manifest are there whatever the method is.
        for name in LORA_ONLY:
            given.pop(name, None)
    return given


def renamed(trainer: str, given: Mapping[str, Any], request: Training) -> dict[str, Any]:
    """*given*, called what *trainer* calls it, and the options that are its own."""
    names = installed().trainer(trainer).settings
    return {names[name]: value for name, value in given.items()} | dict(request.options)


def script_plan(script: Path, request: Training, arguments: Mapping[str, Any]) -> TrainingPlan:
    """Run *script* on the request and *arguments*, in the interpreter that has the trainer."""
    return TrainingPlan(
        argv=[request.python, str(script), "request.json"],
        files={"request.json": json.dumps(request.to_dict() | {"arguments": dict(arguments)})},
        env={"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
    )
