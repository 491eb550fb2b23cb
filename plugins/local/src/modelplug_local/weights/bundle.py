"""
Models, wheels and a configuration in one file, for a machine without a network.

A plain tar, since weights do not compress. Its first member is a list of all others with
their sizes and hashes. What arrives is checked against it, byte by byte, before anything is
put in its place; nothing in it is ever executed or unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from attrs import asdict, field, frozen

from modelplug.errors import BadReply, ConfigError
from modelplug.structure import structure_config
from modelplug_local.weights.hubs import REPOSITORY
from modelplug_local.weights.progress import Progress
from modelplug_local.weights.store import (
    File,
    Manifest,
    check_disk,
    check_path,
    locked,
    publish,
    read_manifest,
    staging,
)

CONTENTS = "modelplug-bundle.json"
VERSION = 1
_LONGEST_CONTENTS = 64 << 20
_BLOCK = 1 << 20


@frozen
class Contents:
    """
    What a bundle holds: models as `models/<repository>/<path>`, wheels as `wheels/<name>`, and
    `config`, the name of a file in `config/`, or empty.
    """

    version: int
    models: list[Manifest] = field(factory=list)
    wheels: list[File] = field(factory=list)
    config: list[File] = field(factory=list)

    @property
    def members(self) -> dict[str, File]:
        """Each member's name and what it must be."""
        found = {f"models/{m.repository}/{f.path}": f for m in self.models for f in m.files}
        found |= {f"wheels/{file.path}": file for file in self.wheels}
        return found | {f"config/{file.path}": file for file in self.config}

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(file.size for file in self.members.values())


def pack(
    out: Path,
    models: Mapping[str, Path],
    *,
    wheels: Sequence[Path] = (),
    config: Path | None = None,
    progress: Progress | None = None,
) -> Contents:
    """
    Write *out*: *models* are repositories and their folders.

    ConfigError if it exists. An interrupted one leaves nothing.
    """
    if out.exists():
        msg = f"{str(out)!r} exists; name another file, or remove it"
        raise ConfigError(msg)
    sources: dict[str, Path] = {}
    described = []
    for repository, folder in models.items():
        manifest = _described(repository, folder)
        sources |= {f"models/{repository}/{f.path}": folder / f.path for f in manifest.files}
        described.append(manifest)
    sources |= {f"wheels/{path.name}": path for path in wheels}
    if config:
        sources[f"config/{config.name}"] = config
    contents = Contents(
        VERSION, described, list(map(_file, wheels)), [_file(config)] if config else []
    )
    beside = out.with_name(f"{out.name}.part")
    try:
        with tarfile.open(beside, "w") as tar:
            text = json.dumps(asdict(contents), indent=1).encode()
            _add(tar, CONTENTS, io.BytesIO(text), len(text))
            done = 0
            for name, path in sources.items():
                with path.open("rb") as file:
                    _add(tar, name, file, path.stat().st_size)
                done += path.stat().st_size
                if progress:
                    progress(done, contents.size)
        beside.rename(out)
    finally:
        beside.unlink(missing_ok=True)
    return contents


def read(bundle: Path) -> Contents:
    """What *bundle* says it holds; BadReply where it is no bundle or a damaged one."""
    with _opened(bundle) as tar:
        return _contents(tar, bundle)


def unpack(
    bundle: Path, root: Path, *, wheels: Path, config: Path, progress: Progress | None = None
) -> Contents:
    """
    Put the models of *bundle* into the cache *root*, its wheels and configuration into folders.

    BadReply, before anything is in its place, if a member is not what the list says, is
    missing, or is one that the list does not have.
    """
    with _opened(bundle) as tar:
        contents = _contents(tar, bundle)
        if taken := [
            config / file.path for file in contents.config if (config / file.path).exists()
        ]:
            msg = f"{str(taken[0])!r} exists; name another folder for the configuration"
            raise ConfigError(msg)
        staged = staging(root, "bundle", bundle.stem)
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        try:
            check_disk(root, contents.size, 0, str(bundle))
            _extract(tar, contents, staged, progress)
            for manifest in contents.models:
                with locked(root, manifest.repository):
                    folder = staged / "models" / manifest.repository
                    publish(folder, root / manifest.repository, manifest)
            _move(staged / "wheels", wheels)
            _move(staged / "config", config)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return contents


