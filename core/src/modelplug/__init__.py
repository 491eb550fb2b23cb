"""
One API over online model providers and local engines; each is a plugin.

    import modelplug as mp

    llm = mp.AutoModel(source="openai")            # online
    llm = mp.TrainableModule("qwen2-1.5b").start() # local
    llm("Hello")

Importing this package loads no plugin, no HTTP client and no converter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelplug._version import VERSION as __version__

if TYPE_CHECKING:
    from modelplug.choose import AutoModel, Choice, explain
    from modelplug.fallbacks import fallback
    from modelplug.formatters import Formatter
    from modelplug.hookspecs import hookimpl
    from modelplug.media import Media
    from modelplug.models import Model
    from modelplug.online import OnlineModule
    from modelplug.tapes import tape
    from modelplug.trainable import TrainableModule, deploy, finetune, formatter
    from modelplug.types import ModelType, Secret, Timeouts

_HOMES = {
    "AutoModel": "choose",
    "Choice": "choose",
    "Formatter": "formatters",
    "Media": "media",
    "Model": "models",
    "ModelType": "types",
    "OnlineModule": "online",
    "Secret": "types",
    "Timeouts": "types",
    "TrainableModule": "trainable",
    "deploy": "trainable",
    "explain": "choose",
    "fallback": "fallbacks",
    "finetune": "trainable",
    "formatter": "trainable",
    "hookimpl": "hookspecs",
    "tape": "tapes",
}

__all__ = [
    "AutoModel",
    "Choice",
    "Formatter",
    "Media",
    "Model",
    "ModelType",
    "OnlineModule",
    "Secret",
    "Timeouts",
    "TrainableModule",
    "__version__",
    "deploy",
    "explain",
    "fallback",
    "finetune",
    "formatter",
    "hookimpl",
    "tape",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in ("errors", "types"):  # read as `mp.errors.RateLimited`, not imported by itself
        return import_module(f"modelplug.{name}")
    try:
        home = _HOMES[name]
    except KeyError:
        msg = f"module 'modelplug' has no attribute {name!r}"
        raise AttributeError(msg) from None
    value = getattr(import_module(f"modelplug.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
