"""`modelplug config`: check, show, schema and migrate."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelplug_cli.output import note, write_json, write_rows

if TYPE_CHECKING:
    from modelplug.config import ConfigMap


@click.group(short_help="Check, show or convert a config map.")
def config() -> None:
    """The config map: names of models, each with an entry or a list of entries."""


@config.command()
@click.argument("path", required=False, metavar="[FILE]")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def check(path: str | None, as_json: bool) -> int:
    """
    Read every entry of FILE, by default of the config map that AutoModel would read, and tell
    each fault with its line and mend; also what is not installed, and keys that are not set.

    Exit code 1: an entry cannot be used as it stands. A key that is not set is a note.
    """
    found = _the_map(path)
    faults = [str(fault) for fault in found.faults()]
    notes: list[str] = []
    if not faults:
        faults, notes = _against_what_is_here(found)
    if as_json:
        write_json({"file": found.document.shown, "faults": faults, "notes": notes})
        return 1 if faults else 0
    for fault in faults:
        print(fault)
    for each in notes:
        note(each)
    if not faults:
        count = len(found.models)
        print(f"{found.document.shown}: {count} model{'' if count == 1 else 's'}, no fault")
    return 1 if faults else 0


def _the_map(path: str | None) -> ConfigMap:
    from modelplug.config import load_config
    from modelplug.errors import ConfigError

    found = load_config(path or True, os.environ)
    if found is None:
        msg = "there is no config map; write ./modelplug.yaml, or name a file"
        raise ConfigError(msg)
    return found


def _against_what_is_here(found: ConfigMap) -> tuple[list[str], list[str]]:
    """(what stops an entry from being used, what may)."""
    from modelplug.errors import ModelplugError
    from modelplug.plugins import installed

    plugins = installed()
    faults, notes = [], []
    for model in found.models:
        for entry_found in found.entries(model):
            entry = entry_found.entry
            online = None if entry.is_local or entry.source == "dynamic" else entry.source
            for group, name, field in (
                ("create_online", online, "source"),
                ("deploy_local", entry.framework, "framework"),
            ):
                try:
                    if name is not None:
                        plugins.find(group, name)
                except ModelplugError as error:
                    faults.append(f"{entry_found.origin(field)}: {error}")
            keys = entry.api_key if isinstance(entry.api_key, list) else [entry.api_key or ""]
            notes += [
                f"{entry_found.origin('api_key')}: {name} is not set"
                for key in keys
                if key.startswith("env:") and not os.environ.get(name := key[4:], "").strip()
            ]
            plain = any(key and not key.startswith(("env:", "file:", "cmd:")) for key in keys)
            if plain and "api_key" not in entry_found.variables:
                told = "the key itself is in the file; env:NAME keeps it out"
                notes.append(f"{entry_found.origin('api_key')}: {told}")
    return faults, notes


@config.command()
@click.argument("path", required=False, metavar="[FILE]")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(path: str | None, as_json: bool) -> None:
    """
    List the entries of FILE, by default of the config map that AutoModel would read, one a
    line: model, id, where it leads, file and line. Keys are not shown.
    """
    found = _the_map(path)
    rows = [_row(model, each) for model in found.models for each in found.entries(model)]
    if as_json:
        read_by = found.place.origin
        write_json({"file": found.document.shown, "because": read_by, "entries": rows})
        return
    note(f"{found.document.shown} ({found.place.origin})")
    names = ("model", "id", "kind", "source", "name", "url", "type", "place")
    write_rows(names, [tuple(str(row[name]) for name in names) for row in rows])


def _row(model: str, found: Any) -> dict[str, Any]:
    entry = found.entry
    urls = entry.url if isinstance(entry.url, list) else [entry.url] if entry.url else []
    dynamic = entry.source == "dynamic"
    return {
        "model": model,
        "id": entry.id or "",
        "kind": "local" if entry.is_local else "dynamic" if dynamic else "online",
        "source": entry.framework or entry.source or "",
        "name": entry.name or "",
        "url": " ".join(urls),
        "type": entry.type or "",
        "place": found.place,
    }


@config.command()
def schema() -> None:
    """Print the JSON Schema of a config map, for editors."""
    from modelplug.config.schema import config_schema

    write_json(config_schema())


@config.command()
@click.option(
    "--from",
    "system",
    required=True,
    type=click.Choice(["lazyllm", "litellm", "ollama"]),
    help="Whose configuration FILE is.",
)
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", metavar="FILE", help="Write here, instead of to stdout.")
def migrate(system: str, path: str, output: str | None) -> int:
    """
    Turn another system's configuration into a config map. What has no counterpart here is
    told on stderr, and kept as a comment where it belongs to one model.

    lazyllm: the file of LAZYLLM_AUTO_MODEL_CONFIG_MAP_PATH. litellm: config.yaml with its
    model_list. ollama: a Modelfile. Exit code 1: something was left out.
    """
    from modelplug.config.migrate import migrate as convert

    converted = convert(Path(path), system)
    if output is None:
        sys.stdout.write(converted.text)
    else:
        Path(output).write_text(converted.text, encoding="utf-8")
    for left in converted.left_out:
        note(left)
    return 1 if converted.left_out else 0
