"""One run of an engine under its guard, seen from the program. See guard.py for what it holds."""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL

from modelplug_local.engines import guard

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""

MARK = "MODELPLUG_ENGINE"
"""The variable by which everything that an engine started can be told, should its guard die."""

_PATIENCE = 10.0  # beyond the grace a guard needs less; one that does not is stuck
_runs: weakref.WeakSet[Run] = weakref.WeakSet()
# A fork in another thread while the pipes' far ends are still open here would keep them open.
_spawning = threading.Lock()


class Run:
    """
    An engine process, its guard and the two pipes between.

    `pid` is the engine's own; `exit` its status, negative for a signal, once it has ended.
    One thread owns it; `release` may be called by any.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        grace: float = GRACE,
        cwd: Path | None = None,
    ) -> None:
        self.pid: int | None = None
        self.exit: int | None = None
        self._lost = False
        self._grace = grace
        self._mark = secrets.token_hex(16)
        self._buffer = b""
        self._lock = threading.Lock()
        with _spawning, _far_ends() as (death, report, parent):
            self._lifeline: int | None = death[1]
            self._report = report[0]
            with log.open("ab") as out:
                self._guard = subprocess.Popen(  # noqa: S603 - a list, and no shell
                    [sys.executable, "-I", "-S", guard.__file__]
                    + [str(death[0]), str(report[1]), str(parent), str(grace), *argv],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    cwd=cwd,
                    env={**os.environ, **env, MARK: self._mark},
                    pass_fds=[fd for fd in (death[0], report[1], parent) if fd >= 0],
                    # Ctrl-C in the terminal goes to the terminal's group: not to us.
                    start_new_session=True,
                )
            _runs.add(self)
        self._read(None)

    def wait(self, timeout: float | None) -> bool:
        """Until the engine has ended or the seconds have passed; whether it has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.exit is None and not self._lost:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            self._read(left)
        return True

    @property
    def outcome(self) -> str:
        """How it ended, for people."""
        if self.exit is None:
            return "its guard process was killed"
        if self.exit >= 0:
            return f"it exited with status {self.exit}"
        return f"it was killed by signal {-self.exit}"

    def release(self) -> None:
        """Let go of the lifeline: the guard ends everything. Returns at once; idempotent."""
        with self._lock:
            if self._lifeline is not None:
                os.close(self._lifeline)
                self._lifeline = None

    def end(self) -> None:
        """End the engine and everything it started; returns when nothing is left."""
        self.release()
        try:
            self._guard.wait(self._grace + _PATIENCE)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        while self.exit is None and not self._lost:
            self._read(None)
        if self._lost:
            sweep(self._mark, self.pid)
        self._close()

    def _read(self, timeout: float | None) -> None:
        poll = select.poll()
        poll.register(self._report, select.POLLIN)
        if not poll.poll(None if timeout is None else max(0, round(timeout * 1000))):
            return
        piece = os.read(self._report, 4096)
        if not piece:
            self._lost = self.exit is None
            return
        *lines, self._buffer = (self._buffer + piece).split(b"\n")
        for line in lines:
            word, _, number = line.partition(b" ")
            if word == b"started":
                self.pid = int(number)
            else:
                self.exit = int(number)

    def _close(self) -> None:
        with self._lock:
            if self._report >= 0:
                os.close(self._report)
                self._report = -1
        _runs.discard(self)

    def _disown(self) -> None:
        # In a forked child: the engine is the parent's. What was inherited is closed, so that
        # it holds nothing open, and nobody here may wait for the parent's child.
        self._lock = threading.Lock()
        self._guard.returncode = 0
        self.release()
        self._close()


@contextmanager
def _far_ends() -> Iterator[tuple[tuple[int, int], tuple[int, int], int]]:
    """The two pipes and a pidfd of this process; the guard's ends are closed here afterwards."""
    death, report = os.pipe(), os.pipe()
    parent = _pidfd()
    try:
        yield death, report, parent
    except BaseException:
        os.close(death[1])
        os.close(report[0])
        raise
    finally:
        os.close(death[0])
        os.close(report[1])
        if parent >= 0:
            os.close(parent)


def _pidfd() -> int:
    # None on macOS, and refused by the seccomp profile of some container runtimes.
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):
            return os.pidfd_open(os.getpid())
    return -1


def sweep(mark: str, group: int | None) -> None:
    """
    Kill what a dead guard has left of an engine: its process group, and on Linux everything
    that carries *mark* in its environment. Returns when nothing is left.
    """
    needle = f"{MARK}={mark}".encode()
    if group is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, SIGKILL)
    while left := [pid for pid in _pids() if needle in _environment(pid)]:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        time.sleep(guard.ROUND)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()] if guard.ON_LINUX else []


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _disown_all() -> None:
    for run in list(_runs):
        run._disown()
    _spawning.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_spawning.acquire, after_in_parent=_spawning.release, after_in_child=_disown_all
    )
