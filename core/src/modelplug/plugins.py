"""
Installed plugins: found by entry points, imported at first use, asked one at a time.

Names are indexed once from metadata. Measured with 500 installed distributions: importing
them all takes 344 ms and more, indexing them 32 ms (2026-11).
"""

from __future__ import annotations

import builtins
import inspect
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import TYPE_CHECKING, Any, cast

import pluggy
from attrs import define, field, frozen

from modelplug import hookspecs
from modelplug.catalog import (
    EngineTraits,
    Manifest,
    Provider,
    ShippedWeights,
    TrainerTraits,
    read_manifest,
)
from modelplug.errors import ModelplugError, PluginBroken, PluginNotFound, did_you_mean
from modelplug.known import DISTRIBUTIONS

if TYPE_CHECKING:
    from modelplug.claims import Claims
    from modelplug.families import ModelFamily
    from modelplug.runtime import Runtime
    from modelplug.types import Deployment, Endpoint, ModelType, Plan, Training, TrainingPlan
    from modelplug.wire import Codec

PREFIX = "modelplug."
HOOKS = ("resolve_type", "create_online", "deploy_local", "finetune", "format")
WRAPPERS = "wrappers"


@frozen(eq=False)
class Entry:
    """One name that one distribution provides. `rivals` are others that claim the same name."""

    group: str
    name: str
    value: str
    distribution: Distribution = field(repr=False)
    rivals: list[Distribution] = field(factory=list, repr=False)

    @property
    def module(self) -> str:
        """The module that the entry point names."""
        return self.value.partition(":")[0].strip()

    @property
    def origin(self) -> str:
        """Distribution and version, for people: `modelplug-openai 0.1.0`."""
        return f"{self.distribution.name} {self.distribution.version}"


def scan(
    blocked: frozenset[str] = frozenset(), path: Sequence[str] | None = None
) -> dict[str, dict[str, Entry]]:
    """
    Group (without `modelplug.`) → name → entry, of all installed distributions: those on
    *path*, by default the interpreter's own.
    """
    index: dict[str, dict[str, Entry]] = {}
    for distribution in distributions() if path is None else distributions(path=list(path)):
        text = distribution.read_text("entry_points.txt")
        if text is None or PREFIX not in text:
            continue
        for point in _points(distribution, text):
            if point.group.startswith(PREFIX) and point.name not in blocked:
                _add(index.setdefault(point.group.removeprefix(PREFIX), {}), point, distribution)
    return index


def _points(distribution: Distribution, text: str) -> Iterable[EntryPoint]:
    try:
        return distribution.entry_points
    except (TypeError, ValueError) as exc:  # a hand-made file: it must not hide everything else
        import logging

        log = logging.getLogger("modelplug")
        log.warning("entry points that cannot be read are left out (%s): %.200s", exc, text)
        return ()


def _add(names: dict[str, Entry], point: EntryPoint, distribution: Distribution) -> None:
    group = point.group.removeprefix(PREFIX)
    first = names.setdefault(point.name, Entry(group, point.name, point.value, distribution))
    # The same distribution twice on the path: the first one wins, as in an import.
    if first.distribution is not distribution and _canonical(first.distribution) != _canonical(
        distribution
    ):
        first.rivals.append(distribution)


def _canonical(distribution: Distribution) -> str:
    return re.sub("[-_.]+", "-", distribution.name).lower()


class _Held:
    """
    The hooks of one plugin object as pluggy holds them, once for each entry.

    pluggy tells plugins apart by `==` and refuses one that it has under another name; two
    equal objects, or one object under two names, are plugins like any other.
    """

    def __init__(self, plugin: object) -> None:
        for name in dir(plugin):
            if not isinstance(inspect.getattr_static(plugin, name, None), property):
                value = getattr(plugin, name, None)
                if inspect.isroutine(value) and hasattr(value, f"{hookspecs.PROJECT}_impl"):
                    vars(self)[name] = value


