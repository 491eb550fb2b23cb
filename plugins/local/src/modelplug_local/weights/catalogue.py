"""
The catalogue of local models: what a name is called on each hub, in each format.

Families come from the user's own file, then from installed plugins (`[catalogue.<family>]` in
their manifests), then from catalogue.toml beside this module; the first that has a name wins.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from attrs import frozen

from modelplug import plugins
from modelplug.errors import ConfigError, ModelplugError
from modelplug.families import ModelFamily
from modelplug.structure import structure_config
from modelplug.types import ModelType
from modelplug_local.engines.logs import home
from modelplug_local.weights.formats import FORMATS

FILE_NAME = "catalogue.toml"
_ANY = "any"


@frozen
class Entry:
    """One model: a family and the size in its name."""

    family: ModelFamily
    size: str

    def repositories(self, format: str) -> dict[str, str]:
        """Hub, or `any`, to repository; empty where it is not to be had in that format."""
        table = self.family.repositories.get(format, {})
        return {hub: name.replace("{}", self.size) for hub, name in table.items()}

    def repository(self, hub: str, format: str) -> str | None:
        """The repository on *hub* in *format*."""
        table = self.repositories(format)
        return table.get(hub) or table.get(_ANY)


@frozen
class Catalogue:
    """All models by name and by repository, in lower case; `broken` are families left out."""

    names: Mapping[str, Entry]
    by_repository: Mapping[str, Entry]
    broken: Sequence[str]

    def of(self, model: str) -> Entry | None:
        """The entry of a name or of a repository."""
        return self.names.get(model.casefold()) or self.by_repository.get(model.casefold())


def repository(model: str, hub: str, format: str) -> str | None:
    """The repository of the name *model* on *hub* in *format*."""
    entry = catalogue().names.get(model.casefold())
    return entry.repository(hub, format) if entry else None


def repositories(model: str, format: str) -> list[str]:
    """The repositories of the name *model* in *format* on whatever hub."""
    entry = catalogue().names.get(model.casefold())
    return list(dict.fromkeys(entry.repositories(format).values())) if entry else []


def formats_of(model: str, hub: str) -> list[str]:
    """The formats in which *hub* has *model*."""
    return [format_ for format_ in FORMATS if repository(model, hub, format_)]


def type_of(model: str) -> ModelType | None:
    """What the catalogue says *model*, a name or a repository, does."""
    entry = catalogue().of(model)
    return ModelType(entry.family.type) if entry else None


def quantization(model: str) -> str:
    """The quantization that is taken of *model*, a name or a repository."""
    entry = catalogue().of(model)
    return entry.family.quantization if entry else ""


def siblings(repository: str, hub: str, formats: Sequence[str]) -> list[str]:
    """Repositories of the same model on *hub*, in one of *formats*."""
    entry = catalogue().by_repository.get(repository.casefold())
    found = [entry.repository(hub, format_) for format_ in formats] if entry else []
    return [name for name in found if name and name != repository]


def catalogue() -> Catalogue:
    """Everything; read anew where the user's file or what is installed has changed."""
    own = home(os.environ) / FILE_NAME
    changed = own.stat().st_mtime_ns if own.is_file() else 0
    return _read(own, changed, plugins.installed())


@lru_cache(maxsize=2)
def _read(own: Path, changed: int, installed: plugins.Plugins) -> Catalogue:
    names: dict[str, Entry] = {}
    broken: list[str] = []
    families = list(_of_file(own)) if changed else []
    families += _of_plugins(installed, broken)
    families += _of_text(
        files("modelplug_local.weights").joinpath(FILE_NAME).read_text("utf-8"), FILE_NAME
    )
    for family in families:
        for size in family.sizes:
            for name in family.names:
                names.setdefault(name.replace("{}", size).casefold(), Entry(family, size))
    by_repository: dict[str, Entry] = {}
    for entry in names.values():
        for format_ in entry.family.repositories:
            for name in entry.repositories(format_).values():
                by_repository.setdefault(name.casefold(), entry)
    return Catalogue(names, by_repository, broken)


def _of_file(path: Path) -> Iterator[ModelFamily]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        msg = f"{str(path)!r} cannot be read: {exc}; mend it or remove it"
        raise ConfigError(msg) from exc
    yield from _of_text(text, str(path))


def _of_text(text: str, where: str) -> Iterator[ModelFamily]:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        msg = f"{where} is not TOML: {exc}; mend it or remove it"
        raise ConfigError(msg) from exc
    for name, table in tables.items():
        yield structure_config(table, ModelFamily, f"{where}, [{name}]")


def _of_plugins(installed: plugins.Plugins, broken: list[str]) -> Iterator[ModelFamily]:
    for name in installed.names("catalogue"):
        try:
            yield installed.family(name)
        except ModelplugError as error:  # an error for its own name only
            broken.append(str(error))
