"""The options of `deploy_method(deploy.llama_cpp, ...)`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, fields, frozen

from modelplug.errors import ConfigError, UnknownOption, did_you_mean

XLLAMACPP = "xllamacpp"
LLAMA_CPP_PYTHON = "llama_cpp_python"


def _whole(least: int) -> Any:
    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            needed = f"a whole number of at least {least}"
            msg = f"llama_cpp: {attribute.name} must be {needed}, not {value!r}"
            raise ConfigError(msg)

    return check


def _one_of(*known: object) -> Any:
    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value not in known:
            names = ", ".join(repr(name) for name in known if name not in ("", None))
            msg = f"llama_cpp: {attribute.name} must be one of {names}, not {value!r}"
            raise ConfigError(msg)

    return check


def _text(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        msg = f"llama_cpp: {attribute.name} must be text, not {value!r}"
        raise ConfigError(msg)


def _seconds(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        msg = f"llama_cpp: {attribute.name} must be a number of seconds above 0, not {value!r}"
        raise ConfigError(msg)


@frozen(kw_only=True)
class Options:
    """
    None and empty text leave the choice to the plugin, as README.md says it is made.

    `context` is in tokens of one request, `prompt_cache` in MiB, `start_timeout` in seconds,
    `gpu_layers` -1 for as many as fit.
    """

    runtime: str = field(default="", validator=_one_of("", XLLAMACPP, LLAMA_CPP_PYTHON))
    python: str = field(default="", validator=_text)
    context: int | None = field(default=None, validator=_whole(8))
    slots: int | None = field(default=None, validator=_whole(1))
    threads: int | None = field(default=None, validator=_whole(1))
    gpu_layers: int = field(default=-1, validator=_whole(-1))
    main_gpu: int = field(default=0, validator=_whole(0))
    batch: int | None = field(default=None, validator=_whole(8))
    cache_type: str = field(default="f16", validator=_one_of("f16", "q8_0", "q4_0"))
    flash_attention: bool | None = field(default=None, validator=_one_of(None, True, False))
    pooling: str = field(default="", validator=_one_of("", "mean", "cls", "last"))
    chat_template: str = field(default="", validator=_text)
    projector: str = field(default="", validator=_text)
    lora: str = field(default="", validator=_text)
    prompt_cache: int = field(default=0, validator=_whole(0))
    verbosity: int = field(default=2, validator=_whole(0))
    start_timeout: float = field(default=600.0, validator=_seconds)


def read_options(given: Mapping[str, object]) -> Options:
    """UnknownOption for a name that is not one, ConfigError for a value that cannot be."""
    known = [attribute.name for attribute in fields(Options)]
    for name in given:
        if name not in known:
            msg = f"llama_cpp has no option {name!r}{did_you_mean(name, known)}"
            raise UnknownOption(msg)
    return Options(**given)  # type: ignore[arg-type]  # the validators are what checks them
