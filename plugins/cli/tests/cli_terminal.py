"""The command as users run it: a process with pipes, or on a terminal."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

MODELPLUG = [sys.executable, "-m", "modelplug_cli"]
PATIENCE = 30.0

# Makes the pty the terminal that Ctrl-C comes from, then becomes the command.
LAUNCHER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A command on a pty. `seen` is all that it showed so far."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], out: Path | None) -> None:
        self._master, slave = os.openpty()
        termios.tcsetwinsize(slave, (40, 100))
        with (out or Path(os.devnull)).open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, *MODELPLUG, *arguments],
                stdin=slave,
                stdout=slave if out is None else file,
                stderr=slave,
                env=dict(env),
                start_new_session=True,
            )
        os.close(slave)
        self.seen = ""
        self._taken = 0

    def type(self, text: str) -> None:
        """Press the keys of *text*."""
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """
        Press Ctrl-C once the command waits: for a key or for the server.

        readline shows its prompt a moment before it begins to wait, and CPython 3.11 loses a
        signal that comes in between. No hand is that quick, but a test is.
        """
        deadline = time.monotonic() + PATIENCE
        while _state(self.process.pid) != "S":
            if time.monotonic() > deadline:
                pytest.fail("the command never waited")
        self.type("\x03")

    def until(self, marker: str) -> str:
        """Wait for *marker*; answers what came up to it since the last call."""
        deadline = time.monotonic() + PATIENCE
        while (at := self.seen.find(marker, self._taken)) < 0:
            if not self._read(deadline):
                pytest.fail(f"the terminal never showed {marker!r}, but {self.seen!r}")
        before, self._taken = self._taken, at + len(marker)
        return self.seen[before : self._taken]

    def end(self) -> int:
        """Wait for the end of the command; answers its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # Linux answers EIO once nothing has the other end open
            return False
        self.seen += piece.decode()
        return bool(piece)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


def _state(pid: int) -> str:
    """S for a process whose main thread sleeps, as in `ps`."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return stat.read_text().rpartition(")")[2].split()[0]
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=True)
    return told.stdout.decode().strip()[:1]


Run = Callable[..., "subprocess.CompletedProcess[str]"]
Open = Callable[..., Terminal]
Install = Callable[..., None]
