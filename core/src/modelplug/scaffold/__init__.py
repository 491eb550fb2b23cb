"""
A new provider plugin, from templates that live beside the core that they are for.

`create("acme", "openai", ".")` writes `modelplug-acme/`: a distribution that can be installed
and whose contract tests pass as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from modelplug.errors import ConfigError, did_you_mean
from modelplug.known import DISTRIBUTIONS

WIRES = ("openai", "own")
"""`openai` for a provider that speaks OpenAI's wire, `own` for one that does not."""

SUFFIX = ".template"
"""Files so named are filled in and lose it; others are copied as they are."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_RESERVED = {"local": "it means models on this machine"}


def create(name: str, wire: str = "openai", directory: str | Path = ".") -> list[Path]:
    """
    Write the folder `modelplug-<name>` into *directory* and give the files written.

    *name* is what users will write as `source=`. Raises ConfigError for a name or wire that
    cannot be, and where the folder exists already: nothing is ever overwritten.
    """
    _check_name(name)
    if wire not in WIRES:
        msg = f"{wire!r} is not a wire ({', '.join(WIRES)}){did_you_mean(wire, WIRES)}"
        raise ConfigError(msg)
    words = _words(name)
    folder = Path(directory) / words["distribution"]
    if folder.exists():
        msg = (
            f"{folder} exists already and nothing is overwritten; remove it or choose another name"
        )
        raise ConfigError(msg)
    templates = files("modelplug.scaffold") / "templates"
    written = [
        _write(folder / Template(path).substitute(words), source, words)
        for part in ("common", wire)
        for path, source in _walk(templates / part)
    ]
    return sorted(written)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        mend = f"; did you mean {better!r}?" if _NAME.fullmatch(better) else ""
        msg = f"{name!r} is not a plugin name (lower-case words joined by underscores){mend}"
        raise ConfigError(msg)
    if why := _RESERVED.get(name):
        msg = f"the name {name!r} is taken: {why}; choose another"
        raise ConfigError(msg)
    if distribution := DISTRIBUTIONS.get("create_online", {}).get(name):
        msg = f"the name {name!r} is taken by {distribution}; choose another"
        raise ConfigError(msg)


def _words(name: str) -> dict[str, str]:
    words = name.split("_")
    return {
        "name": name,
        "title": " ".join(word.capitalize() for word in words),
        "camel": "".join(word.capitalize() for word in words),
        "distribution": f"modelplug-{name.replace('_', '-')}",
        "module": f"modelplug_{name}",
        "domain": name.replace("_", "-"),
        "variable": f"{name.upper()}_API_KEY",
    }


def _walk(folder: Traversable, before: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.name == "__pycache__":
            continue
        path = f"{before}{entry.name}"
        if entry.is_dir():
            yield from _walk(entry, f"{path}/")
        else:
            yield path, entry


def _write(target: Path, source: Traversable, words: dict[str, str]) -> Path:
    data = source.read_bytes()
    if target.name.endswith(SUFFIX):
        target = target.with_name(target.name.removesuffix(SUFFIX))
        data = Template(data.decode("utf-8")).substitute(words).encode("utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target
