"""Makes, checks and removes environments."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from attrs import frozen

from modelplug import plugins
from modelplug.errors import ConfigError, ModelplugError, did_you_mean
from modelplug_local.environments.build import Builder, Tell, look
from modelplug_local.environments.inventory import (
    GROUPS,
    RECORD,
    Installed,
    Kind,
    Package,
    Recipe,
    command,
    declared,
    folder_of,
    installed,
    is_stale,
    kinds_of,
    recipes,
    record,
    this_platform,
    traits_of,
)

_SILENT: Tell = lambda _: None  # noqa: E731


def install(
    name: str,
    *,
    device: str | None = None,
    python: str | None = None,
    tell: Tell = _SILENT,
) -> list[tuple[Installed, bool]]:
    """
    Make the environment of *name*; of both, if an engine and a trainer are called so.

    Answers each and whether it was made now: one that is there and up to date is left as it
    is. *device*, cpu or cuda, and *python*, an interpreter, take the place of what is found
    here. ConfigError if there is no list for this machine or the disk is too full,
    EngineError with the last lines of the log if a step fails.
    """
    return [_install(kind, name, device, python, tell) for kind in kinds_of(name)]


def _install(
    kind: Kind, name: str, device: str | None, python: str | None, tell: Tell
) -> tuple[Installed, bool]:
    base, version = _base(python)
    recipe = _recipe(kind, name, device, version)
    with alone(folder_of(kind, name), tell) as folder:
        before = installed(kind, name)
        # Whatever Python it has, all programs can use it: another one has to be asked for.
        wanted = (recipe.digest, version if python else before and before.version)
        if before and before.works and (before.digest, before.version) == wanted:
            return before, False
        _remove_leftovers(folder, before)
        _check_disk(folder, recipe)
        made = _make(recipe, base, folder, tell)
        record(made)
        _remove_leftovers(folder, made)
    return made, True


def _base(python: str | None) -> tuple[str, str]:
    """(interpreter to make it with, its version)."""
    if python is None:
        return sys.executable, sys.version.split()[0]
    asked = [python, "-I", "-c", "import sys; print(sys.version.split()[0])"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as exc:
        msg = f"{python!r} is no Python interpreter: {exc}"
        raise ConfigError(msg) from exc
    return python, done.stdout.strip()


def _recipe(kind: Kind, name: str, device: str | None, version: str) -> Recipe:
    short = version.rpartition(".")[0]
    if fits := recipes(kind, name, device=device, version=short):
        return fits[0]
    on = f" on {device}" if device else ""
    msg = (
        f"the plugin of {name} has no list of packages for {this_platform()}, Python {short}{on}"
        f"{_other_versions(kind, name, device)}"
    )
    raise ConfigError(msg)


def _other_versions(kind: Kind, name: str, device: str | None) -> str:
    declared = traits_of(kind, name).environments
    versions = dict.fromkeys(version for each in declared for version in each.python)
    fit = [each for each in versions if recipes(kind, name, device=device, version=each)]
    return f"; name one of Python {', '.join(fit)} by --python" if fit else ""


@contextmanager
def alone(folder: Path, tell: Tell = _SILENT) -> Iterator[Path]:
    """Hold *folder*, made if need be: nobody else makes or removes an environment in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        msg = f"{str(folder)!r} cannot be written: {exc.strerror}; set MODELPLUG_HOME"
        raise ConfigError(msg) from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another program is at it; waiting until it is done")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(lock)


def _remove_leftovers(folder: Path, kept: Installed | None) -> None:
    """What a killed installation left, and old ones; but none that a process still runs in."""
    for path in folder.iterdir():
        if path.is_dir() and not (kept and path == kept.path) and not users_of(path):
            shutil.rmtree(path)


def _check_disk(folder: Path, recipe: Recipe) -> None:
    free, wanted = shutil.disk_usage(folder).free, recipe.environment.size
    if free < wanted:
        msg = (
            f"the environment of {recipe.name} takes {wanted / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB are free at {str(folder)!r}; free some, or set MODELPLUG_HOME"
        )
        raise ConfigError(msg)


