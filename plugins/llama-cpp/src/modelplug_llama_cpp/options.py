"""The options of `deploy_method(deploy.llama_cpp, ...)`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen

from modelplug.errors import ConfigError
from modelplug_local.options import one_of, text, whole

XLLAMACPP = "xllamacpp"
LLAMA_CPP_PYTHON = "llama_cpp_python"

LOOKUP = "lookup"
"""A draft that is no model: words that follow in the prompt where the last ones stand."""


def _adapters(given: object) -> tuple[tuple[str, float], ...] | object:
    """One path, several, or a scale for each, as (path, scale)."""
    if isinstance(given, str | Path):
        return ((str(given), 1.0),) if given else ()
    if isinstance(given, Mapping):
        return tuple((str(path), scale) for path, scale in given.items())
    if isinstance(given, list | tuple):
        return tuple((str(path), 1.0) for path in given)
    return given


def _scaled(_: object, attribute: Attribute[Any], value: object) -> None:
    good = isinstance(value, tuple) and all(
        isinstance(scale, int | float) and not isinstance(scale, bool) for _, scale in value
    )
    if not good:
        msg = f"{attribute.name} must be a path, a list of them, or {{path: scale}}, not {value!r}"
        raise ConfigError(msg)


@frozen(kw_only=True)
class Options:
    """
    None and empty text leave the choice to the plugin, as README.md says it is made.

    `context` is in tokens of one request, `prompt_cache` in MiB, `gpu_layers` -1 for as many
    as fit.
    """

    runtime: str = field(default="", validator=one_of("", XLLAMACPP, LLAMA_CPP_PYTHON))
    context: int | None = field(default=None, validator=whole(8))
    slots: int | None = field(default=None, validator=whole(1))
    threads: int | None = field(default=None, validator=whole(1))
    gpu_layers: int = field(default=-1, validator=whole(-1))
    main_gpu: int = field(default=0, validator=whole(0))
    batch: int | None = field(default=None, validator=whole(8))
    cache_type: str = field(default="f16", validator=one_of("f16", "q8_0", "q4_0"))
    flash_attention: bool | None = field(default=None, validator=one_of(None, True, False))
    pooling: str = field(default="", validator=one_of("", "mean", "cls", "last"))
    chat_template: str = field(default="", validator=text)
    projector: str = field(default="", validator=text)
    lora: Any = field(default=(), converter=_adapters, validator=_scaled)
    draft: str = field(default="", validator=text)
    draft_tokens: int = field(default=3, validator=whole(1))
    prompt_cache: int = field(default=0, validator=whole(0))
    verbosity: int = field(default=2, validator=whole(0))
