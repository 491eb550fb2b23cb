"""The installed plugins and what is wrong with them."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from modelplug.plugins import Entry, Plugins


@frozen
class Row:
    """One name that a plugin provides. `state` is ok, broken, duplicate or blocked."""

    group: str
    name: str
    distribution: str
    version: str
    state: str
    why: str


def list_plugins(*, check: bool) -> list[Row]:
    """Each name of each group, sorted; with *check*, each plugin is imported."""
    from modelplug.plugins import Plugins, scan

    # Unblocked, so that what MODELPLUG_BLOCK hides is listed as hidden.
    every = Plugins(scan())
    blocked = {name.strip() for name in os.environ.get("MODELPLUG_BLOCK", "").split(",")}
    return [
        _row(every, every.index[group][name], blocked, check)
        for group in sorted(every.index)
        for name in every.names(group)
    ]


def _row(every: Plugins, entry: Entry, blocked: set[str], check: bool) -> Row:
    if entry.name in blocked:
        state, why = "blocked", "MODELPLUG_BLOCK names it"
    elif entry.rivals:
        state = "duplicate"
        rivals = " and ".join(rival.name for rival in entry.rivals)
        why = f"{rivals} provides it too; uninstall one of them"
    else:
        why = _problem_of(every, entry, check=check)
        state = "broken" if why else "ok"
    distribution = entry.distribution
    return Row(entry.group, entry.name, distribution.name, distribution.version, state, why)


def _problem_of(every: Plugins, entry: Entry, *, check: bool) -> str:
    """What is wrong with a plugin as far as its files tell; with *check*, its import too."""
    from modelplug.catalog import TABLES, folder_of
    from modelplug.errors import ModelplugError

    try:
        if folder_of(entry.module) is None:
            return f"its package {entry.module!r} is missing; reinstall {entry.distribution.name}"
        if entry.group in TABLES:
            every.manifest(entry.group, entry.name).table(entry.group, entry.name)
        if check:
            # What a module prints as it is imported is talk.
            with contextlib.redirect_stdout(sys.stderr):
                every.load(entry.group, entry.name)
    except ModelplugError as exc:
        return str(exc)
    return ""
