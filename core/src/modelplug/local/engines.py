"""Which engine serves what on this machine, and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from attrs import frozen

from modelplug.catalog import EngineTraits
from modelplug.errors import ConfigError, ModelplugError, NoModel
from modelplug.known import DISTRIBUTIONS, ENGINES
from modelplug.plugins import Plugins
from modelplug.types import ModelType


@frozen
class Fit:
    """Whether an engine could serve some weights here, and why or why not."""

    engine: str
    fits: bool
    why: str


def judge(
    engines: Mapping[str, EngineTraits],
    *,
    format: str | None = None,
    type: ModelType | None = None,
    absent: Mapping[str, str] | None = None,
    devices: Collection[str] = ("cpu",),
) -> list[Fit]:
    """
    A verdict on each engine, in the order in which they are tried: by rank, then by name.

    *format* and *type* of the weights count where they are known; *absent* tells of an engine
    why its packages are not there; *devices* are the kinds at hand.
    """
    absent = absent or {}
    ordered = sorted(engines.items(), key=lambda item: (item[1].rank, item[0]))
    return [
        Fit(name, not why, why or _praise(traits, format, type, devices))
        for name, traits in ordered
        for why in [_against(traits, format, type, absent.get(name, ""), devices)]
    ]


def _against(
    traits: EngineTraits,
    format: str | None,
    type: ModelType | None,
    absent: str,
    devices: Collection[str],
) -> str:
    if format is not None and format not in traits.formats:
        return f"takes {', '.join(traits.formats)}, not {format}"
    if type is not None and type not in traits.types:
        return f"serves {', '.join(traits.types)}, not {type}"
    if not set(devices) & set(traits.devices):
        return f"runs on {' or '.join(traits.devices)}, and there is none here"
    return absent


def _praise(
    traits: EngineTraits, format: str | None, type: ModelType | None, devices: Collection[str]
) -> str:
    on = " or ".join(device for device in traits.devices if device in devices)
    formats, types = format or ", ".join(traits.formats), type or ", ".join(traits.types)
    return f"takes {formats}, serves {types}, runs on {on}"


def survey(
    plugins: Plugins,
    *,
    format: str | None = None,
    type: ModelType | None = None,
    python: str | None = None,
    only: str | None = None,
) -> list[Fit]:
    """
    `judge` on the installed engines, or on *only* one, and this machine.

    An engine whose manifest cannot be read does not fit, and the error says so.
    """
    runtime = plugins.runtime()
    engines: dict[str, EngineTraits] = {}
    absent: dict[str, str] = {}
    broken: list[Fit] = []
    for name in [only] if only else plugins.names("deploy_local"):
        try:
            engines[name] = plugins.engine(name)
        except ModelplugError as error:
            broken.append(Fit(name, False, str(error)))
            continue
        try:
            runtime.interpreter(name, engines[name], python)
        except ConfigError as error:
            absent[name] = str(error)
    # Asking for GPUs starts a process: only where an answer could change anything.
    needs_gpu = any("cpu" not in traits.devices for traits in engines.values())
    devices = {device.kind for device in runtime.devices()} if needs_gpu else {"cpu"}
    return judge(engines, format=format, type=type, absent=absent, devices=devices) + broken


def expected_type(plugins: Plugins, model: str, wanted: ModelType | None) -> ModelType | None:
    """*wanted*, else what weights on disk or the catalogue tell of *model*, if they do."""
    if wanted is not None:
        return wanted
    told = plugins.runtime().kind_of(model)
    return told[0] if told else None


def installable(
    plugins: Plugins, *, format: str | None = None, type: ModelType | None = None
) -> list[Fit]:
    """The engines that are known of and not installed; of each, the command that installs it."""
    here = plugins.names("deploy_local")
    return [
        Fit(name, False, f"pip install {DISTRIBUTIONS['deploy_local'][name]}")
        for name, traits in ENGINES.items()
        if name not in here
        and (format is None or format in traits["formats"])
        and (type is None or type in traits["types"])
    ]


def refuse(
    plugins: Plugins, model: str, fits: Sequence[Fit], format: str | None, type: ModelType | None
) -> NoModel:
    """The error that no engine fits: each with the reason, and what could be installed."""
    if fits:
        told = "; ".join(f"{fit.engine}: {fit.why}" for fit in fits)
        text = f"no installed engine can serve {model!r}: {told}"
    else:
        text = f"{model!r} needs an engine and none is installed"
    mends = " or ".join(fit.why for fit in installable(plugins, format=format, type=type))
    return NoModel(f"{text}; {mends}" if mends else text)
