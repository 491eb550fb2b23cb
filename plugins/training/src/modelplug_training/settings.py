"""Sorts the arguments of `finetune_method` and checks each before anything is begun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from modelplug.catalog import TrainerTraits
from modelplug.errors import ConfigError, UnknownOption, did_you_mean
from modelplug.types import ModelType, Settings
from modelplug.types.training import SETTINGS

COMMON = ("method", "python", "name", "serve")
SERVE = ("merged", "adapter")


@frozen
class Asked:
    """The arguments, each in its place; `settings` with the trainer's defaults filled in."""

    method: str
    python: str | None
    name: str
    serve: str
    settings: Settings
    options: Mapping[str, Any]


def sort_out(trainer: str, traits: TrainerTraits, arguments: Mapping[str, Any]) -> Asked:
    """UnknownOption names the near matches, ConfigError what a value must be."""
    settings, options = dict(traits.defaults), {}
    own = {theirs: ours for ours, theirs in traits.settings.items()}
    for name, value in arguments.items():
        if name in COMMON:
            continue
        if name in SETTINGS and name in traits.settings:
            settings[name] = value
        elif name in traits.options:
            options[name] = value
        elif name in own:
            msg = f"{trainer} is given {own[name]}= for its {name}; write {own[name]}={value!r}"
            raise UnknownOption(msg)
        elif name in SETTINGS:
            msg = f"{trainer} has nothing to set {name!r} by; leave it out, or take another trainer"
            raise UnknownOption(msg)
        else:
            known = [*COMMON, *traits.settings, *traits.options]
            near = did_you_mean(name, known) or f"; it has: {', '.join(known)}"
            msg = f"{trainer} has no argument {name!r}{near}"
            raise UnknownOption(msg)
    method = arguments.get("method") or traits.methods[0]
    if method not in traits.methods:
        msg = f"{trainer} trains {' or '.join(traits.methods)}, not {method!r}"
        raise ConfigError(msg)
    serve = arguments.get("serve") or SERVE[0]
    if serve not in SERVE:
        msg = f"serve is {' or '.join(map(repr, SERVE))}, not {serve!r}"
        raise ConfigError(msg)
    return Asked(
        method=method,
        python=arguments.get("python"),
        name=str(arguments.get("name") or ""),
        serve=serve,
        settings=_settings(trainer, settings),
        options=options,
    )


def _settings(trainer: str, given: Mapping[str, Any]) -> Settings:
    try:
        return Settings(**given)
    except ConfigError as exc:
        msg = f"{trainer}: {exc}"
        raise ConfigError(msg) from exc


def choose(trainers: Mapping[str, TrainerTraits], type: ModelType) -> str:
    """The trainer of the lowest rank for models of *type*; ConfigError tells what to install."""
    fitting = [name for name, traits in trainers.items() if type in traits.types]
    if not fitting:
        have = ", ".join(f"{n} ({', '.join(t.types)})" for n, t in trainers.items()) or "none"
        usual = "peft" if type.chats else "sentence-transformers-training"
        msg = (
            f"no installed trainer trains a model of type {type} (installed: {have}); "
            f"pip install modelplug-{usual}"
        )
        raise ConfigError(msg)
    return min(fitting, key=lambda name: (trainers[name].rank, name))
