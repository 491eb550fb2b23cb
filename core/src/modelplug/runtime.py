"""
What the core needs to run local models, and `modelplug-local` gives.

The entry point `local` of group `modelplug.runtime` names an object that satisfies
`Runtime`. It is not a hook: it answers no question about one model, and there is one of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from modelplug.types import ModelType, Plan, Secret, Weights

if TYPE_CHECKING:
    from modelplug.catalog import EngineTraits, Failure, TrainerTraits

PlanFor = Callable[[str, int, Secret], Plan]
"""(host, port, token) to the plan of an engine that listens there."""


class Use(Protocol):
    """One call's hold on an engine."""

    def ended(self, within: float) -> bool:
        """Whether the process that the call began with is gone, or is within so many seconds."""


class Engine(Protocol):
    """A local engine under supervision. Methods are safe to call from any thread."""

    @property
    def url(self) -> str:
        """Base URL of its OpenAI routes, such as `http://127.0.0.1:41234/v1`."""

    @property
    def token(self) -> Secret:
        """The bearer token that it asks for."""

    @property
    def model(self) -> str:
        """The model's name on its wire."""

    @property
    def log_path(self) -> Path:
        """The file that its output goes to."""

    @property
    def pid(self) -> int | None:
        """Process id of the engine itself while it lives."""

    @property
    def status(self) -> str:
        """starting, ready, restarting, unloaded, failed or stopped."""

    def wait(self, timeout: float | None = None) -> None:
        """
        Until it is ready; one that was unloaded is started again.

        EngineFailed with the cause if it cannot be.
        """

    def use(self) -> AbstractContextManager[Use]:
        """For the time of a call: an engine in use is not unloaded."""

    def stop(self) -> None:
        """
        Let go of it. Idempotent.

        The last who does so ends it and everything it started, and returns when nothing is
        left; one that `keep` started goes on.
        """


@frozen
class Download:
    """What would be fetched: from `hub`, the `files` of `repository`; `size` in bytes if known."""

    hub: str
    repository: str
    files: Sequence[str]
    size: int | None = None


@frozen
class Sighting:
    """
    Where a model's weights are, or what would be downloaded; neither where there are none.

    `looked` tells of each place that does not have them why not.
    """

    weights: Weights | None
    download: Download | None
    looked: Sequence[str] = ()


@frozen
class Device:
    """Something to compute on: `kind` is cpu or cuda; memory `total` and `free` in bytes."""

    kind: str
    name: str
    total: int
    free: int


@frozen
class Kept:
    """
    An engine that runs beyond the program that started it.

    `key` is what it was asked for, `began` when, in seconds since 1970; `pid` the process that
    keeps it, `status` as an engine's.
    """

    key: str
    name: str
    engine: str
    url: str
    token: Secret
    model: str
    log_path: Path
    pid: int
    status: str
    began: float


class Runtime(Protocol):
    """Finds weights and runs engines."""

    def find(
        self,
        model: str,
        *,
        formats: Sequence[str],
        type: ModelType | None = None,
        source: str | None = None,
        download: bool = True,
    ) -> Weights:
        """
        The weights of *model* on disk, in the first of *formats* to be had.

        An absolute path; else a model whose weights ship in an installed plugin; else the
        roots of MODELPLUG_MODEL_PATH; else the cache; else, if *download*, the hub *source*.
        NoModel tells each place that was looked at.
        """

    def look(
        self,
        model: str,
        *,
        formats: Sequence[str],
        type: ModelType | None = None,
        source: str | None = None,
    ) -> Sighting:
        """What `find` would do, told from the disk alone; nothing is fetched or written."""

    def kind_of(self, model: str) -> tuple[ModelType, str] | None:
        """
        (what *model* does, what told it), by the weights' own files where they are on disk,
        else by the catalogue's patterns; None where neither knows. Touches the disk alone.
        """

    def interpreter(
        self, name: str, traits: EngineTraits | TrainerTraits, given: str | None = None
    ) -> str:
        """
        The interpreter that engine or trainer *name* runs in.

        The one *given*; else its environment, if one is installed; else this program's own,
        if it has the packages. ConfigError tells the command that installs it.
        """

    def devices(self) -> Sequence[Device]:
        """What there is to compute on: the CPU, then each GPU that is known of."""

    def launch(
        self,
        name: str,
        plan_for: PlanFor,
        *,
        key: str = "",
        failures: Sequence[Failure] = (),
        idle_timeout: float | None = None,
    ) -> Engine:
        """
        An engine on a free loopback port; answers at once: `wait` on it.

        Who asks with the same *key* gets the same process: one of this program, or one that
        `keep` started. *failures* tell why it did not start, before the common ones. After
        *idle_timeout* seconds without a call its process ends, until the next.
        """

    def keep(
        self,
        name: str,
        plan_for: PlanFor,
        *,
        key: str,
        engine: str,
        failures: Sequence[Failure] = (),
        idle_timeout: float | None = None,
    ) -> Kept:
        """
        Start an engine that goes on after this program; returns when it is ready.

        The one that is kept under *key* already, if there is one.
        """

    def kept(self) -> Sequence[Kept]:
        """The engines that are kept and live, the oldest first."""

    def end(self, kept: Kept) -> None:
        """End one that is kept; returns when nothing is left of it."""
