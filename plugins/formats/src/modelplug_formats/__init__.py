"""
Formatters: a model's reply as JSON, YAML or a typed value.

Importing this module is light: json_repair, PyYAML and cattrs are imported at first need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from attrs import frozen, has

from modelplug.errors import BadReply, ConfigError, FormatError
from modelplug.formatters import Formatter
from modelplug.hookspecs import hookimpl
from modelplug_formats.extract import find_json, find_yaml
from modelplug_formats.selector import Selector

__all__ = ["JsonFormatter", "TypedFormatter", "YamlFormatter"]


class JsonFormatter(Formatter):
    """
    The JSON in a reply, and what *selector* picks of it.

    Text may be pure JSON, fenced, amid prose, or damaged; one value is given as it is,
    several as a list. A value that is not text goes to the selector as it is. Selectors are
    described in `modelplug_formats.selector`.

    Raises ConfigError for a selector that cannot be read; on use, FormatError where the reply
    holds no JSON or the selector does not fit it.
    """

    def __init__(self, selector: str | None = None) -> None:
        self.selector = Selector.parse(selector)

    @hookimpl
    def format(self, value: Any) -> Any:
        """What the selector picks of the JSON in *value*."""
        parsed = _one_or_all(find_json(value)) if isinstance(value, str) else value
        return self.selector.pick(parsed, reply=value)

    def __repr__(self) -> str:
        return f"JsonFormatter({str(self.selector)!r})"


class YamlFormatter(Formatter):
    """
    The YAML that a reply is, fenced or not, and what *selector* picks of it.

    Only plain data is built, whatever tags the text holds. Errors as in `JsonFormatter`; text
    that is no mapping and no list is no YAML here, since to YAML any sentence is a scalar.
    """

    def __init__(self, selector: str | None = None) -> None:
        self.selector = Selector.parse(selector)

    @hookimpl
    def format(self, value: Any) -> Any:
        """What the selector picks of the YAML in *value*."""
        parsed = _one_or_all(find_yaml(value)) if isinstance(value, str) else value
        return self.selector.pick(parsed, reply=value)

    def __repr__(self) -> str:
        return f"YamlFormatter({str(self.selector)!r})"


@frozen(eq=False)
class TypedFormatter(Formatter):
    """
    The JSON in a reply as *target*: an attrs class, or `list[...]`, `dict[...]` of such.

    Nothing is coerced: `"1"` is no int. A key that the class does not have is left out. A reply
    with one object that is asked for as a list gives a list of one.

    Raises FormatError, which tells each path that does not fit; ConfigError for a target that
    is no class.
    """

    target: Any

    def __attrs_post_init__(self) -> None:
        if not hasattr(self.target, "__name__"):
            msg = f"{self.target!r} is no class; give an attrs class, list[...] or dict[...]"
            raise ConfigError(msg)

    @hookimpl
    def format(self, value: Any) -> Any:
        """*value*, text or parsed, as the target."""
        if isinstance(self.target, type) and isinstance(value, self.target):
            return value
        # cattrs costs 50 ms to import.
        from modelplug.structure import structure

        parsed = self._parsed(value) if isinstance(value, str) else value
        if has(self.target) and not isinstance(parsed, Mapping):
            self._refuse(f"a {type(parsed).__name__}", value)
        try:
            return structure(parsed, self.target)
        except BadReply as exc:
            raise FormatError(str(exc), reply=value) from exc

    def _parsed(self, text: str) -> Any:
        values = find_json(text)
        if getattr(self.target, "__origin__", self.target) in _SEVERAL:
            return values[0] if len(values) == 1 and isinstance(values[0], list) else values
        if len(values) > 1:
            self._refuse(f"{len(values)} JSON values", text)
        return values[0]

    def _refuse(self, what: str, reply: object) -> NoReturn:
        name = self.target.__name__
        msg = f"the reply holds {what}, not one {name}; list[{name}] would take several"
        raise FormatError(msg, reply=reply)


_SEVERAL = (list, tuple, set, frozenset)


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
