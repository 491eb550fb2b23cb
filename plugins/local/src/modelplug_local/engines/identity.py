"""Which process a number means: numbers are used again, and start times tell them apart."""

from __future__ import annotations

import os
import select
import subprocess
import time
from pathlib import Path

from modelplug_local.engines.guard import ON_LINUX

_STEP = 0.02


def identity(pid: int) -> str:
    """What no other process of this machine ever has; empty if there is none of that number."""
    if not ON_LINUX:
        told = subprocess.run(  # noqa: S603 - a list, and no shell
            ["/bin/ps", "-o", "lstart=", "-p", str(pid)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return told.stdout.strip()
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    # "pid (any text, even brackets) state ...": the 22nd field is the start, in ticks since boot.
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{boot} {fields[18]}"


class Process:
    """A process that is not our child, by number and identity."""

    def __init__(self, pid: int, expected: str) -> None:
        self.pid = pid
        self._expected = expected
        # Opened first and compared then: after that the number cannot come to mean another.
        self._pidfd = _open(pid)
        self.lives = bool(expected) and identity(pid) == expected
        """Whether it did when it was last looked at."""
        if not self.lives:
            self.close()

    def look(self, within: float = 0.0) -> bool:
        """Whether it lives, and still does after so many seconds."""
        if not self.lives:
            return False
        if self._pidfd >= 0:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            self.lives = not poll.poll(within * 1000)
            return self.lives
        until = time.monotonic() + within
        while (alive := identity(self.pid) == self._expected) and time.monotonic() < until:
            time.sleep(_STEP)
        self.lives = alive
        return alive

    def signal(self, signum: int) -> None:
        """Send *signum*, if it lives."""
        if not self.look():
            return
        try:
            if self._pidfd >= 0:
                from signal import pidfd_send_signal

                pidfd_send_signal(self._pidfd, signum)
            else:
                os.kill(self.pid, signum)
        except ProcessLookupError:
            self.lives = False

    def close(self) -> None:
        """Let go of it."""
        self.lives = False
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def _open(pid: int) -> int:
    # None on macOS, and refused by the seccomp profile of some container runtimes.
    try:
        return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
    except OSError:
        return -1
