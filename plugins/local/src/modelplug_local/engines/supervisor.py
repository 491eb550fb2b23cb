"""
Engines: one supervised process each, started, watched, started again, and never left behind.

A thread of each engine owns its process (`Run`); every other thread only reads the state,
waits for it to change, or asks it to stop.
"""

from __future__ import annotations

import atexit
import os
import secrets
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from attrs import frozen

from modelplug.errors import EngineFailed
from modelplug.runtime import PlanFor
from modelplug.types import Secret
from modelplug_local.engines import hardware, logs, memory
from modelplug_local.engines.activity import Idleness
from modelplug_local.engines.failures import PORT_TAKEN, Failure, diagnose
from modelplug_local.engines.ports import HOST, free_port
from modelplug_local.engines.probe import Probe
from modelplug_local.engines.spawn import GRACE, Run

PORT_TRIES = 3
TAIL_LINES = 15
# A tenth of the time that has passed, so that an engine is noticed at most a tenth late.
_PROBE_PAUSE = 0.1
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_PRIVATE_NAMES = ("TOKEN", "KEY", "SECRET", "PASSWORD")
_MEMORY_MEND = (
    "close programs, take smaller weights or a shorter context, or pass memory_check=False"
)


_is_supervising: ContextVar[bool] = ContextVar("_is_supervising", default=False)


@frozen
class Restarts:
    """At most `most` in `within` seconds; the first after `wait` seconds, then twice that."""

    most: int = 5
    within: float = 60.0
    wait: float = 0.1
    longest_wait: float = 5.0


@frozen
class Use:
    """A call on the engine's start number `start`."""

    engine: SupervisedEngine
    start: int

    def ended(self, within: float) -> bool:
        """Whether that start of the engine is over, or is within so many seconds."""
        with self.engine.changed:
            return self.engine.changed.wait_for(self._is_over, within)

    def _is_over(self) -> bool:
        return self.engine.status != "ready" or self.engine.starts != self.start