def _make(recipe: Recipe, base: str, folder: Path, tell: Tell) -> Installed:
    path = folder / f"{recipe.environment.device}-{recipe.digest[:8]}-{secrets.token_hex(4)}"
    try:
        builder = Builder(recipe, base, path, tell)
        builder.build()
        version, versions = builder.look()
        size = _size(path)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    packages = {
        name: Package(said, builder.loose.get(name, ""), name not in builder.loose)
        for name, said in sorted(versions.items())
    }
    return Installed(
        kind=recipe.kind,
        name=recipe.name,
        path=path,
        digest=recipe.digest,
        device=recipe.environment.device,
        version=version,
        packages=packages,
        size=size,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _size(path: Path) -> int:
    files = (Path(root, name) for root, _, names in os.walk(path) for name in names)
    return sum(file.lstat().st_size for file in files)


# Looking after those that are there.

State = Literal["ok", "here", "absent", "stale", "broken", "unused"]


@frozen
class Status:
    """
    `state`: ok; here: none, but this program's own interpreter has the packages; absent;
    stale: its plugin's list has changed; broken; unused: its plugin is gone. `mend` where
    there is something to do.
    """

    kind: Kind
    name: str
    state: State
    why: str
    mend: str
    installed: Installed | None


def statuses(*, check: bool = False, names: Collection[str] = ()) -> list[Status]:
    """
    Each engine and trainer that has or could have an environment, or those of *names*, sorted.

    With *check*, the packages are compared with the record and the module is imported, which
    takes seconds. ConfigError for a name that is not one.
    """
    known = {*declared(), *_on_disk()}
    for name in names:
        if name not in {each for _, each in known}:
            near = did_you_mean(name, [each for _, each in known])
            msg = f"no engine or trainer {name!r} has or could have an environment{near}"
            raise ConfigError(msg)
    wanted = sorted(each for each in known if not names or each[1] in names)
    return [status(kind, name, check=check) for kind, name in wanted]


def _on_disk() -> Iterator[tuple[Kind, str]]:
    for kind in GROUPS:
        for path in folder_of(kind, "*").parent.glob(f"{kind}-*/{RECORD}"):
            yield kind, path.parent.name.removeprefix(f"{kind}-")


def status(kind: Kind, name: str, *, check: bool = False) -> Status:
    """One of `statuses`."""
    try:
        here = installed(kind, name)
    except ConfigError as exc:
        return Status(kind, name, "broken", str(exc), command("remove", name), None)
    if name not in plugins.installed().names(GROUPS[kind]):
        why = "the plugin that it was made for is not installed"
        return Status(kind, name, "unused", why, command("remove", name), here)
    if here is None:
        return _absent(kind, name)
    again = command("install", name)
    if not here.works:
        why = f"the Python {here.version} that it was made with is gone"
        return Status(kind, name, "broken", why, again, here)
    if fault := _fault(here) if check else "":
        return Status(kind, name, "broken", fault, _anew(name), here)
    if is_stale(here):
        why = "its plugin has another list of packages now"
        return Status(kind, name, "stale", why, again, here)
    return Status(kind, name, "ok", "", "", here)


def _absent(kind: Kind, name: str) -> Status:
    module = traits_of(kind, name).module
    if module and find_spec(module):
        return Status(kind, name, "here", f"this program's Python has {module}", "", None)
    return Status(kind, name, "absent", "", command("install", name), None)


def _anew(name: str) -> str:
    return f"{command('remove', name)}, then install it again"


def _fault(here: Installed) -> str:
    """What is wrong with the packages; empty if nothing is."""
    try:
        module = traits_of(here.kind, here.name).module
        _, versions = look(here.python, module, here.path, _run)
    except (OSError, subprocess.SubprocessError, ModelplugError) as exc:
        said = getattr(exc, "stderr", None) or str(exc)
        return f"its Python cannot import what it needs: {said.strip().splitlines()[-1]}"
    recorded = {name: package.version for name, package in here.packages.items()}
    changed = sorted(
        name for name in {*recorded, *versions} if recorded.get(name) != versions.get(name)
    )
    return f"packages were changed after it was made: {', '.join(changed)}" if changed else ""


def _run(argv: Sequence[str]) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300)  # noqa: S603


def remove(name: str) -> list[Path]:
    """
    Remove the environments of *name*, engine and trainer; answers where they were.

    ConfigError if there is none, or if a process runs in one.
    """
    removed = []
    for kind in GROUPS:
        if not (folder_of(kind, name) / RECORD).exists():
            continue
        with alone(folder_of(kind, name)) as folder:
            if users := users_of(folder):
                pids = ", ".join(map(str, users))
                msg = f"the environment of {name} is in use by process {pids}; stop it first"
                raise ConfigError(msg)
            # First the record, so that nobody starts in what is going.
            (folder / RECORD).unlink()
            _remove_leftovers(folder, None)
            removed.append(folder)
    if not removed:
        msg = f"there is no environment of {name!r}"
        raise ConfigError(msg)
    return removed


def users_of(path: Path) -> list[int]:
    """The processes that were started with a program or a file in *path*."""
    inside = f"{path}{os.sep}"
    return [pid for pid, arguments in _processes() if inside in arguments and pid != os.getpid()]


def _processes() -> Iterator[tuple[int, str]]:
    if not sys.platform.startswith("linux"):
        listed = subprocess.run(  # noqa: S603
            ["/bin/ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True
        )
        for line in listed.stdout.splitlines():
            pid, _, arguments = line.strip().partition(" ")
            yield int(pid), arguments
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "cmdline").read_text(errors="replace")
            except OSError:  # it has ended
                continue
