"""The options of `deploy_method(deploy.<engine>, ...)` as an attrs class, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import Attribute, fields

from modelplug.errors import ConfigError, UnknownOption, did_you_mean

T = TypeVar("T")


def whole(least: int) -> Any:
    """Validates a whole number of at least *least*, or None."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            msg = f"{attribute.name} must be a whole number of at least {least}, not {value!r}"
            raise ConfigError(msg)

    return check


def number(least: float) -> Any:
    """Validates a number of at least *least*."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= least:
            msg = f"{attribute.name} must be a number of at least {least}, not {value!r}"
            raise ConfigError(msg)

    return check


def one_of(*known: object) -> Any:
    """Validates that a value is one of *known*."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value not in known:
            names = ", ".join(repr(name) for name in known if name not in ("", None))
            msg = f"{attribute.name} must be one of {names}, not {value!r}"
            raise ConfigError(msg)

    return check


def text(_: object, attribute: Attribute[Any], value: object) -> None:
    """Validates text."""
    if not isinstance(value, str):
        msg = f"{attribute.name} must be text, not {value!r}"
        raise ConfigError(msg)


def read_options(engine: str, options: type[T], given: Mapping[str, object]) -> T:
    """
    *given* as *options*, an attrs class with the validators above.

    UnknownOption for a name that is not one, ConfigError for a value that cannot be; both
    name *engine*.
    """
    known = [attribute.name for attribute in fields(options)]  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            msg = f"{engine} has no option {name!r}{did_you_mean(name, known)}"
            raise UnknownOption(msg)
    try:
        return options(**given)
    except ConfigError as exc:
        msg = f"{engine}: {exc}"
        raise ConfigError(msg) from exc
