"""
Finds weights: an absolute path; else those shipped in an installed plugin; else the roots of
MODELPLUG_MODEL_PATH (and LAZYLLM_MODEL_PATH after them); else the cache; else a hub.

Each of these but the hub is a `Place` on the disk. Nothing is guessed from a name: what a
model does is read from its files, or said in the catalogue.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve, frozen

from modelplug import plugins
from modelplug.errors import ModelplugError, NoModel
from modelplug.runtime import Download, Sighting
from modelplug.types import ModelType, Weights
from modelplug_local.weights import catalogue
from modelplug_local.weights.download import download as fetch
from modelplug_local.weights.download import files_of
from modelplug_local.weights.formats import FORMATS, present, quantizations
from modelplug_local.weights.hubs import HUBS, REPOSITORY, Access, access
from modelplug_local.weights.places import Wanted, at, places
from modelplug_local.weights.progress import Progress
from modelplug_local.weights.store import TUNED, File, Manifest, cache, listing_of

_VARIANT = re.compile(r"(?P<model>[^:]+):(?P<variant>[\w.-]+)")


@frozen
class Remote:
    """Where a hub has a model: `format` empty until its files have been listed."""

    access: Access
    repository: str
    format: str
    wanted: Wanted

    def choose(self, names: Sequence[str]) -> Sequence[str]:
        """The files that are needed; NoModel where the repository has none of the formats."""
        formats = [self.format] if self.format else self.wanted.formats
        usual = catalogue.quantization(self.repository)
        variants = [self.wanted.variant] if self.wanted.variant else [usual, ""]
        for format_ in formats:
            recognise = FORMATS.get(format_)
            for variant in variants if format_ == "gguf" else variants[-1:]:
                parts = recognise(names, variant) if recognise else None
                if parts is not None and not parts.missing:
                    return parts.files
        raise NoModel(self._nothing(names, formats))

    def _nothing(self, names: Sequence[str], formats: Sequence[str]) -> str:
        where = f"{self.repository!r} on {self.access.hub.name}"
        has = quantizations(names)
        if self.wanted.variant and has:
            return f"{where} has {', '.join(has)} and not {self.wanted.variant!r}; name one of them"
        here = " and ".join(present(names)) or "no weights that are known here"
        known = catalogue.siblings(self.repository, self.access.hub.name, formats)
        mend = f"take {' or '.join(map(repr, known))}" if known else "install an engine for it"
        return f"{where} holds {here}, and the engines at hand take {_or(formats)}; {mend}"

    def _chosen_of(self, listed: Manifest) -> list[File]:
        by_name = {file.path: file for file in listed.files}
        try:
            return [by_name[name] for name in self.choose(list(by_name))]
        except NoModel:  # told when it is asked for
            return []

    @property
    def download(self) -> Download:
        """What would be fetched, as far as that is known without asking the hub."""
        root, _ = cache(os.environ)
        listed = listing_of(root, self.access.hub.name, self.repository)
        if listed is not None and (files := self._chosen_of(listed)):
            size = sum(file.size for file in files)
            names = [file.path for file in files]
            return Download(self.access.hub.name, self.repository, names, size)
        variant = self.wanted.variant or catalogue.quantization(self.repository)
        pattern = {"gguf": f"*{variant}*.gguf", "": "*"}.get(self.format, f"*.{self.format}")
        return Download(self.access.hub.name, self.repository, [pattern])


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

    Fetched from the hub *source* if they are nowhere and *download* allows it. NoModel tells
    each place that was looked at; what a hub did wrong is a CallError.
    """
    wanted = _wanted(model, formats, type)
    found, looked = _on_disk(wanted)
    if found is not None:
        return found
    place = remote(wanted, source)
    if isinstance(place, str):
        raise _nowhere(wanted, [*looked, place])
    if not download:
        hub = place.access.hub.name
        raise _nowhere(wanted, [*looked, f"{hub}: not asked, as downloads are off for this model"])
    return _fetched(place, looked, None)


def look(
    model: str,
    *,
    formats: Sequence[str],
    type: ModelType | None = None,
    source: str | None = None,
) -> Sighting:
    """What `find` would do, told from the disk alone; nothing is fetched or written."""
    wanted = _wanted(model, formats, type)
    found, looked = _on_disk(wanted)
    if found is not None:
        return Sighting(found, None, looked)
    place = remote(wanted, source)
    if isinstance(place, str):
        return Sighting(None, None, [*looked, place])
    return Sighting(None, place.download, looked)


def pull(
    model: str,
    *,
    formats: Sequence[str] = (),
    type: ModelType | None = None,
    source: str | None = None,
    progress: Progress | None = None,
) -> Weights:
    """
    As `find`, for programs that fetch ahead: *progress(done, total)* is told the bytes.

    *formats* left out are those of the engines that are installed, or all where there is none.
    """
    wanted = _wanted(model, formats or engine_formats(), type)
    found, looked = _on_disk(wanted)
    if found is not None:
        return found
    place = remote(wanted, source)
    if isinstance(place, str):
        raise _nowhere(wanted, [*looked, place])
    return _fetched(place, looked, progress)


