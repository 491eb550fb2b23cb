"""
A folder for each training, `<home>/tuning/<id>`, named after what is trained on what.

The same call finds the same folder again, and in it the checkpoints of a training that was
killed. It is gone once its result is published.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from modelplug.errors import ConfigError, TuningError
from modelplug_local.engines.logs import home
from modelplug_training.runs.events import History

RECIPE = "recipe.json"


def root(env: Mapping[str, str] = os.environ) -> Path:
    """Where the folders are."""
    return home(env) / "tuning"


@frozen
class RunFolder:
    """One training's folder."""

    path: Path

    @property
    def id(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def events(self) -> Path:
        """The events of all its tries."""
        return self.path / "events.jsonl"

    @property
    def stop(self) -> Path:
        """Once it exists, the training ends early."""
        return self.path / "stop"

    @property
    def log(self) -> Path:
        """What the trainer prints."""
        return self.path / "log.txt"

    @property
    def output(self) -> Path:
        """Weights and checkpoints."""
        return self.path / "output"

    @property
    def recipe(self) -> dict[str, Any]:
        """What is trained, as it was asked for."""
        told: dict[str, Any] = json.loads((self.path / RECIPE).read_text(encoding="utf-8"))
        return told

    @property
    def history(self) -> History:
        """What is known of it."""
        return History.of(self.events)

    @property
    def status(self) -> str:
        """running, finished, stopped, failed or interrupted."""
        if self.is_held:
            return "running"
        history = self.history
        if history.finished is not None:
            return "stopped" if history.finished.get("stopped") else "finished"
        return "interrupted" if history.failed is None else "failed"

    def begin_anew(self) -> None:
        """Forget what was trained; data and log stay."""
        shutil.rmtree(self.output)
        self.events.unlink()

    @property
    def is_held(self) -> bool:
        """Whether a program trains in it at this moment."""
        with (self.path / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for this program alone; TuningError where another one does."""
        # The kernel lets go of it however the program ends.
        with (self.path / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                msg = (
                    f"{self.id} is being trained by another program at this moment; follow it by "
                    f"`modelplug tune status {self.id}`, or stop it"
                )
                raise TuningError(msg) from None
            yield


def fresh() -> RunFolder:
    """A folder without a name yet, for data that is checked first."""
    folder = root() / f".new-{os.getpid()}-{time.time_ns()}"
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as exc:
        msg = f"{str(folder)!r} cannot be made: {exc.strerror}; set MODELPLUG_HOME"
        raise ConfigError(msg) from exc
    return RunFolder(folder)


def settle(
    new: RunFolder, name: str, job: Mapping[str, Any], asked: Mapping[str, Any]
) -> RunFolder:
    """
    The folder of *job*: the one that is there from an earlier try, else *new* by its name.

    *job* is all that decides what comes out; *asked*, how the caller said it.
    """
    told = json.dumps(job, sort_keys=True, default=str)
    key = hashlib.sha256(told.encode()).hexdigest()[:10]
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    path = root() / f"{plain}-{key}"
    recipe = json.dumps({"job": job, "asked": asked}, indent=1, default=str)
    (new.path / RECIPE).write_text(recipe + "\n", encoding="utf-8")
    if path.is_dir():
        shutil.rmtree(new.path)
    else:
        new.path.rename(path)
    folder = RunFolder(path)
    folder.output.mkdir(exist_ok=True)
    return folder


def every() -> list[RunFolder]:
    """All that are not published yet, the oldest first."""
    found = [path for path in root().glob("*/" + RECIPE) if not path.parent.name.startswith(".")]
    return [RunFolder(path.parent) for path in sorted(found, key=lambda path: path.stat().st_mtime)]


def named(id: str) -> RunFolder:
    """The folder whose name is, or begins with, *id*; ConfigError names those that there are."""
    folders = every()
    fits = [folder for folder in folders if folder.id == id] or [
        folder for folder in folders if folder.id.startswith(id)
    ]
    if len(fits) != 1:
        here = ", ".join(folder.id for folder in folders) or "none"
        what = "several trainings begin with" if fits else "there is no training"
        msg = f"{what} {id!r} (there are: {here})"
        raise ConfigError(msg)
    return fits[0]
