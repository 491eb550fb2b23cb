"""`modelplug explain`: what AutoModel would make, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from modelplug_cli.options import Wanted, model_options
from modelplug_cli.output import console, write_json

if TYPE_CHECKING:
    from modelplug.auto.choice import Choice


@click.command(short_help="Tell what MODEL would be, and why.")
@model_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def explain(wanted: Wanted, as_json: bool) -> int:
    """
    Tell which provider or engine MODEL would be served by, and why; what decided each
    setting; a key is never shown. Nothing is sent or started.

    Exit code 1: MODEL cannot be placed.
    """
    import modelplug

    choice = modelplug.explain(**wanted)
    if as_json:
        write_json(choice.to_dict())
    elif sys.stdout.isatty():
        _show(choice)
    else:
        print(choice)
    return 1 if choice.kind == "none" else 0


_MARK_STYLES = {"✓": "bold green", "✗": "red", "·": "yellow", "→": "cyan"}


def _show(choice: Choice) -> None:
    from rich.text import Text

    first, *rest = str(choice).splitlines()
    screen = console(sys.stdout)
    screen.print(Text(first, style="bold"))
    for line in rest:
        text = Text(line)
        for mark, style in _MARK_STYLES.items():
            if line.lstrip().startswith(mark):
                text.highlight_words([mark], style)
        if line.endswith(")") and (at := line.rfind("  (")) > 0:
            text.stylize("dim", at)
        screen.print(text)
