"""The trainer flagembedding for modelplug: embedders and rerankers of one encoder."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from attrs import frozen

from modelplug.errors import ConfigError
from modelplug.hookspecs import hookimpl
from modelplug.types import ModelType, Training, TrainingPlan

__all__ = ["FlagEmbedding", "plugin"]

SCRIPT = Path(__file__).with_name("train.py")
MANIFEST = Path(__file__).with_name("modelplug.toml")

EMBEDDER_ONLY = ("temperature", "pooling", "normalize", "instruction")


@frozen(eq=False)
class FlagEmbedding:
    """Trains in `train.py`, which any interpreter with FlagEmbedding can run."""

    @hookimpl
    def finetune(self, request: Training) -> TrainingPlan | None:
        """A plan for embedders and rerankers; None for others."""
        if request.type not in (ModelType.EMBED, ModelType.RERANK):
            return None
        given = request.settings.given()
        if request.type == ModelType.RERANK:
            for name in EMBEDDER_ONLY:
                if name in given:
                    msg = f"{name} is a setting of embedders and this is a reranker; leave it out"
                    raise ConfigError(msg)
        names = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))["finetune"]["flagembedding"][
            "settings"
        ]
        arguments = {names[name]: value for name, value in given.items()} | dict(request.options)
        return TrainingPlan(
            argv=[request.python, str(SCRIPT), "request.json"],
            files={"request.json": json.dumps(request.to_dict() | {"arguments": arguments})},
            env={"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
        )


plugin = FlagEmbedding()
