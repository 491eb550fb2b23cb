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
    from modelplug.auto.choice import Choice
    from modelplug.auto.choose import AutoModel, explain
    from modelplug.auto.dynamic import using
    from modelplug.fallbacks import fallback
    from modelplug.formatters import Formatter
    from modelplug.hookspecs import hookimpl
    from modelplug.local.trainable import TrainableModule, deploy, finetune, formatter
    from modelplug.media import Media
    from modelplug.models import Model
    from modelplug.online import OnlineModule
    from modelplug.tapes import tape
    from modelplug.types import ModelType, Secret, Timeouts

_HOMES = {
    "AutoModel": "auto.choose",
    "Choice": "auto.choice",
    "Formatter": "formatters",
    "Media": "media",
    "Model": "models",
    "ModelType": "types",
    "OnlineModule": "online",
    "Secret": "types",
    "Timeouts": "types",
    "TrainableModule": "local.trainable",
    "deploy": "local.trainable",
    "explain": "auto.choose",
    "fallback": "fallbacks",
    "finetune": "local.trainable",
    "formatter": "local.trainable",
    "hookimpl": "hookspecs",
    "tape": "tapes",
    "using": "auto.dynamic",
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
    "using",
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
