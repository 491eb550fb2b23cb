"""Which parsers a model needs, told by its chat template; families.toml has the rows."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from attrs import field, frozen


@frozen
class Family:
    """A row: `parser` is vLLM's name of it."""

    parser: str
    template: list[str]
    types: list[str] = field(factory=list)

    def fits(self, template: str, model_type: str) -> bool:
        """Whether the marks are in *template* and the type is one of those named, if any are."""
        return all(mark in template for mark in self.template) and (
            not self.types or any(fnmatchcase(model_type, each) for each in self.types)
        )


@cache
def _families() -> dict[str, list[Family]]:
    text = Path(__file__).with_name("families.toml").read_text(encoding="utf-8")
    return {use: [Family(**row) for row in rows] for use, rows in tomllib.loads(text).items()}


def parser_for(use: Literal["tools", "reasoning"], template: str, model_type: str) -> str | None:
    """vLLM's name of the parser for *use*; None if no row fits."""
    fitting = (row.parser for row in _families()[use] if row.fits(template, model_type))
    return next(fitting, None)
