"""An engine that a keeper supervises, as a program sees it that has not started it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from modelplug.errors import EngineFailed
from modelplug.types import Secret
from modelplug_local.engines import states
from modelplug_local.engines.identity import Process
from modelplug_local.engines.states import State

_STEP = 0.05
"""Seconds between two looks at what the keeper has written."""


@frozen
class Use:
    """A call on the engine's start number `start`."""

    engine: AdoptedEngine
    start: int

    def ended(self, within: float) -> bool:
        """Whether that start of the engine is over, or is within so many seconds."""
        until = time.monotonic() + within
        while True:
            state = self.engine.state()
            if state is None or state.status != "ready" or state.starts != self.start:
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_STEP)


class AdoptedEngine:
    """What `modelplug.runtime.Engine` asks for. `stop` lets go of it; it goes on."""

    def __init__(self, key: str, state: State, keeper: Process) -> None:
        self._key, self._state, self._keeper = key, state, keeper
        self.token = Secret(state.token)

    def __repr__(self) -> str:
        return f"<kept engine {self._state.name!r} {self.status} at {self.url}>"

    @property
    def url(self) -> str:
        """Base URL of its OpenAI routes."""
        return self._state.url

    @property
    def model(self) -> str:
        """The model's name on its wire."""
        return self._state.model

    @property
    def log_path(self) -> Path:
        """The file that its output goes to."""
        return Path(self._state.log_path)

    @property
    def pid(self) -> int | None:
        """Process id of the keeper while it lives."""
        return self._keeper.pid if self._keeper.look() else None

    @property
    def status(self) -> str:
        """ready, restarting, or stopped."""
        state = self.state()
        return state.status if state else "stopped"

    def state(self) -> State | None:
        """What the keeper last wrote; None if it is gone, or another has taken its place."""
        if not self._keeper.look():
            return None
        state = states.read(self._key)
        return state if state and state.process == self._state.process else None

    def wait(self, timeout: float | None = None) -> None:
        """Until it is ready; EngineFailed if it is gone or *timeout* seconds pass first."""
        until = None if timeout is None else time.monotonic() + timeout
        while (status := self.status) != "ready":
            if status == "stopped":
                msg = f"engine {self._state.name!r}, which was kept, has ended; call again"
                raise EngineFailed(msg, log_path=self._state.log_path)
            if until is not None and time.monotonic() >= until:
                msg = (
                    f"engine {self._state.name!r} is still {status} after {timeout} s; wait longer"
                )
                raise EngineFailed(msg, log_path=self._state.log_path)
            time.sleep(_STEP)

    @contextmanager
    def use(self) -> Iterator[Use]:
        """For the time of a call. Its keeper sees by the connection that it is not idle."""
        state = self.state()
        yield Use(self, state.starts if state else 0)

    def stop(self) -> None:
        """Let go of it. Idempotent."""
        self._keeper.close()
