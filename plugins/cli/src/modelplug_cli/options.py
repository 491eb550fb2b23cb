"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def model_options(command: F) -> F:
    """MODEL, --source and --type, which all commands that use a model take."""
    for option in (
        click.option("--type", "type_", metavar="TYPE", help="llm, vlm, embed, rerank, ..."),
        click.option("--source", metavar="NAME", help="A provider, or local."),
        click.argument("model"),
    ):
        command = option(command)
    return command
