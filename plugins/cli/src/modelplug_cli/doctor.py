"""`modelplug doctor`: whether things are as they should be, and what to do where not."""

from __future__ import annotations

import os
import sys
from itertools import groupby
from typing import TYPE_CHECKING

import click

from modelplug_cli.output import console, for_terminal, waiting, write_json

if TYPE_CHECKING:
    from modelplug_cli.checks import Check

_MARKS = {"ok": ("✓", "green"), "note": ("!", "yellow"), "broken": ("✗", "bold red")}


@click.command(short_help="Check this machine and what is installed.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(as_json: bool) -> int:
    """
    Check Python, plugins (each is imported), keys (set or not; never shown), the config map,
    engines and their interpreters, proxies, loopback, the hub, disk, memory and GPU. What is
    wrong is told with its mend.

    Nothing is sent or downloaded: to the hub a connection is opened and closed. Exit code 1:
    something is broken; a note is no problem.
    """
    from attrs import asdict

    from modelplug_cli.checks import all_checks

    with waiting("looking"):
        checks = list(all_checks(os.environ))
    broken = sum(check.state == "broken" for check in checks)
    if as_json:
        write_json({"broken": broken, "checks": [asdict(check) for check in checks]})
    else:
        _show(checks, broken)
    return 1 if broken else 0


def _show(checks: list[Check], broken: int) -> None:
    verdict = f"{broken} broken" if broken else "nothing is broken"
    if sys.stdout.isatty():
        _show_at_terminal(checks)
        style = _MARKS["broken" if broken else "ok"][1]
        console(sys.stdout).print(verdict, style=style)
        return
    width = max(len(check.name) for check in checks)
    for area, of_area in groupby(checks, key=lambda check: check.area):
        print(area)
        for check in of_area:
            print(f"  {_MARKS[check.state][0]} {check.name.ljust(width)}  {_line(check.found)}")
            if check.mend:
                print(f"    {' ' * width}  → {_line(check.mend)}")
    print(verdict)


def _show_at_terminal(checks: list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console(sys.stdout)
    width = max(len(check.name) for check in checks)
    for area, of_area in groupby(checks, key=lambda check: check.area):
        screen.print(area, style="bold")
        table = Table.grid(padding=(0, 1))
        table.add_column(width=3, justify="right")
        table.add_column(width=width)
        table.add_column(overflow="fold")
        for check in of_area:
            mark, style = _MARKS[check.state]
            told = Text(_line(check.found))
            if check.mend:
                told.append(f"\n→ {_line(check.mend)}", style="cyan")
            table.add_row(Text(mark, style=style), Text(check.name), told)
        screen.print(table)


def _line(text: str) -> str:
    return for_terminal(" ".join(text.split()))
