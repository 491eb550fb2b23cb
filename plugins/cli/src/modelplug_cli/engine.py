"""`modelplug engine`: the environments that engines and trainers run in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelplug_cli.output import note, waiting, write_json, write_rows

if TYPE_CHECKING:
    from modelplug_local.environments.install import Status
    from modelplug_local.environments.inventory import Installed


@click.group(short_help="Install what engines and trainers run on.")
def engine() -> None:
    """
    Engines and trainers run on packages that seldom fit beside each other: each has a virtual
    environment of its own, made from its plugin's list of exact versions with their hashes.
    It is shared by all models and programs, and used without being asked for.
    """


@engine.command(short_help="Make the environment of an engine or a trainer.")
@click.argument("name")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    help="Which build; by default that for a GPU where there is one.",
)
@click.option(
    "--python",
    type=click.Path(dir_okay=False),
    help="The interpreter to make it with; by default the one that runs this.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def install(name: str, device: str | None, python: str | None, as_json: bool) -> int:
    """
    Make the environment of NAME, and print its folder. One that is there and up to date is
    left as it is; one that is not is replaced when the new one is complete.

    uv does the work where it is on the PATH, else pip; indexes and mirrors are those that pip
    is set up with.
    """
    from modelplug_local.environments.install import install as make

    made = []
    with waiting(f"{name}: looking") as status:

        def tell(line: str) -> None:
            # The lines of single packages are for a terminal, where each takes another's place.
            if hasattr(status, "update"):
                status.update(f"{name}: {line}")
            elif not line.startswith(("Collecting", "Downloading")):
                note(f"{name}: {line}")

        made = make(name, device=device, python=python, tell=tell)
    if as_json:
        write_json([_plain(each) | {"made": is_new} for each, is_new in made])
        return 0
    for each, is_new in made:
        print(each.path)
        _tell_of(each, is_new)
    return 0


def _tell_of(each: Installed, is_new: bool) -> None:
    size = f"{each.size / 1e9:.1f} GB" if each.size >= 5e7 else f"{each.size / 1e6:.1f} MB"
    done = "installed" if is_new else "is there already"
    note(
        f"{each.name} {done}: {len(each.packages)} packages for {each.device}, "
        f"Python {each.version}, {size}"
    )
    loose = [f"{name} {p.version}" for name, p in each.packages.items() if not p.locked]
    if loose:
        note(f"its plugin names no hash for {', '.join(loose)}")


@engine.command("list", short_help="List them, and what could be installed.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> int:
    """
    List each engine and trainer that has, or could have, an environment.

    ok; absent; here: none, but this Python has the packages; stale: its plugin has another
    list of packages now; broken; unused: its plugin is gone.
    """
    return _show(check=False, names=(), as_json=as_json)


@engine.command(short_help="Check environments, and tell what is wrong.")
@click.argument("name", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(name: tuple[str, ...], as_json: bool) -> int:
    """
    Check each environment, or those of NAME: its Python, its packages against the record, and
    whether its module can be imported, which takes seconds. Exit code 1: one is broken.
    """
    return _show(check=True, names=name, as_json=as_json)


def _show(*, check: bool, names: tuple[str, ...], as_json: bool) -> int:
    from modelplug_local.environments.install import statuses

    with waiting("looking"):
        rows = statuses(check=check, names=names)
    if as_json:
        write_json([_row(row) for row in rows])
    elif rows:
        headings = ("name", "kind", "state", "device", "python", "size", "folder", "")
        write_rows(headings, [_cells(row) for row in rows])
    else:
        note("no installed plugin has an engine or a trainer with an environment of its own")
    return 1 if any(row.state == "broken" for row in rows) else 0


def _cells(row: Status) -> tuple[str, ...]:
    here = row.installed
    told = (here.device, here.version, f"{here.size / 1e9:.2f} GB") if here else ("", "", "")
    mend = f"{row.why}; {row.mend}" if row.why and row.mend else row.why or row.mend
    return (row.name, row.kind, row.state, *told, _short(here.path) if here else "", mend)


def _short(path: Path) -> str:
    home = os.path.expanduser("~")
    return str(path).replace(home, "~", 1) if str(path).startswith(home + os.sep) else str(path)


def _row(row: Status) -> dict[str, Any]:
    told = {"name": row.name, "kind": row.kind, "state": row.state}
    told |= {"why": row.why, "mend": row.mend}
    return told | (_plain(row.installed) if row.installed else {})


def _plain(each: Installed) -> dict[str, Any]:
    return {
        "name": each.name,
        "kind": each.kind,
        "folder": str(each.path),
        "python": each.python,
        "version": each.version,
        "device": each.device,
        "size": each.size,
        "created": each.made,
        "packages": {name: package.version for name, package in each.packages.items()},
        "unlocked": {
            name: package.sha256 for name, package in each.packages.items() if not package.locked
        },
    }


@engine.command(short_help="Remove the environment of an engine or a trainer.")
@click.argument("name")
def remove(name: str) -> None:
    """Remove the environment of NAME, and print its folder. Not while something runs in it."""
    from modelplug_local.environments.install import remove as clear

    for folder in clear(name):
        print(folder)
