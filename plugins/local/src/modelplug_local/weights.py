"""
Finds weights: an absolute path; else those shipped in an installed plugin; else the roots of
MODELPLUG_MODEL_PATH (and LAZYLLM_MODEL_PATH after them); else the cache.

Each of these is a `Place`; a hub that downloads is one more at the end of the list. Nothing
is guessed from a name: what a model does is read from its files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from attrs import evolve, frozen

from modelplug import plugins
from modelplug.errors import NoModel
from modelplug.settings import resolve
from modelplug.types import ModelType, Weights
from modelplug_local.gguf import read_head
from modelplug_local.logs import home

_QUANTIZATION = re.compile(r"[.-](?:i?q\d\w*|b?f16|f32|mxfp4\w*)$", re.IGNORECASE)
_SPLIT = re.compile(r"-(\d{5})-of-\d{5}$")
# Where a folder has several: the usual middle between size and quality first.
_PREFERRED = ("q4_k_m", "q5_k_m", "q6_k", "q8_0", "q4_0")
_PROJECTOR = "mmproj"

# The last word of an architecture's name in config.json, as transformers builds them.
_ARCHITECTURES = {
    "ForCausalLM": ModelType.LLM,
    "LMHeadModel": ModelType.LLM,
    "ForConditionalGeneration": ModelType.VLM,
    "ForSequenceClassification": ModelType.RERANK,
    "ForMaskedLM": ModelType.EMBED,
    "Model": ModelType.EMBED,
}


@frozen
class Wanted:
    """`formats` by preference; `type` None to read it from the files."""

    model: str
    formats: Sequence[str]
    type: ModelType | None = None


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
class Folder:
    """A root folder and the setting that named it."""

    root: Path
    origin: str

    def look(self, wanted: Wanted) -> Weights | str:
        """See Place."""
        if not self.root.is_dir():
            return "there is no such folder"
        remark = "not there"
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
                yield from _named(owner, parts[0])

    def __str__(self) -> str:
        return f"{str(self.root)!r} ({self.origin})"


def places(env: Mapping[str, str]) -> list[Place]:
    """Where to look for a name, in order."""
    roots = [
        Folder(Path(root).expanduser(), variable)
        for variable in ("MODELPLUG_MODEL_PATH", "LAZYLLM_MODEL_PATH")
        for root in env.get(variable, "").split(os.pathsep)
        if root
    ]
    cache = resolve("cache", variable="MODEL_CACHE_DIR", env=env, default=str(home(env) / "models"))
    assert cache is not None  # there is a default
    return [Shipped(), *roots, Folder(Path(cache.value).expanduser(), f"cache, {cache.origin}")]


def find(
    model: str,
    *,
    formats: Sequence[str],
    type: ModelType | None = None,
    source: str | None = None,
    download: bool = True,
) -> Weights:
    """
    The weights of *model* on disk, in the first of *formats* to be had.

    NoModel tells each place that was looked at. *source* and *download* are for a hub, which
    this version has none of.
    """
    wanted = Wanted(model, formats, type)
    # Path.expanduser raises where there is no such user.
    if (path := Path(os.path.expanduser(model))).is_absolute():
        found = at(path, wanted)
        if isinstance(found, Weights):
            return found
        msg = f"there are no weights at {model!r}: {found}; give a GGUF file or a model's folder"
        raise NoModel(msg)
    looked = []
    for place in places(os.environ):
        found = place.look(wanted)
        if isinstance(found, Weights):
            return found
        looked.append(f"{place}: {found}")
    hub = source or "a hub"
    looked.append(f"{hub}: this version of modelplug-local does not download")
    msg = (
        f"no weights of {model!r} were found ({'; '.join(looked)}); put them into a folder of "
        f"that name under a root of MODELPLUG_MODEL_PATH, or give their absolute path"
    )
    raise NoModel(msg)


def at(path: Path, wanted: Wanted) -> Weights | str:
    """The weights at *path*, a file or a folder, or in words why there are none."""
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            return f"{path.name!r} is not a GGUF file"
        return _gguf(path, wanted) if "gguf" in wanted.formats else _other_formats(["gguf"], wanted)
    if not path.is_dir():
        return "there is no such file or folder"
    files = _ggufs(path)
    has_safetensors = (path / "config.json").is_file() and any(path.glob("*.safetensors"))
    for format_ in wanted.formats:
        if format_ == "gguf" and files:
            return _gguf(min(files, key=_rank), wanted, path.name)
        if format_ == "safetensors" and has_safetensors:
            return _safetensors(path, wanted)
    here = ["gguf"] * bool(files) + ["safetensors"] * has_safetensors
    return _other_formats(here, wanted) if here else f"{str(path)!r} holds no weights"


def _gguf(path: Path, wanted: Wanted, name: str | None = None) -> Weights:
    head = read_head(path)
    type_ = wanted.type or head.type
    if wanted.type is None and type_ == ModelType.LLM and projector_of(path):
        type_ = ModelType.VLM
    return Weights(name or _plain(path), path, "gguf", type_, head.context)


def projector_of(path: Path) -> Path | None:
    """The file beside a GGUF that lets it see images, if there is one."""
    return next((file for file in sorted(path.parent.glob(f"*{_PROJECTOR}*.gguf"))), None)


def _safetensors(path: Path, wanted: Wanted) -> Weights:
    config_path = path / "config.json"
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
        architecture = str((config.get("architectures") or [""])[0])
        context = (config.get("text_config") or config).get("max_position_embeddings")
    except (ValueError, AttributeError, OSError) as exc:
        msg = f"{str(config_path)!r} cannot be read: {exc}; fetch the model again"
        raise NoModel(msg) from exc
    type_ = wanted.type or _type_of(architecture)
    if type_ is None:
        msg = (
            f"{str(config_path)!r} does not tell what the model does ({architecture!r}); pass type="
        )
        raise NoModel(msg)
    context = context if isinstance(context, int) else None
    return Weights(path.name, path, "safetensors", type_, context)


def _type_of(architecture: str) -> ModelType | None:
    return next(
        (type_ for end, type_ in _ARCHITECTURES.items() if architecture.endswith(end)), None
    )


def _ggufs(folder: Path) -> list[Path]:
    """Models alone: neither projectors nor the further parts of a split one."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".gguf" and _PROJECTOR not in path.name.lower():
            part = _SPLIT.search(path.stem)
            if part is None or int(part[1]) == 1:
                found.append(path)
    return found


