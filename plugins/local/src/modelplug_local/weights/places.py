"""Where on the disk weights are looked for, and how they are read there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from attrs import evolve, frozen

from modelplug import plugins
from modelplug.errors import NoModel
from modelplug.types import ModelType, Weights
from modelplug_local.engines.logs import home
from modelplug_local.weights.describe import describe
from modelplug_local.weights.formats import (
    FORMATS,
    PROJECTOR,
    QUANTIZATION,
    SPLIT,
    gguf,
    plain,
    present,
    quantizations,
)
from modelplug_local.weights.store import MANIFEST, TUNED, cache

FINETUNED = "modelplug_finetune.json"
"""Beside the weights of a tuned model; modelplug-training writes it."""

NOT_THERE = "not there"
_DEEPEST = 2


@frozen
class Wanted:
    """
    `formats` by preference; `type` None to read it from the files; `variant` a quantization
    or empty. `known` is what the catalogue says it does, for files that do not tell.
    """

    model: str
    formats: Sequence[str]
    type: ModelType | None = None
    variant: str = ""
    known: ModelType | None = None


class Place(Protocol):
    """Somewhere to look; `str()` names it for people."""

    def look(self, wanted: Wanted) -> Weights | str:
        """The weights, or in words why they are not here."""


@frozen
class Shipped:
    """The packages of installed plugins."""

    def look(self, wanted: Wanted) -> Weights | str:
        """See Place."""
        installed = plugins.installed()
        names = {name.casefold(): name for name in installed.names("weights")}
        name = names.get(wanted.model.casefold())
        if name is None:
            return f"they ship {', '.join(names.values()) or 'none'}"
        table = installed.weights(name)
        folder = installed.manifest("weights", name).folder
        paths = {"gguf": table.gguf, "safetensors": table.safetensors}
        for format_ in wanted.formats:
            if path := paths.get(format_):
                type_ = wanted.type or ModelType.parse(table.type)
                return Weights(name, folder / path, format_, type_, table.context)
        return _other_formats([format_ for format_, path in paths.items() if path], wanted)

    def __str__(self) -> str:
        return "installed plugins"


@frozen
class Tuned:
    """`<home>/models/tuned/<name>`: models that were tuned here, each version in a folder."""

    root: Path

    def look(self, wanted: Wanted) -> Weights | str:
        """See Place."""
        _, _, name = wanted.model.partition("/")
        name, _, version = name.partition("@")
        folder = self._named(self.root, name)
        if folder is None:
            return NOT_THERE
        if not version:
            try:
                version = (folder / "current").read_text(encoding="utf-8").strip()
            except OSError:
                return f"no version of it is in use ({str(folder / 'current')!r} cannot be read)"
        found = self._named(folder, version)
        if found is None:
            return f"it has no version {version!r}"
        weights = adapted(found, wanted) or at(found, wanted)
        return evolve(weights, name=wanted.model) if isinstance(weights, Weights) else weights

    def _named(self, folder: Path, name: str) -> Path | None:
        # Compared with what the folder lists, so that no name leads out of it.
        if not folder.is_dir():
            return None
        return next((path for path in _folders(folder) if path.name == name), None)

    def __str__(self) -> str:
        return f"{str(self.root)!r} (tuned models)"


def adapted(version: Path, wanted: Wanted) -> Weights | str | None:
    """
    The base and adapter that the tuned model in folder *version* was proven as.

    None where it was proven merged, or in a format that is not wanted.
    """
    try:
        told = json.loads((version / FINETUNED).read_text(encoding="utf-8"))
        served, type_ = told["served"], ModelType.parse(told["type"])
        adapter = served.get("adapter")
    except (OSError, ValueError, KeyError):  # copied without its manifest: what is there counts
        return None
    if not adapter or served["format"] not in wanted.formats:
        return None
    base = Path(served["base"])
    if not base.exists():
        return f"it is an adapter on {str(base)!r}, which is gone; its merged weights are beside it"
    return Weights(
        wanted.model,
        base,
        served["format"],
        wanted.type or type_,
        served["context"],
        version / adapter,
    )


@frozen
class Folder:
    """A root folder and the setting that named it."""

    root: Path
    origin: str

    def look(self, wanted: Wanted) -> Weights | str:
        """See Place."""
        if not self.root.is_dir():
            return "there is no such folder"
        remark = NOT_THERE
        try:
            for path in self._candidates(wanted.model.casefold().split("/")):
                found = at(path, wanted)
                if isinstance(found, Weights):
                    return evolve(found, name=wanted.model)
                remark = found
        except OSError as exc:
            return f"{exc.filename!r} cannot be read: {exc.strerror}"
        return remark

    def _candidates(self, parts: list[str]) -> Iterator[Path]:
        # Names are compared with what folders list, which never is "..": nothing leads out.
        if len(parts) == 2:
            for owner in _folders(self.root):
                if owner.name.casefold() == parts[0]:
                    yield from _named(owner, parts[1])
        if len(parts) <= 2:
            yield from _named(self.root, parts[-1])
        if len(parts) == 1:
            for owner in _folders(self.root):
                if owner.name != TUNED:
                    yield from _named(owner, parts[0])

    def __str__(self) -> str:
        return f"{str(self.root)!r} ({self.origin})"


def places(wanted: Wanted, env: Mapping[str, str]) -> list[Place]:
    """Where to look for a name, in order."""
    if wanted.model.startswith(f"{TUNED}/"):
        return [Tuned(home(env) / "models" / TUNED)]
    roots = [
        Folder(Path(root).expanduser(), variable)
        for variable in ("MODELPLUG_MODEL_PATH", "LAZYLLM_MODEL_PATH")
        for root in env.get(variable, "").split(os.pathsep)
        if root
    ]
    kept, origin = cache(env)
    return [Shipped(), *roots, Folder(kept, f"cache, {origin}")]


def at(path: Path, wanted: Wanted) -> Weights | str:
    """The weights at *path*, a file or a folder, or in words why there are none."""
    if path.is_file():
        return _file(path, wanted)
    if not path.is_dir():
        return "there is no such file or folder"
    names = names_in(path)
    remarks = []
    for format_ in wanted.formats:
        recognise = FORMATS.get(format_)
        parts = recognise(names, wanted.variant) if recognise else None
        if parts is None:
            continue
        if not parts.missing:
            sees = any(PROJECTOR in name for name in parts.files)
            return _weights(path / parts.main, path.name, format_, wanted, sees=sees)
        remarks.append(f"it is not complete: {', '.join(parts.missing)} is missing")
    if remarks:
        return remarks[0]
    if wanted.variant and (has := quantizations(names)):
        return f"it has {', '.join(has)} and not {wanted.variant!r}"
    here = present(names)
    return _other_formats(here, wanted) if here else f"{str(path)!r} holds no weights"


def names_in(folder: Path) -> list[str]:
    """
    The files in *folder*, by their names in it.

    GGUF files deeper down count only where a download has put them: another folder may hold
    folders with other models.
    """
    fetched = (folder / MANIFEST).is_file()
    found = []
    for here, folders, files in os.walk(folder):
        inner = os.path.relpath(here, folder)
        depth = 0 if inner == "." else inner.count(os.sep) + 1
        folders[:] = [n for n in folders if not n.startswith(".")] if depth < _DEEPEST else []
        prefix = "" if depth == 0 else inner.replace(os.sep, "/") + "/"
        found += [
            prefix + name
            for name in files
            if depth == 0 or fetched or not name.lower().endswith(".gguf")
        ]
    return sorted(found)


def projector_of(path: Path) -> Path | None:
    """The file beside a GGUF that lets it see images, if there is one."""
    return next((file for file in sorted(path.parent.glob(f"*{PROJECTOR}*.gguf"))), None)


def _file(path: Path, wanted: Wanted) -> Weights | str:
    if path.suffix.lower() == ".onnx":
        if "onnx" not in wanted.formats:
            return _other_formats(["onnx"], wanted)
        return _weights(path, path.stem, "onnx", wanted, sees=False)
    if path.suffix.lower() != ".gguf":
        return f"{path.name!r} is neither a GGUF nor an ONNX file"
    if "gguf" not in wanted.formats:
        return _other_formats(["gguf"], wanted)
    stem = SPLIT.sub("", path.stem)
    quantization = QUANTIZATION.search(stem)
    if wanted.variant and (not quantization or quantization["name"].lower() != wanted.variant):
        return f"{path.name!r} is not {wanted.variant!r}"
    beside = [p.name for p in path.parent.glob("*.gguf") if SPLIT.sub("", p.stem) == stem]
    parts = gguf(beside, "") if SPLIT.search(path.stem) else None
    if parts and parts.missing:
        return f"it is not complete: {', '.join(parts.missing)} is missing"
    return _weights(path, plain(path.stem), "gguf", wanted, sees=projector_of(path) is not None)


def _weights(path: Path, name: str, format: str, wanted: Wanted, *, sees: bool) -> Weights:
    told = describe(format, path)
    type_ = wanted.type or told.type
    if wanted.type is None:
        if type_ == ModelType.LLM and sees:
            type_ = ModelType.VLM
        # A reranker made of a chat model (Qwen3-Reranker) has the files of a chat model.
        if wanted.known and type_ in (None, ModelType.LLM):
            type_ = wanted.known
    if type_ is None:
        msg = f"{str(path)!r} does not tell what the model does ({told.said}); pass type="
        raise NoModel(msg)
    return Weights(name, path, format, type_, told.context)


def _named(folder: Path, name: str) -> Iterator[Path]:
    """A folder, a file, or a file's stem with or without its quantization, called *name*."""
    for path in _folders(folder):
        if path.name.casefold() == name:
            yield path
    for path in _models_in(folder):
        stem = SPLIT.sub("", path.stem)
        if name in (path.name.casefold(), stem.casefold(), plain(path.stem).casefold()):
            yield path


def _models_in(folder: Path) -> list[Path]:
    """GGUF files, the preferred quantization first; neither projectors nor further parts."""
    left = [path.name for path in folder.iterdir() if path.suffix.lower() == ".gguf"]
    found = []
    while left and (parts := gguf(left, "")):
        found.append(folder / parts.main)
        left = [name for name in left if name not in parts.files]
    return found


def _folders(folder: Path) -> list[Path]:
    # What begins with a dot is being fetched, or is no model's at all.
    return _sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _sorted(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.name)


def _other_formats(here: list[str], wanted: Wanted) -> str:
    takes = " or ".join(wanted.formats) or "no format at all"
    return f"it is there as {' and '.join(here)}, and the engines at hand take {takes}"
