"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

Wanted = dict[str, Any]
"""The arguments of AutoModel."""


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """MODEL and what goes with it in all commands that use a model, in one argument: `wanted`."""

    @wraps(command)
    def gathered(
        *,
        model: str,
        source: str | None,
        type_: str | None,
        config_id: str | None,
        config: str | None,
        no_config: bool,
        **others: Any,
    ) -> Any:
        if config is not None and no_config:
            msg = "--config and --no-config contradict each other"
            raise click.UsageError(msg)
        wanted = {
            "model": model,
            "source": source,
            "type": type_,
            "config_id": config_id,
            "config": (config or True) if not no_config else False,
        }
        return command(wanted=wanted, **others)

    described: Callable[..., Any] = gathered
    for option in (
        click.option("--no-config", is_flag=True, help="Read no config map."),
        click.option("--config", metavar="PATH", help="A config map, instead of the usual one."),
        click.option("--id", "config_id", metavar="ID", help="An entry of the config map."),
        click.option("--type", "type_", metavar="TYPE", help="llm, vlm, embed, rerank, ..."),
        click.option("--source", metavar="NAME", help="A provider, or local."),
        click.argument("model"),
    ):
        described = option(described)
    return described
