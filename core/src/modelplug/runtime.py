"""
What the core needs to run local models, and `modelplug-local` gives.

The entry point `local` of group `modelplug.runtime` names an object that satisfies
`Runtime`. It is not a hook: it answers no question about one model, and there is one of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from modelplug.types import ModelType, Plan, Secret, Weights

if TYPE_CHECKING:
    from modelplug.catalog import EngineTraits, TrainerTraits

PlanFor = Callable[[str, int, Secret], Plan]
"""(host, port, token) to the plan of an engine that listens there."""


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
        """starting, ready, restarting, failed or stopped."""

    def wait(self, timeout: float | None = None) -> None:
        """Until it is ready; EngineFailed with the cause if it cannot be."""

    def stop(self) -> None:
        """End it and everything it started; returns when nothing is left. Idempotent."""


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

    def interpreter(
        self, name: str, traits: EngineTraits | TrainerTraits, given: str | None = None
    ) -> str:
        """
        The interpreter that engine or trainer *name* runs in.

        The one *given*; else its environment, if one is installed; else this program's own,
        if it has the packages. ConfigError tells the command that installs it.
        """

    def launch(self, name: str, plan_for: PlanFor) -> Engine:
        """Start an engine on a free loopback port and answer at once; `wait` on it."""
