"""
Published models: `<home>/models/tuned/<name>/<version>/`, and `current`, which names a version.

A version counts once its manifest is there, which is written last; `current` is replaced in
one step. So whoever looks sees the old version or the new one, and never half of one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from modelplug.errors import ConfigError, NoModel
from modelplug.types import ModelType, Tuned
from modelplug_local.engines.logs import home
from modelplug_local.weights.places import FINETUNED

MANIFEST = FINETUNED
CURRENT = "current"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def root() -> Path:
    """Where all published models are."""
    return home(os.environ) / "models" / "tuned"


@frozen
class Shelf:
    """All versions of one name."""

    path: Path

    @property
    def name(self) -> str:
        """The name that they are published under."""
        return self.path.name

    def versions(self) -> list[str]:
        """Those that are whole, the oldest first."""
        return sorted(file.parent.name for file in self.path.glob(f"*/{MANIFEST}"))

    @property
    def current(self) -> str | None:
        """The version that the name stands for."""
        try:
            return (self.path / CURRENT).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None

    def tuned(self, version: str) -> Tuned:
        """What is published as *version*; NoModel if nothing is."""
        if version not in self.versions():
            have = ", ".join(self.versions()) or "none"
            msg = f"tuned/{self.name} has no version {version!r} (it has: {have})"
            raise NoModel(msg)
        return read(self.path / version)

    def new_version(self) -> Path:
        """An empty folder for the next one. It is no version until its manifest is there."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        for number in range(1, 100):
            path = self.path / (stamp if number == 1 else f"{stamp}-{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            return path
        msg = f"{str(self.path)!r} has 99 versions of this very second"
        raise ConfigError(msg)

    def publish(self, version: Path, manifest: Mapping[str, Any]) -> Tuned:
        """Make *version* whole, and the current one."""
        text = json.dumps(manifest, indent=1, ensure_ascii=False, default=str)
        _write(version / MANIFEST, text + "\n")
        return self.promote(version.name)

    def promote(self, version: str) -> Tuned:
        """Make *version* the current one."""
        self.tuned(version)
        _write(self.path / CURRENT, version + "\n")
        return self.tuned(version)

    def before_current(self) -> str:
        """The version before the current one; ConfigError if there is none."""
        earlier = [each for each in self.versions() if each < (self.current or "")]
        if not earlier:
            msg = f"tuned/{self.name} has no version before {self.current}; promote() another"
            raise ConfigError(msg)
        return earlier[-1]


def _write(path: Path, text: str) -> None:
    """*path* with *text*, in one step."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def shelf_of(target: str, base: str) -> Shelf:
    """The shelf that *target* means, a name or an absolute path; by default the base's name."""
    if target and Path(target).expanduser().is_absolute():
        return Shelf(Path(target).expanduser())
    name = (target or Path(base).name).removeprefix("tuned/").partition("@")[0]
    name = name.removesuffix(".gguf")
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot name a tuned model; use letters, digits, dot, hyphen, underscore"
        raise ConfigError(msg)
    return Shelf(root() / name)


def read(version: Path) -> Tuned:
    """The published model in folder *version*."""
    told = json.loads((version / MANIFEST).read_text(encoding="utf-8"))
    return Tuned(
        name=told["name"],
        version=version.name,
        path=version,
        type=ModelType(told["type"]),
        base=told["base"]["name"],
        metrics=told["metrics"],
        manifest=told,
        current=Shelf(version.parent).current == version.name,
    )


def every() -> list[Tuned]:
    """All published versions on this machine, by name and time."""
    return [read(file.parent) for file in sorted(root().glob(f"*/*/{MANIFEST}"))]


def link_tree(source: Path, target: Path) -> None:
    """The files of *source* in *target*, without copying them where that can be."""
    shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
