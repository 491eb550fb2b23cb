"""
Keeps one engine, as a process of its own: `python -m modelplug_local.engines.keeper`.

Its order is one line of JSON on stdin, as the token is in it. One line comes back on stdout: the
engine is ready, or why it is not. If stdin is closed before that, nobody waits any more and it
ends. It ends, and the engine with it, on SIGTERM, when the engine has failed or was unloaded,
and when what it wrote down is gone, as then nobody could find it or end it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from modelplug.errors import EngineFailed
from modelplug.types import Memory, Plan, Secret
from modelplug_local.engines import states
from modelplug_local.engines.failures import Failure
from modelplug_local.engines.identity import identity
from modelplug_local.engines.states import State
from modelplug_local.engines.supervisor import SupervisedEngine

_WHILE_STARTING = 0.25
_WHILE_READY = 1.0
"""Seconds between two looks at whether anybody waits, and whether the state is still there."""


class Keeper:
    """One engine and what is written down of it."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._began = time.time()
        self._process = identity(os.getpid())
        plan = order["plan"]
        memory = plan.pop("memory")
        self._plan = Plan(**plan, memory=memory and Memory(**memory))
        self._engine = SupervisedEngine(
            order["name"],
            lambda host, port, token: self._plan,
            failures=[
                Failure("plugin", row["match"], row["cause"], row["mend"])
                for row in order["failures"]
            ],
            idle_timeout=order["idle_timeout"],
            token=Secret(order["token"]),
            port=order["port"],
        )

    def run(self) -> None:
        """See the module."""
        engine = self._engine
        try:
            engine.begin()
            if not self._until(_WHILE_STARTING, lambda: engine.status != "starting", _is_awaited):
                return
            try:
                engine.wait(0)
            except EngineFailed as failure:
                _tell(error=str(failure), log_path=failure.log_path, cause=engine.cause)
                return
            told = self._write()
            _tell(ready=True)
            self._keep(told)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            engine.stop()
            states.remove(self._order["key"], self._process)

    def _keep(self, told: State) -> None:
        while self._engine.status in ("ready", "restarting"):
            is_there = partial(self._is_there, told)
            changed = self._until(_WHILE_READY, partial(self._differs, told), is_there)
            if not changed or not is_there():
                return
            told = self._write()

    def _differs(self, told: State) -> bool:
        return (self._engine.status, self._engine.starts) != (told.status, told.starts)

    def _is_there(self, told: State) -> bool:
        return states.read(self._order["key"]) == told

    def _until(self, every: float, true: Callable[[], bool], goes_on: Callable[[], bool]) -> bool:
        """Until *true*, as long as *goes_on*, asked *every* so many seconds; which it was."""
        with self._engine.changed:
            while not self._engine.changed.wait_for(true, every):
                if not goes_on():
                    return False
        return True

    def _write(self) -> State:
        engine, order = self._engine, self._order
        state = State(
            name=order["name"],
            engine=order["engine"],
            model=engine.model,
            url=engine.url,
            ready=self._plan.ready,
            base=self._plan.base,
            token=order["token"],
            log_path=str(engine.log_path),
            pid=os.getpid(),
            process=self._process,
            status=engine.status,
            starts=engine.starts,
            began=self._began,
        )
        states.write(order["key"], state)
        return state


def _is_awaited() -> bool:
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    return not poll.poll(0)


def _tell(**told: object) -> None:
    """One line to who waits; BrokenPipeError if nobody does."""
    os.write(1, json.dumps(told).encode() + b"\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)


def _end(*_: object) -> None:
    raise SystemExit(0)


def main() -> None:
    """See the module."""
    order = json.loads(sys.stdin.readline())
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    Keeper(order).run()


if __name__ == "__main__":
    main()