def plan(
    model: str,
    *,
    formats: Sequence[str] = (),
    type: ModelType | None = None,
    source: str | None = None,
) -> Weights | Manifest:
    """The weights if they are on disk, else the files that `pull` would fetch, as the hub says."""
    wanted = _wanted(model, formats or engine_formats(), type)
    found, looked = _on_disk(wanted)
    if found is not None:
        return found
    place = remote(wanted, source)
    if isinstance(place, str):
        raise _nowhere(wanted, [*looked, place])
    return files_of(place.repository, place.choose, place.access, cache(os.environ)[0])


def remote(wanted: Wanted, source: str | None) -> Remote | str:
    """
    Where the hub *source* has a model, or in words why it is not asked.

    Where nobody chose a hub, the catalogue may know a model on another one alone.
    """
    chosen = access(source, os.environ)
    hubs = [chosen]
    if chosen.origin == "default":
        hubs += [access(name, os.environ) for name in HUBS if name != chosen.hub.name]
    told = []
    for each in hubs:
        if each.offline:
            told.append(f"{each.hub.name}: not asked, as {each.offline} is set")
            continue
        for format_ in wanted.formats:
            if repository := catalogue.repository(wanted.model, each.hub.name, format_):
                return Remote(each, repository, format_, wanted)
    if told:
        return told[0]
    if REPOSITORY.fullmatch(wanted.model) and not wanted.model.lower().startswith(f"{TUNED}/"):
        return Remote(chosen, wanted.model, "", wanted)
    name = chosen.hub.name
    if known := catalogue.formats_of(wanted.model, name):
        has = " and ".join(known)
        return f"{name}: has it as {has}, and the engines at hand take {_or(wanted.formats)}"
    return f"{name}: the catalogue names no repository of it"


def kind_of(model: str) -> tuple[ModelType, str] | None:
    """(what *model* does, what told it), as `resolve_type`; None if nothing tells."""
    try:
        found, _ = _on_disk(_wanted(model, tuple(FORMATS), None))
    except NoModel:  # damaged, or they do not tell
        found = None
    if found is not None:
        return found.type, f"the weights at {found.path}"
    type = catalogue.type_of(model)
    return (type, "the catalogue of local models") if type else None


def engine_formats() -> list[str]:
    """The formats that installed engines take, by preference; all where none is installed."""
    installed = plugins.installed()
    traits = []
    for name in installed.names("deploy_local"):
        try:
            traits.append(installed.engine(name))
        except ModelplugError:  # broken: an error for its own name only
            continue
    ranked = sorted(traits, key=lambda each: each.rank)
    return list(dict.fromkeys(f for each in ranked for f in each.formats)) or list(FORMATS)


def _wanted(model: str, formats: Sequence[str], type: ModelType | None) -> Wanted:
    variant = ""
    if (split := _VARIANT.fullmatch(model)) and not os.path.isabs(os.path.expanduser(model)):
        model, variant = split["model"], split["variant"].lower()
    return Wanted(model, formats, type, variant, catalogue.type_of(model))


def _on_disk(wanted: Wanted) -> tuple[Weights | None, list[str]]:
    """(the weights, each place that does not have them and why)."""
    # Path.expanduser raises where there is no such user.
    if (path := Path(os.path.expanduser(wanted.model))).is_absolute():
        found = at(path, wanted)
        if isinstance(found, Weights):
            return found, []
        msg = (
            f"there are no weights at {wanted.model!r}: {found}; give a GGUF file or a model's "
            f"folder"
        )
        raise NoModel(msg)
    looked: list[str] = []
    for place in places(wanted, os.environ):
        found = place.look(wanted)
        if isinstance(found, Weights):
            return found, looked
        looked.append(f"{place}: {found}")
    return _under_other_names(wanted), looked


def _under_other_names(wanted: Wanted) -> Weights | None:
    """In the folder of a repository that the catalogue names, `Qwen2-1.5B-Instruct` say."""
    for format_ in wanted.formats:
        for name in catalogue.repositories(wanted.model, format_):
            asked = evolve(wanted, model=name, formats=[format_])
            for place in places(asked, os.environ):
                found = place.look(asked)
                if isinstance(found, Weights):
                    return evolve(found, name=wanted.model)
    return None


def _fetched(place: Remote, looked: Sequence[str], progress: Progress | None) -> Weights:
    root, _ = cache(os.environ)
    formats = [place.format] if place.format else place.wanted.formats
    wanted = evolve(place.wanted, formats=formats)
    try:
        folder = fetch(
            place.repository,
            place.choose,
            place.access,
            root,
            ready=lambda folder: isinstance(at(folder, wanted), Weights),
            progress=progress,
        )
    except NoModel as exc:
        msg = f"{exc} (looked before: {'; '.join(looked)})"
        raise NoModel(msg) from exc
    found = at(folder, wanted)
    if isinstance(found, str):
        msg = f"what {place.access.hub.name} has of {place.repository!r} cannot be used: {found}"
        raise NoModel(msg)
    return evolve(found, name=place.wanted.model)


def _nowhere(wanted: Wanted, looked: Sequence[str]) -> NoModel:
    msg = (
        f"no weights of {wanted.model!r} were found ({'; '.join(looked)}); give the name of a "
        f"repository (org/name), put them into a folder of that name under a root of "
        f"MODELPLUG_MODEL_PATH, or give their absolute path"
    )
    return NoModel(msg)


def _or(formats: Sequence[str]) -> str:
    return " or ".join(formats) or "no format at all"
