"""What formatters derive from, and how `|` chains them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from modelplug.plugins import installed


class Formatter:
    """
    Gives a reply a form. A plugin's subclass has one method, `format(value)`, marked with
    `@hookimpl`, and is the value of an entry point of group `modelplug.format`.
    """

    def format(self, value: Any) -> Any:
        """The formed value; FormatError, with the reply in it, where that fails."""
        raise NotImplementedError

    def __call__(self, value: Any) -> Any:
        """Form *value*, with the wrapper plugins round it."""
        return installed().format(self.format, value)

    def __or__(self, following: Callable[[Any], Any]) -> Formatter:
        return Chain(self, following)


@frozen
class Chain(Formatter):
    """Two steps, one after the other. The second may be any callable."""

    first: Callable[[Any], Any]
    second: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        """The second step's answer to the first one's."""
        return self.second(self.first(value))
