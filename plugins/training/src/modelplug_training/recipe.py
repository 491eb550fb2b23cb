"""A training as a YAML file: the builders of a module as keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from modelplug import TrainableModule
from modelplug.errors import ConfigError, did_you_mean

KEYS = {
    "base": "the model to train",
    "type": "its type, where the weights do not tell",
    "source": "the hub that it comes from",
    "name": "what the tuned one is published as",
    "trainer": "the trainer, by default the first that fits",
    "method": "full or lora",
    "serve": "merged or adapter",
    "python": "the interpreter that the trainer runs in",
    "trainset": "a file or a folder",
    "evalset": "what to measure on",
    "settings": "hyperparameters by their common names",
    "options": "the trainer's own",
    "engine": "the engine that serves it",
    "engine_options": "its options",
}
_TABLES = ("settings", "options", "engine_options")
_ARGUMENTS = ("method", "serve", "python", "name")


def read(path: Path) -> TrainableModule:
    """The module that the file *path* describes, ready for update()."""
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        msg = f"the recipe {str(path)!r} cannot be read: {exc.strerror}"
        raise ConfigError(msg) from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        msg = f"the recipe {str(path)!r} is not YAML: {exc}"
        raise ConfigError(msg) from exc
    if not isinstance(told, dict):
        msg = f"the recipe {str(path)!r} is no table of keys ({', '.join(KEYS)})"
        raise ConfigError(msg)
    _check(path, told)
    # A path in a recipe is beside the recipe.
    for key in ("trainset", "evalset"):
        if told.get(key):
            told[key] = str(path.parent / Path(str(told[key])).expanduser())
    return module_of(told)


def _check(path: Path, told: Mapping[str, Any]) -> None:
    for key in told:
        if key not in KEYS:
            near = did_you_mean(str(key), KEYS) or f"; it may have: {', '.join(KEYS)}"
            msg = f"the recipe {str(path)!r} has an unknown key {key!r}{near}"
            raise ConfigError(msg)
    for key in ("base", "trainset"):
        if not told.get(key):
            msg = f"the recipe {str(path)!r} has no {key}: {KEYS[key]}"
            raise ConfigError(msg)
    for key in _TABLES:
        if told.get(key) is not None and not isinstance(told[key], dict):
            msg = f"the recipe {str(path)!r}: {key} is a table of keys and values"
            raise ConfigError(msg)


def module_of(told: Mapping[str, Any]) -> TrainableModule:
    """The module of a recipe's keys."""
    module = TrainableModule(
        str(told["base"]), str(told.get("target") or ""), type=told.get("type"),
        source=told.get("source"),
    )  # fmt: skip
    if engine := told.get("engine"):
        module.deploy_method(str(engine), **(told.get("engine_options") or {}))
    arguments = {**(told.get("settings") or {}), **(told.get("options") or {})}
    arguments |= {key: told[key] for key in _ARGUMENTS if told.get(key)}
    arguments |= told.get("arguments") or {}
    module.finetune_method(told.get("trainer"), **arguments)
    module.trainset(told["trainset"])
    if evalset := told.get("evalset"):
        module.evalset(evalset)
    return module
