"""One process for all of this program who ask for the same engine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from attrs import define

from modelplug.types import Secret
from modelplug_local.engines.supervisor import SupervisedEngine, Use


@define(eq=False)
class _Entry:
    """An engine and how many hold it."""

    engine: SupervisedEngine
    holders: int = 0


class Shared:
    """One holder's face of an engine; what `modelplug.runtime.Engine` asks for."""

    def __init__(self, entry: _Entry) -> None:
        self._entry = entry
        self._let_go = False

    def __repr__(self) -> str:
        return f"<shared {self._entry.engine!r}>"

    @property
    def url(self) -> str:
        """Base URL of its OpenAI routes."""
        return self._entry.engine.url

    @property
    def token(self) -> Secret:
        """The bearer token that it asks for."""
        return self._entry.engine.token

    @property
    def model(self) -> str:
        """The model's name on its wire."""
        return self._entry.engine.model

    @property
    def log_path(self) -> Path:
        """The file that its output goes to."""
        return self._entry.engine.log_path

    @property
    def pid(self) -> int | None:
        """Process id of the engine itself while it lives."""
        return self._entry.engine.pid

    @property
    def status(self) -> str:
        """The engine's, and stopped for a holder that has let go."""
        return "stopped" if self._let_go else self._entry.engine.status

    def wait(self, timeout: float | None = None) -> None:
        """Until it is ready."""
        self._entry.engine.wait(timeout)

    def use(self) -> AbstractContextManager[Use]:
        """For the time of a call."""
        return self._entry.engine.use()

    def stop(self) -> None:
        """Let go of it; the last holder ends it, and returns when nothing is left."""
        ended = _engines.let_go(self)
        if ended is not None:
            ended()


class _Engines:
    """The engines of this program by what they were asked for."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._inside = False
        self._entries: dict[str, _Entry] = {}

    def ask(self, key: str, make: Callable[[], SupervisedEngine]) -> Shared:
        """A holder's face of the engine of *key*, which is made and begun if it is not there."""
        if (there := self._hold(key, None)) is not None:
            return there
        made = _Entry(make())
        there = self._hold(key, made)
        assert there is not None  # it is `made` if no other thread was faster
        if there._entry is made:
            made.engine.begin()
        else:
            made.engine.discard()
        return there

    def _hold(self, key: str, made: _Entry | None) -> Shared | None:
        with self._entered():
            entry = self._entries.get(key)
            if entry is None or entry.engine.status in ("failed", "stopped"):
                if made is None:
                    return None
                entry = self._entries[key] = made
            entry.holders += 1
            return Shared(entry)

    def let_go(self, holder: Shared) -> Callable[[], None] | None:
        """Count *holder* out; how to end the engine if it was the last."""
        with self._entered() as nested:
            if holder._let_go:
                return None
            holder._let_go = True
            entry = holder._entry
            entry.holders -= 1
            if entry.holders:
                return None
            for key in [key for key, there in self._entries.items() if there is entry]:
                del self._entries[key]
            return entry.engine.release if nested else entry.engine.stop

    @contextmanager
    def _entered(self) -> Iterator[bool]:
        """
        Alone in here; whether this thread was in here before.

        The garbage collector may bring a holder's end into any line, this object's too: then
        it must not wait for the supervising thread, which may be waiting for the lock.
        """
        with self._lock:
            nested, self._inside = self._inside, True
            try:
                yield nested
            finally:
                self._inside = nested


_engines = _Engines()
ask = _engines.ask


def _forget_all() -> None:
    # In a forked child: the engines are the parent's.
    _engines.__init__()  # type: ignore[misc]  # as new, lock and all


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
