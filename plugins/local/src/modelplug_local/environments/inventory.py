"""What environments there are, what they are made from, and which one an engine runs in."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from attrs import asdict, field, frozen

from modelplug import plugins
from modelplug.catalog import EngineTraits, Environment, TrainerTraits
from modelplug.errors import ConfigError, PluginError
from modelplug_local.engines import hardware
from modelplug_local.engines.logs import home

Kind = Literal["engine", "trainer"]

GROUPS: Mapping[Kind, str] = {"engine": "deploy_local", "trainer": "finetune"}
RECORD = "current.json"

_log = logging.getLogger("modelplug")


@frozen
class Package:
    """`sha256` of its wheel is told for one that no hash in the lock vouches for."""

    version: str
    sha256: str = ""
    locked: bool = True


@frozen
class Installed:
    """What `current.json` says; `made` is UTC."""

    kind: Kind
    name: str
    path: Path
    digest: str
    device: str
    version: str
    packages: Mapping[str, Package] = field(repr=False)
    size: int
    made: str

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.path / "bin" / "python")

    @property
    def works(self) -> bool:
        """Whether its interpreter is there: the one that it was made with may have gone."""
        return os.access(self.python, os.X_OK)


@frozen
class Recipe:
    """What the environment of engine or trainer *name* is made from, on this machine."""

    kind: Kind
    name: str
    module: str
    distribution: str
    environment: Environment
    lock: Path

    @property
    def digest(self) -> str:
        """Changes with everything that what is installed depends on."""
        found = hashlib.sha256(self.lock.read_bytes())
        found.update(repr((self.environment.device, self.environment.loose)).encode())
        return found.hexdigest()


def folder_of(kind: Kind, name: str) -> Path:
    """Where the environments of *name* are."""
    return home(os.environ) / "environments" / f"{kind}-{name}"


def installed(kind: Kind, name: str) -> Installed | None:
    """What is installed for *name*; ConfigError if its record cannot be read."""
    folder = folder_of(kind, name)
    try:
        data: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        data["packages"] = {package: Package(**told) for package, told in data["packages"].items()}
        return Installed(**data | {"path": folder / data["path"]})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as exc:
        msg = (
            f"the record {str(folder / RECORD)!r} cannot be read: {exc}; "
            f"run modelplug engine remove {name}, then modelplug engine install {name}"
        )
        raise ConfigError(msg) from exc


def record(made: Installed) -> None:
    """Make *made* the environment that is used, in one step."""
    folder = folder_of(made.kind, made.name)
    draft = folder / f"{RECORD}.new"
    text = json.dumps(asdict(made) | {"path": made.path.name}, indent=1, sort_keys=True)
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(folder / RECORD)


def declared() -> Iterator[tuple[Kind, str]]:
    """
    Each engine, then each trainer, whose plugin declares environments. One whose manifest
    cannot be read is passed over: it is an error for its own name only.
    """
    found = plugins.installed()
    for kind, group in GROUPS.items():
        for name in found.names(group):
            with suppress(PluginError):
                if traits_of(kind, name).environments:
                    yield kind, name


def kinds_of(name: str) -> list[Kind]:
    """
    Whether *name* is an engine, a trainer or both, as far as it has environments.

    PluginNotFound if it is neither, ConfigError if it has none.
    """
    found = plugins.installed()
    here: list[Kind] = [kind for kind, group in GROUPS.items() if name in found.names(group)]
    if not here:
        found.find(GROUPS["engine"], name)
    kinds = [kind for kind in here if traits_of(kind, name).environments]
    if not kinds:
        msg = f"the {here[0]} {name!r} declares no environment: it runs where its plugin does"
        raise ConfigError(msg)
    return kinds


def recipes(
    kind: Kind, name: str, *, device: str | None = None, version: str | None = None
) -> list[Recipe]:
    """
    Those that fit this machine, the best first. *device* and *version*, such as 3.12, take the
    place of what is found here.
    """
    table = traits_of(kind, name)
    manifest = plugins.installed().manifest(GROUPS[kind], name)
    distribution = plugins.installed().find(GROUPS[kind], name).distribution.name
    devices = [device] if device else _devices()
    return [
        Recipe(kind, name, table.module, distribution, each, manifest.folder / each.lock)
        for each in table.environments
        if each.device in devices
        and (not each.platforms or this_platform() in each.platforms)
        and (not each.python or (version or this_version()) in each.python)
    ]


def traits_of(kind: Kind, name: str) -> EngineTraits | TrainerTraits:
    """What the manifest says of *name*."""
    found = plugins.installed()
    return found.engine(name) if kind == "engine" else found.trainer(name)


def _devices() -> list[str]:
    return [device.kind for device in hardware.devices()]


def this_platform() -> str:
    """As manifests name it: linux-x86_64, darwin-arm64."""
    return f"{sys.platform}-{platform.machine()}"


def this_version() -> str:
    """This interpreter's, as manifests name it: 3.12."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def is_stale(here: Installed) -> bool:
    """Whether its plugin's list has changed since it was made."""
    version = here.version.rpartition(".")[0]
    fits = recipes(here.kind, here.name, device=here.device, version=version)
    return here.digest not in [recipe.digest for recipe in fits]


def interpreter(name: str, traits: EngineTraits | TrainerTraits, given: str | None = None) -> str:
    """
    The interpreter that engine or trainer *name* runs in.

    The one *given*; else its environment, if one is installed; else this program's own, if it
    has the packages. ConfigError tells the command that installs it.
    """
    if given:
        return _given(given)
    kind: Kind = "engine" if isinstance(traits, EngineTraits) else "trainer"
    here = installed(kind, name)
    if here is not None:
        if not here.works:
            msg = (
                f"the environment of {name} has lost the Python {here.version} that it was made "
                f"with; {command('install', name)}"
            )
            raise ConfigError(msg)
        if is_stale(here):
            # Packages that worked go on working: to stop here would break a program because
            # a plugin was upgraded.
            _log.warning(
                "the environment of %s was made from another list of packages than its plugin "
                "has now; %s",
                name,
                command("install", name),
            )
        return here.python
    if not traits.module or find_spec(traits.module) is not None:
        return sys.executable
    raise ConfigError(_nowhere(kind, name, traits))


def _given(python: str) -> str:
    # Not resolved: what makes an environment's interpreter its own is the path it is run by.
    found = shutil.which(os.path.expanduser(python))
    if found is None:
        msg = f"python={python!r} is no program that can be run; give the path of an interpreter"
        raise ConfigError(msg)
    return os.path.abspath(found)


def _nowhere(kind: Kind, name: str, traits: EngineTraits | TrainerTraits) -> str:
    lacks = f"{name} needs the Python module {traits.module!r}, which is not installed here"
    if recipes(kind, name):
        return f"{lacks}; {command('install', name)}, or give python= an interpreter that has it"
    told = f" (its plugin has no list of packages for {this_platform()}, Python {this_version()})"
    return f"{lacks}{told if traits.environments else ''}; give python= an interpreter that has it"


def command(verb: str, name: str) -> str:
    """What to type; the command itself may be missing."""
    typed = f"modelplug engine {verb} {name}"
    return typed if find_spec("modelplug_cli") else f"pip install modelplug-cli, then {typed}"
