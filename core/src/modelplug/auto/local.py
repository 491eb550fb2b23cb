"""A model on this machine: its weights, its engine, what would be fetched and started."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from modelplug.auto.asked import Asked
from modelplug.auto.choice import Candidate, Choice
from modelplug.errors import ModelplugError, NoModel, UnknownOption
from modelplug.local.engines import expected_type, refuse, survey
from modelplug.local.trainable import TrainableModule
from modelplug.plugins import Plugins
from modelplug.runtime import Download, Sighting
from modelplug.settings import find_keys
from modelplug.types import ModelType, Secret, Weights

Rows = tuple[tuple[str, str, str], ...]
Steps = tuple[tuple[str, str], ...]


@frozen
class Local:
    """A local model that could be made."""

    asked: Asked
    engine: str
    type: ModelType
    settings: Rows
    steps: Steps

    def make(self) -> TrainableModule:
        """The module; nothing is fetched or started."""
        asked = self.asked
        entry = asked.found.entry if asked.found else None
        module = TrainableModule(
            asked.model,
            (entry and entry.target_path) or "",
            stream=entry.stream if entry and entry.stream is not None else False,
            return_trace=bool(entry and entry.return_trace),
            trust_remote_code=entry.trust_remote_code if entry else None,
            type=asked.type,
            source=_hub(asked),
        )
        if isinstance(asked.url, str):
            module.deploy_method(self.engine, url=asked.url, api_key=_one_key(asked))
        elif asked.found and entry and (entry.deploy_config or entry.framework):
            try:
                module.deploy_method(self.engine, **_engine_options(asked))
            except UnknownOption as error:
                msg = f"{asked.found.origin('deploy_config')}: {error}"
                raise UnknownOption(msg) from error
        if entry and entry.options:
            module._view = evolve(module._view, options=dict(entry.options))
        return module


def _one_key(asked: Asked) -> Secret | None:
    """The key of an engine that runs, its reference followed."""
    keys, _ = find_keys("", (), os.environ, [] if asked.api_key is None else asked.api_key)
    return keys[0] if keys else None


def _hub(asked: Asked) -> str | None:
    source = asked.found.entry.source if asked.found else None
    return None if source == "local" else source


def _engine_options(asked: Asked) -> Mapping[str, Any]:
    return (asked.found.entry.deploy_config if asked.found else None) or {}


def choose_local(plugins: Plugins, asked: Asked) -> Local:
    """How *asked* would be served here; NoModel, or what a plugin raises, says why it cannot be."""
    wanted = asked.found.entry.framework if asked.found else None
    if isinstance(asked.url, str) and wanted:
        return _attached(plugins, asked, wanted)
    if not plugins.names("deploy_local"):
        raise refuse(plugins, asked.model, [], None, asked.type)
    sighting = _look(plugins, asked, wanted)
    weights, download = sighting.weights, sighting.download
    type = weights.type if weights else expected_type(plugins, asked.model, asked.type)
    format = weights.format if weights else None
    fits = survey(plugins, format=format, type=type, python=_python(asked), only=wanted)
    fitting = [fit.engine for fit in fits if fit.fits]
    if weights is None:
        # The first whose format is to be had; the hub is not asked.
        fitting = [name for name in fitting if _fetches(plugins, asked, name)] or fitting
    engine = next(iter(fitting), None)
    if engine is None:
        raise refuse(plugins, asked.model, fits, format, type)
    why = next(fit.why for fit in fits if fit.engine == engine)
    origin = plugins.find("deploy_local", engine).origin
    settings = (
        _weights_row(weights, download),
        ("type", str(type or "unknown"), _type_from(asked, weights, type)),
        ("engine", engine, _engine_from(asked, wanted, f"{origin}: {why}")),
        *_option_rows(asked),
    )
    steps = (
        *((("downloads", _what(download, asked.model)),) if weights is None and download else ()),
        ("starts", f"a process of {engine} on a free loopback port, at start() or first call"),
    )
    return Local(asked, engine, type or ModelType.LLM, settings, steps)


def _python(asked: Asked) -> str | None:
    python = _engine_options(asked).get("python")
    return python if isinstance(python, str) else None


def _look(plugins: Plugins, asked: Asked, wanted: str | None) -> Sighting:
    """Where the weights are, or what would be fetched; NoModel where there are none."""
    type = expected_type(plugins, asked.model, asked.type)
    fits = survey(plugins, type=type, python=_python(asked), only=wanted)
    names = [wanted] if wanted else [fit.engine for fit in fits if fit.fits]
    if not names:
        raise refuse(plugins, asked.model, fits, None, type)
    formats = [format for name in names for format in plugins.engine(name).formats]
    sighting = plugins.runtime().look(
        asked.model, formats=list(dict.fromkeys(formats)), type=asked.type, source=_hub(asked)
    )
    found = asked.found
    refused = found if found and found.entry.trust_remote_code is False else None
    if sighting.weights is None and (sighting.download is None or refused):
        looked = "; ".join(sighting.looked) or "nowhere to look"
        mend = "give their absolute path, or the name of a repository (org/name)"
        if refused:
            mend = f"{refused.origin('trust_remote_code')} forbids to fetch them"
        msg = f"no weights of {asked.model!r} are here ({looked}); {mend}"
        raise NoModel(msg)
    return sighting


def _fetches(plugins: Plugins, asked: Asked, engine: str) -> bool:
    formats = plugins.engine(engine).formats
    told = plugins.runtime().look(asked.model, formats=formats, type=asked.type, source=_hub(asked))
    return told.download is not None


def _attached(plugins: Plugins, asked: Asked, engine: str) -> Local:
    origin = plugins.find("deploy_local", engine).origin
    settings: Rows = (
        ("engine", engine, _engine_from(asked, engine, origin)),
        ("type", str(asked.type or ModelType.LLM), _type_from(asked, None, None)),
        ("url", str(asked.url), asked.origin("url")),
        *_option_rows(asked, used=False),
    )
    if asked.api_key is not None:
        settings += (("api_key", "***", asked.origin("api_key")),)
    steps = (("calls", str(asked.url)),)
    return Local(asked, engine, asked.type or ModelType.LLM, settings, steps)


def _type_from(asked: Asked, weights: Weights | None, type: ModelType | None) -> str:
    if asked.type is not None:
        return asked.origin("type")
    if weights is not None:
        return "the weights"
    return "the catalogue of local models" if type else "default"


def _engine_from(asked: Asked, wanted: str | None, why: str) -> str:
    return f"{asked.found.origin('framework')}: {why}" if wanted and asked.found else why


def _weights_row(weights: Weights | None, download: Download | None) -> tuple[str, str, str]:
    if weights is not None:
        on_top = f", with the adapter {weights.adapter}" if weights.adapter else ""
        return "weights", str(weights.path), f"{weights.format}{on_top}"
    assert download is not None  # _look has seen to it
    return "weights", download.repository, f"on {download.hub}, not here yet"


def _what(download: Download, model: str) -> str:
    if download.size is not None:
        size = size_text(download.size)
    else:  # only the hub knows, and nobody is asked here
        size = f"of a size that modelplug pull --dry-run {model} tells"
    return f"{download.repository} from {download.hub}, {size}"


def size_text(size: int) -> str:
    """Bytes for people: `1.9 GB`."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def _option_rows(asked: Asked, *, used: bool = True) -> Rows:
    """The engine's options, then the calls'; an engine that runs already takes none."""
    found = asked.found
    if found is None:
        return ()
    told: list[tuple[str, str, str]] = []
    for name, value in _engine_options(asked).items():
        origin = found.origin("deploy_config", name)
        told.append((name, repr(value), origin if used else f"{origin}; not used: it runs already"))
    for name, value in (found.entry.options or {}).items():
        told.append((name, repr(value), found.origin_of_option(name)))
    return tuple(told)


def not_local(asked: Asked, others: Sequence[Candidate], error: ModelplugError) -> Choice:
    """The choice that there is none, for the reason that *error* tells."""
    failed = Candidate("local", "no", str(error))
    return Choice("none", asked.model, asked.type or "", "local", (*others, failed))