class SupervisedEngine:
    """
    What `modelplug.runtime.Engine` asks for. `url` may change until it is first ready, where
    another program has taken the port; never afterwards, and never where `port` is given.
    """

    def __init__(
        self,
        name: str,
        plan_for: PlanFor,
        restarts: Restarts | None = None,
        grace: float = GRACE,
        *,
        failures: Sequence[Failure] = (),
        idle_timeout: float | None = None,
        token: Secret | None = None,
        port: int | None = None,
    ) -> None:
        self.name = name
        self.token = token or Secret(secrets.token_urlsafe(32))
        self.log_path = logs.new_log(name, os.environ)
        self.outcome = ""
        """How it last ended, in words; empty if it never has."""
        self.cause = ""
        """Name of the row that tells why it last did not start."""
        self.changed = threading.Condition()
        """Notified of every change of `status` and `pid`."""
        self.starts = 0
        """How often its process was started."""
        self._restarts = restarts or Restarts()
        self._grace = grace
        self._plan_for = plan_for
        self._failures = failures
        self._idleness = Idleness(idle_timeout)
        self._port_tries = PORT_TRIES if port is None else 1
        self._port = port or free_port()
        self._plan = plan_for(HOST, self._port, self.token)
        self._status = "starting"
        self._failure: EngineFailed | None = None
        self._run: Run | None = None
        self._owner = os.getpid()
        self._thread = threading.Thread(target=self._supervise, name=f"engine {name}", daemon=True)

    def __repr__(self) -> str:
        return f"<engine {self.name!r} {self.status} at {self.url}>"

    @property
    def url(self) -> str:
        """Base URL of its OpenAI routes."""
        return f"http://{HOST}:{self._port}{self._plan.base}"

    @property
    def model(self) -> str:
        """The model's name on its wire."""
        return self._plan.model

    @property
    def pid(self) -> int | None:
        """Process id of the engine itself while it lives."""
        run = self._run
        return run.pid if run is not None else None

    @property
    def status(self) -> str:
        """starting, ready, restarting, unloaded, failed or stopped."""
        return self._status

    @contextmanager
    def use(self) -> Iterator[Use]:
        """For the time of a call: an engine in use is not unloaded."""
        with self.changed:
            self._idleness.begin()
            start = self.starts + (self._status != "ready")  # it is waited for within
        try:
            yield Use(self, start)
        finally:
            with self.changed:
                self._idleness.end()

    def wait(self, timeout: float | None = None) -> None:
        """
        Until it is ready; one that was unloaded is started again.

        EngineFailed with the cause if it cannot be, if it was stopped, or if *timeout*
        seconds pass first.
        """
        with self.changed:
            if self._status == "unloaded":
                self._set("starting")
            waiting = ("starting", "restarting")
            if not self.changed.wait_for(lambda: self._status not in waiting, timeout):
                msg = f"engine {self.name!r} is still {self._status} after {timeout} s; wait longer"
                raise EngineFailed(msg, log_path=str(self.log_path))
            if self._status == "stopped":
                msg = f"engine {self.name!r} was stopped; start it again"
                raise EngineFailed(msg, log_path=str(self.log_path))
            if self._failure is not None:
                # A new one for each caller: a raised error collects its raiser's traceback.
                raise EngineFailed(str(self._failure), log_path=str(self.log_path))

    def stop(self) -> None:
        """
        End it and everything it started; returns when nothing is left. Idempotent.

        In a forked child of the program that started it, it does nothing: it is not its own.
        """
        if os.getpid() != self._owner:
            return
        self.release()
        # The garbage collector may bring any call into any thread: two supervising threads
        # that waited for each other would wait for ever.
        if self._thread.ident is not None and not _is_supervising.get():
            self._thread.join()

    def release(self) -> None:
        """Begin to end it, and do not wait; idempotent."""
        with self.changed:
            if self._status != "failed":  # then the cause is worth more than "stopped"
                self._set("stopped")
            if self._run is not None:
                self._run.release()

    @property
    def _stopping(self) -> bool:
        return self._status == "stopped"

    def _set(self, status: str, failure: EngineFailed | None = None) -> None:
        with self.changed:
            if not self._stopping:  # nothing leads out of it
                self._status, self._failure = status, failure
            self.changed.notify_all()

    def begin(self) -> None:
        """Start its thread; once."""
        with _all_lock:
            _all.add(self)
        self._thread.start()

    def discard(self) -> None:
        """Remove what an engine that was never begun has left: its empty log."""
        self.log_path.unlink()

    def _supervise(self) -> None:
        _is_supervising.set(True)
        try:
            failure = self._first_start()
            if failure is None:
                failure = self._keep()
        except Exception as exc:  # noqa: BLE001 - nobody else is there to tell the waiting threads
            failure = self._failed(
                f"cannot be supervised: {type(exc).__name__}: {exc}", "see its log"
            )
        finally:
            self._end_run()
        self._set("failed", failure)

    def _first_start(self) -> EngineFailed | None:
        for tries_left in reversed(range(self._port_tries)):
            cause, failure = self._start()
            if cause != PORT_TAKEN or not tries_left:
                break
            self._port = free_port()
            self._plan = self._plan_for(HOST, self._port, self.token)
        return failure

    def _keep(self) -> EngineFailed | None:
        """Watch a ready engine and start it again whenever it ends, until that is too often."""
        recent: deque[float] = deque()
        failure: EngineFailed | None = None
        while True:
            if failure is None:
                self._idleness.reset()
                self._set("ready")
                if self._wait_for_end():
                    failure = self._wait_for_call()
                    if failure is None and not self._stopping:
                        continue
                    return failure
            if self._stopping:
                return None
            self._set("restarting")
            now = time.monotonic()
            while recent and now - recent[0] > self._restarts.within:
                recent.popleft()
            if len(recent) >= self._restarts.most:
                return failure or self._failed(
                    f"ended {len(recent) + 1} times in {self._restarts.within:g} s: {self.outcome}",
                    "see its log",
                )
            delay = self._restarts.wait * 2.0 ** len(recent)
            recent.append(now)
            with self.changed:
                self.changed.wait_for(
                    lambda: self._stopping, min(delay, self._restarts.longest_wait)
                )
            logs.bound(self.log_path)
            _, failure = self._start()

    def _wait_for_end(self) -> bool:
        """Until it has ended, or has idled long enough to be unloaded, which it then is."""
        run, idleness = self._run, self._idleness
        unloaded = False
        while run is not None and not unloaded:
            with self.changed:
                look_again = idleness.look_again(self._port)
            if run.wait(look_again):
                self.outcome = run.outcome
                break
            with self.changed:
                if unloaded := idleness.is_over(self._port):
                    self._set("unloaded")
                    self.outcome = f"it was not called for {idleness.timeout:g} s"
        self._end_run()
        return unloaded

    def _wait_for_call(self) -> EngineFailed | None:
        with self.changed:
            self.changed.wait_for(lambda: self._status != "unloaded")
        logs.bound(self.log_path)
        return self._start()[1]

    def _end_run(self) -> None:
        run = self._run
        if run is not None:
            run.end()
            with self.changed:
                self._run = None
                self.changed.notify_all()

    def _start(self) -> tuple[str, EngineFailed | None]:
        """One start. The name of the row that tells why it failed, and the failure, or None."""
        plan = self._plan
        if lack := plan.memory and memory.lacking(plan.memory, hardware.devices()):
            return "memory", self._failed(f"was not started: {lack}", _MEMORY_MEND)
        log_start = self.log_path.stat().st_size
        with self.changed:
            if self._stopping:
                return "", None
            self.starts += 1
            self._run = run = Run(plan.argv, plan.env, self.log_path, self._grace)
            self.changed.notify_all()
        probe = Probe(HOST, self._port, self.token, plan.ready, plan.base)
        said = _until_ready(run, probe, plan.start_timeout)
        if said is None:
            return "", None
        timed_out = run.exit is None
        self.outcome = (
            f"it was not ready after {plan.start_timeout:g} s ({said})"
            if timed_out
            else run.outcome
        )
        self._end_run()
        lines = logs.tail(self.log_path, log_start)
        exit_status = None if timed_out else run.exit
        diagnosis = diagnose(lines, self.outcome, exit_status, self._failures)
        self.cause = diagnosis.name
        happened = "" if self.outcome in diagnosis.cause else f" ({self.outcome})"
        return diagnosis.name, self._failed(
            f"did not start: {diagnosis.cause}{happened}", diagnosis.mend, lines[-TAIL_LINES:]
        )

    def _failed(self, what: str, mend: str, lines: list[str] | None = None) -> EngineFailed:
        msg = f"engine {self.name!r} {what}; {mend}"
        if lines:
            msg += f"\nthe last lines of {self.log_path}:\n" + "\n".join(
                f"    {it}" for it in lines
            )
        return EngineFailed(self._redact(msg), log_path=str(self.log_path))

    def _redact(self, text: str) -> str:
        private = (
            value
            for name, value in self._plan.env.items()
            if any(word in name.upper() for word in _PRIVATE_NAMES)
        )
        for value in (self.token.reveal(), *private):
            text = Secret(value).redact(text)
        return text

    def _disown(self) -> None:
        # In a forked child: another thread may have held the lock at that moment.
        self.changed = threading.Condition()
        self._run = None


def _until_ready(run: Run, probe: Probe, timeout: float) -> str | None:
    """None once it is ready; else what it said last, when it has ended or is too late."""
    began = time.monotonic()
    said = "it did not answer"
    while True:
        passed = time.monotonic() - began
        pause = min(max(passed * _PROBE_PAUSE, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        if passed >= timeout or run.wait(min(pause, timeout - passed)):
            return said
        ready, said = probe()
        if ready:
            # An answer may be another program's if this one has just ended.
            return said if run.wait(0) else None


_all: weakref.WeakSet[SupervisedEngine] = weakref.WeakSet()
_all_lock = threading.Lock()


@atexit.register
def stop_all() -> None:
    """End every engine of this process; they end side by side."""
    with _all_lock:
        mine = [engine for engine in _all if engine._owner == os.getpid()]
    for engine in mine:
        engine.release()
    for engine in mine:
        engine.stop()


def _disown_all() -> None:
    global _all_lock
    _all_lock = threading.Lock()
    for engine in list(_all):
        engine._disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