def _described(repository: str, folder: Path) -> Manifest:
    """The folder's manifest, its hashes known to be true today."""
    known = read_manifest(folder)
    paths = [file.path for file in known.files] if known else _paths(folder)
    files = [_file(folder / path, path) for path in paths]
    told = {file.path: file.sha256 for file in known.files} if known else {}
    for file in files:
        if told.get(file.path) not in (None, "", file.sha256):
            msg = f"{str(folder / file.path)!r} has changed since it was fetched; fetch it again"
            raise ConfigError(msg)
    if known:
        return Manifest(known.hub, repository, known.revision, files)
    return Manifest("", repository, "", files)


def _paths(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _file(path: Path, name: str = "") -> File:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return File(name or path.name, path.stat().st_size, digest)


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    # Neither owner nor time: the same models make the same bytes.
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    tar.addfile(member, file)


@contextmanager
def _opened(bundle: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(bundle, "r:") as tar:
            yield tar
    except tarfile.TarError as exc:
        msg = f"{str(bundle)!r} is no bundle, or is damaged: {exc}; copy it again"
        raise BadReply(msg) from exc
    except OSError as exc:
        msg = f"{str(bundle)!r} cannot be read: {exc.strerror or exc}; check the path"
        raise ConfigError(msg) from exc


def _contents(tar: tarfile.TarFile, bundle: Path) -> Contents:
    first = tar.next()
    if first is None or first.name != CONTENTS or not first.isreg():
        msg = f"{str(bundle)!r} is no bundle: it does not begin with {CONTENTS}; check the path"
        raise BadReply(msg)
    data: Any = None
    if first.size <= _LONGEST_CONTENTS:
        file = tar.extractfile(first)
        assert file is not None  # it is a regular file
        try:
            data = json.loads(file.read())
        except ValueError:
            data = None
    if not isinstance(data, dict):
        msg = f"{str(bundle)!r} is damaged: {CONTENTS} cannot be read; copy it again"
        raise BadReply(msg)
    if data.get("version") != VERSION:
        msg = f"{str(bundle)!r} is of version {data.get('version')!r}; upgrade modelplug-local"
        raise BadReply(msg)
    try:
        contents = structure_config(data, Contents, f"{bundle.name}, {CONTENTS}")
    except ConfigError as exc:
        msg = f"{str(bundle)!r} is damaged: {exc}; copy it again"
        raise BadReply(msg) from exc
    _check(contents)
    return contents


def _check(contents: Contents) -> None:
    for manifest in contents.models:
        if not REPOSITORY.fullmatch(manifest.repository):
            msg = f"{manifest.repository!r} is no name of a model; do not trust this bundle"
            raise BadReply(msg)
        for file in manifest.files:
            check_path(file.path)
    for name, file in contents.members.items():
        check_path(name)
        if not file.sha256:
            msg = f"{name!r} has no hash; do not trust this bundle"
            raise BadReply(msg)
    for file in (*contents.wheels, *contents.config):
        if "/" in file.path:
            msg = f"{file.path!r} is no file's name; do not trust this bundle"
            raise BadReply(msg)


def _extract(tar: tarfile.TarFile, contents: Contents, to: Path, progress: Progress | None) -> None:
    left = contents.members
    done = 0
    while (member := tar.next()) is not None:
        file = left.pop(member.name, None)
        if file is None or not member.isreg() or member.size != file.size:
            msg = f"it holds {member.name!r}, which its list does not have so; do not trust it"
            raise BadReply(msg)
        source = tar.extractfile(member)
        assert source is not None  # it is a regular file
        target = to / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with target.open("xb") as out:
            while block := source.read(_BLOCK):
                digest.update(block)
                out.write(block)
                done += len(block)
                if progress:
                    progress(done, contents.size)
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != file.sha256:
            msg = f"{member.name!r} was damaged on its way; copy the bundle again"
            raise BadReply(msg)
    if left:
        msg = f"it ends before {next(iter(left))!r}; copy the bundle again"
        raise BadReply(msg)


def _move(folder: Path, to: Path) -> None:
    if folder.is_dir():
        to.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            shutil.move(path, to / path.name)