@define(eq=False)
class Plugins:
    """The plugins of one index. Use `installed()`; make one yourself only in a test."""

    index: Mapping[str, Mapping[str, Entry]]
    blocked: frozenset[str] = frozenset()
    _manager: pluggy.PluginManager = field(init=False, repr=False)
    _manifests: dict[str, Manifest] = field(init=False, factory=dict, repr=False)
    _tables: dict[tuple[str, str], object] = field(init=False, factory=dict, repr=False)
    _held: dict[tuple[str, str], _Held] = field(init=False, factory=dict, repr=False)
    _wrappers_loaded: bool = field(init=False, default=False)
    _lock: threading.RLock = field(init=False, factory=threading.RLock, repr=False)

    def __attrs_post_init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    def names(self, group: str) -> list[str]:
        """Every installed name of a group, sorted."""
        return sorted(self.index.get(group, {}))

    def find(self, group: str, name: str) -> Entry:
        """The entry of a name; PluginNotFound says what to install, PluginBroken of a rival."""
        entries = self.index.get(group, {})
        entry = entries.get(name)
        if entry is None:
            raise self._not_found(group, name)
        if entry.rivals:
            all_of_them = [entry.distribution.name, *(rival.name for rival in entry.rivals)]
            msg = (
                f"{' and '.join(sorted(all_of_them))} both provide {name!r} ({group}); "
                f"uninstall one of them"
            )
            raise PluginBroken(msg)
        return entry

    def _not_found(self, group: str, name: str) -> PluginNotFound:
        what = _NOUNS.get(group, "plugin")
        here = self.names(group)
        if name in self.blocked:
            msg = f"the {what} {name!r} is hidden by MODELPLUG_BLOCK; take it out of there"
        elif distribution := DISTRIBUTIONS.get(group, {}).get(name):
            msg = f"the {what} {name!r} is not installed; pip install {distribution}"
        else:
            known = {*here, *DISTRIBUTIONS.get(group, {})}
            msg = (
                f"no installed plugin provides the {what} {name!r} "
                f"(installed: {', '.join(here) or 'none'}){did_you_mean(name, known)}"
            )
        return PluginNotFound(msg)

    def load(self, group: str, name: str) -> Any:
        """The object that the entry point names, imported at the first call."""
        entry = self.find(group, name)
        try:
            return EntryPoint(entry.name, entry.value, PREFIX + group).load()
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - a stranger's module may do anything
            msg = f"{entry.origin} could not be loaded for {name!r}: {type(exc).__name__}: {exc}"
            raise PluginBroken(msg) from exc

    def manifest(self, group: str, name: str) -> Manifest:
        """The manifest beside a plugin's module, read at the first call."""
        module = self.find(group, name).module
        if module not in self._manifests:
            self._manifests[module] = read_manifest(module)
        return self._manifests[module]

    def provider(self, source: str) -> Provider:
        """What `[create_online.<source>]` says."""
        return cast("Provider", self._table("create_online", source))

    def engine(self, name: str) -> EngineTraits:
        """What `[deploy_local.<name>]` says."""
        return cast("EngineTraits", self._table("deploy_local", name))

    def trainer(self, name: str) -> TrainerTraits:
        """What `[finetune.<name>]` says."""
        return cast("TrainerTraits", self._table("finetune", name))

    def weights(self, name: str) -> ShippedWeights:
        """What `[weights.<name>]` says."""
        return cast("ShippedWeights", self._table("weights", name))

    @cached_property
    def claims(self) -> Claims:
        """What all providers' manifests say of models and keys."""
        from modelplug.claims import Claims

        return Claims(self)

    def family(self, name: str) -> ModelFamily:
        """What `[catalogue.<name>]` says."""
        return cast("ModelFamily", self._table("catalogue", name))

    def _table(self, group: str, name: str) -> object:
        key = (group, name)
        if key not in self._tables:
            self._tables[key] = self.manifest(group, name).table(group, name)
        return self._tables[key]

    # The typed face of the hooks: pluggy's own is Any.

    def create_online(
        self, source: str, endpoint: Endpoint, type: ModelType
    ) -> Codec[Any, Any] | None:
        """Ask provider *source* for a codec."""
        from modelplug.wire import Codec

        codec = self._ask("create_online", source, Codec, endpoint=endpoint, type=type)
        return cast("Codec[Any, Any] | None", codec)

    def deploy_local(self, engine: str, deployment: Deployment) -> Plan | None:
        """Ask *engine* how to serve a deployment."""
        from modelplug.types import Plan

        return cast("Plan | None", self._ask("deploy_local", engine, Plan, deployment=deployment))

    def finetune(self, trainer: str, request: Training) -> TrainingPlan | None:
        """Ask *trainer* how to train."""
        from modelplug.types import TrainingPlan

        answer = self._ask("finetune", trainer, TrainingPlan, request=request)
        return cast("TrainingPlan | None", answer)

    def resolve_type(self, name: str, model: str) -> ModelType | None:
        """Ask resolver *name* what *model* does."""
        from modelplug.types import ModelType

        return cast("ModelType | None", self._ask("resolve_type", name, ModelType, model=model))

    def format(self, method: Callable[..., object], value: object) -> object:
        """Run a formatter's `format`, with the wrappers round it."""
        self._load_wrappers()
        caller = self._manager.subset_hook_caller("format", self._all_but(None))
        return caller.call_extra([method], {"value": value})

    def runtime(self) -> Runtime:
        """What runs local models; PluginNotFound says to install modelplug-local."""
        return cast("Runtime", self.load("runtime", "local"))

    def _ask(self, hook: str, name: str, kind: type[Any], **arguments: object) -> object:
        """Call *hook* on plugin *name* alone; wrappers from other plugins still run round it."""
        entry = self.find(hook, name)
        plugin = self._register(entry)
        self._load_wrappers()
        try:
            answer = self._manager.subset_hook_caller(hook, self._all_but(plugin))(**arguments)
        except ModelplugError:
            raise
        except Exception as exc:  # noqa: BLE001 - a stranger's hook may raise anything
            msg = f"{entry.origin} failed in {hook} for {name!r}: {type(exc).__name__}: {exc}"
            raise PluginBroken(msg) from exc

        if answer is not None and not isinstance(answer, kind):
            what = builtins.type(answer).__name__
            msg = (
                f"{entry.origin} answered {hook} for {name!r} with {what}, which is no "
                f"{kind.__name__}; its author must mend it"
            )
            raise PluginBroken(msg)
        return answer

    def _all_but(self, plugin: _Held | None) -> list[_Held]:
        """The plugins not to be asked: all but *plugin* and the wrappers."""
        held = list(self._held.items())
        return [other for (group, _), other in held if other is not plugin and group != WRAPPERS]

    def _register(self, entry: Entry) -> _Held:
        key = (entry.group, entry.name)
        with self._lock:
            if key not in self._held:
                plugin = _Held(self.load(*key))
                try:
                    self._manager.register(plugin, ":".join(key))
                except pluggy.PluginValidationError as exc:
                    if self._manager.is_registered(plugin):  # pluggy 1.6 and older
                        self._manager.unregister(plugin)
                    reason = str(exc).splitlines()[-1]
                    msg = f"{entry.origin}: {entry.value} does not fit the hooks: {reason}"
                    raise PluginBroken(msg) from exc
                self._check_hooks(entry, plugin)
                self._held[key] = plugin
            return self._held[key]

    def _check_hooks(self, entry: Entry, plugin: object) -> None:
        callers = self._manager.get_hookcallers(plugin) or []
        hooks = {caller.name for caller in callers}
        unknown = hooks - set(HOOKS)
        missing = entry.group in HOOKS and entry.group not in hooks
        if not unknown and not missing:
            return
        self._manager.unregister(plugin)
        wrong = (
            f"implements no hook {entry.group!r}"
            if missing
            else f"implements hooks that do not exist: {', '.join(sorted(unknown))}"
        )
        msg = f"{entry.origin}: {entry.value} {wrong}; its author must mend it"
        raise PluginBroken(msg)

    def _load_wrappers(self) -> None:
        if self._wrappers_loaded:
            return
        with self._lock:
            # A wrapper that cannot be loaded may be the one that redacts: never go on without.
            for name in self.names(WRAPPERS):
                self._register(self.find(WRAPPERS, name))
            self._wrappers_loaded = True


_NOUNS = {
    "create_online": "source",
    "deploy_local": "engine",
    "finetune": "trainer",
    "format": "formatter",
    "resolve_type": "resolver",
    "weights": "model",
    "catalogue": "family of models",
    "runtime": "runtime",
    "commands": "command",
}

_installed: Plugins | None = None
_installing = threading.Lock()


def installed() -> Plugins:
    """The plugins of this interpreter, indexed at the first call."""
    global _installed
    if _installed is None:
        with _installing:
            if _installed is None:
                block = os.environ.get("MODELPLUG_BLOCK", "")
                blocked = frozenset(name.strip() for name in block.split(",") if name.strip())
                _installed = Plugins(scan(blocked), blocked)
    return _installed


def forget() -> None:
    """Index anew at the next `installed()`: after a plugin was installed into this process."""
    global _installed
    _installed = None
