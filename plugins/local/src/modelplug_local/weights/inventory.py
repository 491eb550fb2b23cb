"""Which weights are on the disk, wherever they would be found by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from modelplug import plugins
from modelplug.errors import NoModel
from modelplug_local.engines.logs import home
from modelplug_local.weights.fetcher import bytes_in
from modelplug_local.weights.formats import FORMATS, present
from modelplug_local.weights.places import Folder, Shipped, Wanted, at, names_in, places
from modelplug_local.weights.store import PARTIAL, TUNED, cache, read_manifest


@frozen
class OnDisk:
    """
    A model: `name` as it is asked for, `size` in bytes, `type` empty where its files do not tell.

    `state` is complete, or says in words what is wrong.
    """

    name: str
    path: Path
    size: int
    formats: tuple[str, ...]
    type: str
    place: str
    state: str = "complete"


def inventory(env: Mapping[str, str] = os.environ) -> list[OnDisk]:
    """What plugins ship, what lies under the roots and in the cache, what was tuned here."""
    found = list(_shipped())
    seen = set()
    for place in places(Wanted("", list(FORMATS)), env):
        if isinstance(place, Folder) and place.root.is_dir() and place.root not in seen:
            seen.add(place.root)
            found += _under(place.root, str(place))
    found += _tuned(home(env) / "models" / TUNED)
    return found + list(_begun(cache(env)[0]))


def _shipped() -> Iterator[OnDisk]:
    for name in plugins.installed().names("weights"):
        for format_ in ("gguf", "safetensors"):
            weights = Shipped().look(Wanted(name, [format_]))
            if not isinstance(weights, str):
                path = weights.path
                size = path.stat().st_size if path.is_file() else bytes_in(path)
                yield OnDisk(name, path, size, (format_,), weights.type, "installed plugins")


def _under(root: Path, place: str) -> Iterator[OnDisk]:
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name == TUNED:
            continue
        if path.suffix == ".gguf" or (path.is_dir() and present(names_in(path))):
            yield _described(path.name, path, place)
        elif path.is_dir():
            for inner in sorted(path.iterdir()):
                if inner.is_dir() and present(names_in(inner)):
                    yield _described(f"{path.name}/{inner.name}", inner, place)


def _tuned(root: Path) -> Iterator[OnDisk]:
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if not folder.is_dir():
            continue
        for version in sorted(folder.iterdir()):
            if version.is_dir() and present(names_in(version)):
                name = f"{TUNED}/{folder.name}@{version.name}"
                yield _described(name, version, "tuned models")


def _described(name: str, path: Path, place: str) -> OnDisk:
    formats = ("gguf",) if path.is_file() else tuple(present(names_in(path)))
    size = path.stat().st_size if path.is_file() else bytes_in(path)
    try:
        weights = at(path, Wanted(name, formats))
    except NoModel as error:
        return OnDisk(name, path, size, formats, "", place, str(error))
    if isinstance(weights, str):
        return OnDisk(name, path, size, formats, "", place, weights)
    return OnDisk(name, path, size, formats, weights.type, place)


def _begun(root: Path) -> Iterator[OnDisk]:
    """Downloads that were interrupted: they hold space, and go on with the next pull."""
    for folder in sorted((root / PARTIAL).glob("*")):
        manifest = read_manifest(folder)
        if manifest is not None:
            state = f"begun: {bytes_in(folder) * 100 // max(manifest.size, 1)}% of it"
            size = bytes_in(folder)
            yield OnDisk(manifest.repository, folder, size, (), "", manifest.hub, state)
