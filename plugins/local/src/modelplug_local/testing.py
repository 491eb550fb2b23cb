"""
For the tests of engines: that nothing outlives the program, however it ends. Linux only.

    def test_a_kill_leaves_nothing(family: Family) -> None:
        for moment in moments(seed=7, count=20):
            kill_at(family, [sys.executable, "program.py"], moment)
"""

from __future__ import annotations

import os
import random
import secrets
import select
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

DEADLINE = 30.0
"""Seconds after which a wait is a failure."""


class Family:
    """The processes that a program starts, told by a variable that each of them inherits."""

    NAME = "MODELPLUG_TEST_FAMILY"

    def __init__(self) -> None:
        self.mark = secrets.token_hex(8)

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        start_new_session: bool = False,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[str]:
        """Start the program; its standard output is a pipe."""
        return subprocess.Popen(  # noqa: S603 - the test's own program
            argv,
            env={**os.environ, **(env or {}), self.NAME: self.mark},
            stdin=stdin,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=start_new_session,
        )

    def members(self) -> list[int]:
        """The process ids of all that live, whoever their parent is by now."""
        needle = f"{self.NAME}={self.mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and needle in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:  # it has ended, or is another user's
                continue
        return found

    def wait_until_gone(self, deadline: float = DEADLINE) -> None:
        """AssertionError if one is left after *deadline* seconds."""
        until = time.monotonic() + deadline
        while members := self.members():
            for pid in members:
                wait_for_end(pid, until - time.monotonic())


def wait_for_end(pid: int, timeout: float = DEADLINE) -> None:
    """Until process *pid* has ended, whoever's child it is; AssertionError if it does not."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(max(0.0, timeout) * 1000):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            msg = f"process {pid} lives on: {command!r}"
            raise AssertionError(msg)
    finally:
        os.close(pidfd)


def is_listening(port: int) -> bool:
    """Whether anything takes connections on that port of loopback."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@frozen
class Moment:
    """When to kill: so many seconds after the program has printed its line number `line`."""

    line: int
    after: float


def moments(seed: int, count: int, lines: int, longest: float) -> Iterator[Moment]:
    """*count* random moments, spread evenly over the first *lines* lines of output."""
    dice = random.Random(seed)  # noqa: S311 - the same moments in every run
    for number in range(count):
        yield Moment(number % lines, dice.uniform(0, longest))


def kill_at(family: Family, argv: Sequence[str], moment: Moment) -> None:
    """
    Run a program that prints its engine's port on the first line, SIGKILL it at a moment, and
    wait until nothing of it is left; AssertionError if something stays.
    """
    program = family.run(argv)
    assert program.stdout is not None
    lines = [program.stdout.readline() for _ in range(moment.line)]
    try:
        program.wait(moment.after)
    except subprocess.TimeoutExpired:
        program.kill()
    rest, _ = program.communicate()
    family.wait_until_gone()
    port = next(iter(("".join(lines) + rest).split()), None)
    if port is not None and is_listening(int(port)):
        msg = f"port {port} is still listening"
        raise AssertionError(msg)