def _rank(path: Path) -> tuple[int, str]:
    stem = _SPLIT.sub("", path.stem).lower()
    ranks = [index for index, name in enumerate(_PREFERRED) if stem.endswith(name)]
    return (ranks[0] if ranks else len(_PREFERRED), path.name)


def _plain(path: Path) -> str:
    """`qwen2-1.5b` of `qwen2-1.5b-q4_k_m-00001-of-00002.gguf`."""
    return _QUANTIZATION.sub("", _SPLIT.sub("", path.stem))


def _named(folder: Path, name: str) -> Iterator[Path]:
    """A folder, a file, or a file's stem with or without its quantization, called *name*."""
    for path in _sorted(folder.iterdir()):
        if path.is_dir() and path.name.casefold() == name:
            yield path
    files = _ggufs(folder)
    for path in sorted(files, key=_rank):
        stem = _SPLIT.sub("", path.stem)
        if name in (path.name.casefold(), stem.casefold(), _plain(path).casefold()):
            yield path


def _folders(folder: Path) -> list[Path]:
    return [path for path in _sorted(folder.iterdir()) if path.is_dir()]


def _sorted(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.name)


def _other_formats(here: list[str], wanted: Wanted) -> str:
    takes = " or ".join(wanted.formats) or "no format at all"
    return f"it is there as {' and '.join(here)}, and the engines at hand take {takes}"
