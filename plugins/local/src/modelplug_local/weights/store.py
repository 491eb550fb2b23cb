"""
The cache of weights: `<cache>/<org>/<name>`, a folder for each repository, only complete files.

What is being fetched is in `.staging`, on the same disk so that it can be renamed to its
place; `.locks` has a file for each repository, so that one process at a time fetches it. A
manifest in each folder says where its files are from, with their sizes and hashes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from attrs import asdict, field, frozen

from modelplug.errors import BadReply, ConfigError, NoModel
from modelplug.settings import resolve
from modelplug.structure import structure_config
from modelplug_local.engines.logs import home
from modelplug_local.weights.progress import size

MANIFEST = "modelplug_weights.json"
TUNED = "tuned"
PARTIAL, _LISTED, _LOCKS = ".staging", ".listed", ".locks"

SPARE = 64 * 1024 * 1024
"""Bytes that a download leaves free on the disk."""


@frozen
class File:
    """A file of a repository: `sha256` or git's `blob` id, where the hub tells one."""

    path: str
    size: int
    sha256: str = ""
    blob: str = ""


@frozen
class Manifest:
    """Where the files of a folder are from."""

    hub: str
    repository: str
    revision: str
    files: list[File] = field(factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def cache(env: Mapping[str, str]) -> tuple[Path, str]:
    """The cache's folder and what decided it."""
    default = str(home(env) / "models")
    found = resolve("cache", variable="MODEL_CACHE_DIR", env=env, default=default)
    assert found is not None  # there is a default
    return Path(found.value).expanduser(), found.origin


def staging(root: Path, hub: str, repository: str) -> Path:
    """Where *repository* is put together, under the cache *root*."""
    return root / PARTIAL / f"{hub}--{repository.replace('/', '--')}"


def note_listing(root: Path, manifest: Manifest) -> None:
    """Remember what a hub listed, for those who must not ask it."""
    folder = root / _LISTED / f"{manifest.hub}--{manifest.repository.replace('/', '--')}"
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, manifest)


def listing_of(root: Path, hub: str, repository: str) -> Manifest | None:
    """What the hub listed of *repository* when it was last asked."""
    return read_manifest(root / _LISTED / f"{hub}--{repository.replace('/', '--')}")


def check_path(path: str) -> None:
    """BadReply for a path in a listing or a bundle that would lead out of its folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        msg = f"{path!r} is no path inside a model's folder; do not trust where it came from"
        raise BadReply(msg)


@contextmanager
def locked(root: Path, repository: str) -> Iterator[None]:
    """
    Alone with *repository* among all processes; waits for another to be done.

    The kernel lets go when a process ends, however it ends.
    """
    path = root / _LOCKS / f"{repository.replace('/', '--').lower()}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as exc:
        msg = f"{str(root)!r} cannot be written: {exc.strerror}; set MODELPLUG_MODEL_CACHE_DIR"
        raise ConfigError(msg) from exc
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_manifest(folder: Path) -> Manifest | None:
    """What the folder's manifest says; None where there is none that can be read."""
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
        return structure_config(json.loads(text), Manifest, str(path))
    except (OSError, ValueError, ConfigError):
        return None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put it there whole: a reader sees the old one or the new one."""
    path = folder / MANIFEST
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
    with beside.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def check_disk(root: Path, needed: int, there: int, what: str) -> None:
    """ConfigError, with the figures, if what is missing of *needed* bytes does not fit."""
    free = shutil.disk_usage(root).free
    missing = max(0, needed - there)
    if missing + SPARE > free:
        msg = (
            f"{what} needs {size(missing)} and {str(root)!r} has {size(free)} free; make room, or "
            f"set MODELPLUG_MODEL_CACHE_DIR to another disk"
        )
        raise ConfigError(msg)


def publish(staged: Path, folder: Path, manifest: Manifest) -> None:
    """
    Move the files of *manifest* from *staged* to *folder*, which had none of them or others.

    A new folder appears whole. Into one that is there already, with another quantization say,
    the first file of what the format needs, by which it is recognised, comes last.
    """
    before = read_manifest(folder)
    if not folder.exists():
        _keep_only(staged, {file.path for file in manifest.files})
        write_manifest(staged, manifest)
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(folder)
        return
    for file in reversed(manifest.files):
        target = folder / file.path
        if (staged / file.path).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (staged / file.path).replace(target)
    ours = {file.path for file in manifest.files}
    others = [file for file in before.files if file.path not in ours] if before else []
    write_manifest(folder, Manifest(manifest.hub, manifest.repository, manifest.revision,
                                    [*others, *manifest.files]))  # fmt: skip
    shutil.rmtree(staged)


def _keep_only(folder: Path, names: set[str]) -> None:
    """Without what a hub's client has left of its own."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in names:
            path.unlink()


def remove(root: Path, repository: str) -> int:
    """
    Delete *repository* from the cache, with what was begun of it; answers the bytes freed.

    NoModel if it is not there.
    """
    folder = root / repository
    with locked(root, repository):
        begun = list((root / PARTIAL).glob(f"*--{repository.replace('/', '--')}"))
        if not folder.is_dir() and not begun:
            msg = f"{repository!r} is not in {str(root)!r}; modelplug models --local lists what is"
            raise NoModel(msg)
        # First out of sight: one who looks sees all of it or nothing.
        doomed = staging(root, "removed", repository)
        shutil.rmtree(doomed, ignore_errors=True)
        if folder.is_dir():
            doomed.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(doomed)
            begun.append(doomed)
        freed = sum(f.stat().st_size for b in begun for f in b.rglob("*") if f.is_file())
        for each in begun:
            shutil.rmtree(each)
    if folder.parent != root and folder.parent.is_dir() and not any(folder.parent.iterdir()):
        folder.parent.rmdir()
    return freed
