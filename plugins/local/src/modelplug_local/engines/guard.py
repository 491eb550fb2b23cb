"""
A process of its own between a program and one engine, so that the engine cannot outlive it.

    python -I -S guard.py DEATH REPORT PARENT GRACE argv...

DEATH is the read end of a pipe whose write end only the program has, REPORT the write end of
one that the guard reports on, PARENT a pidfd of the program or -1, GRACE in seconds. The
guard ends when the engine has ended, or when DEATH is closed, PARENT dies or a SIGTERM comes;
whichever it is, it first ends the engine and everything the engine ever started. It reports

    started <pid>
    exited <status>       negative for a signal, as subprocess has it; sent at once

Three things hold it together. Its being the subreaper makes every orphan below it its child,
whatever session that is in, so "no child left" (ECHILD) means that nothing is left. The
engine asks the kernel for a SIGKILL should the guard itself be killed. And a pidfd watches
the program, since a forked child of the program may hold the pipe open for ever. macOS has
neither subreaper nor pidfd: there it is the pipe and the engine's process group.

It runs by path, without site-packages: standard library only, and of that what imports fast
(each start pays for it: 20 ms as it is, 10 ms more with typing; 2026-11).
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import suppress

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

ON_LINUX = sys.platform == "linux"
END_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
CANNOT_RUN = 127
# A child that its dying parent hands over to the subreaper causes no signal: look again.
ROUND = 0.05


def prctl(option: int, value: int) -> None:
    """prctl(2), where there is one."""
    if ON_LINUX and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def start(argv: Sequence[str]) -> int:
    """Fork the engine into a process group of its own; its pid. Its output is the guard's."""
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(argv, guard)
    # Both sides do it, so that it is done whoever comes first.
    with suppress(OSError):
        os.setpgid(pid, pid)
    return pid


def _become(argv: Sequence[str], guard: int) -> None:
    # In the child; it never returns.
    try:
        os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:  # it died before the kernel was asked
            os._exit(CANNOT_RUN)
        # Python ignores these two, and that would be inherited.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.execvp(argv[0], list(argv))  # noqa: S606 - an argument list; a shell is what we avoid
    except OSError as exc:
        os.write(2, f"modelplug: cannot run {argv[0]!r}: {exc.strerror}\n".encode())
    finally:
        os._exit(CANNOT_RUN)


def children(told: int) -> list[int]:
    """
    The direct children of this process; elsewhere than on Linux none are known.

    *told* is a descriptor of the kernel's own list, or -1 where it keeps none (its option
    PROC_CHILDREN); then it takes a look at every process.
    """
    if told >= 0:
        return [int(pid) for pid in os.pread(told, 1 << 20, 0).split()]
    if not ON_LINUX:
        return []
    me = str(os.getpid())
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with (
                suppress(OSError),
                open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat,
            ):
                # "pid (any text, even brackets) state ppid ..."
                if stat.read().rpartition(")")[2].split()[1] == me:
                    found.append(int(name))
    return found


def list_of_children() -> int:
    """
    A descriptor for `children`. Opened at the start: a machine that has run out of
    descriptors when everything has to end would not give one any more.
    """
    try:
        return os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY)
    except OSError:
        return -1


class Guard:
    """One engine and the descriptors that its life hangs on."""

    def __init__(self, death: int, report: int, parent: int, grace: float) -> None:
        self.report = report
        self.grace = grace
        self.status: int | None = None
        self.engine = 0
        self.lifelines = [death] if parent < 0 else [death, parent]
        for fd in (report, *self.lifelines):
            os.set_inheritable(fd, False)
        self.children = list_of_children()
        self.wake, write = os.pipe()
        os.set_blocking(write, False)
        self.poll = select.poll()
        for fd in (self.wake, *self.lifelines):
            self.poll.register(fd, select.POLLIN)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for signum in (signal.SIGCHLD, *END_SIGNALS):
            signal.signal(signum, lambda *_: None)

    def tell(self, line: str) -> None:
        """One line to the program, if it still lives."""
        with suppress(BrokenPipeError):
            os.write(self.report, f"{line}\n".encode())

    def reap(self) -> bool:
        """Collect whoever has ended; whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.engine:
                self.status = os.waitstatus_to_exitcode(status)
                self.tell(f"exited {self.status}")

    def run(self, argv: Sequence[str]) -> None:
        """Start the engine, wait for a reason to end, end everything."""
        self.engine = start(argv)
        self.tell(f"started {self.engine}")
        while self.reap() and self.status is None:
            # poll, not select: descriptors keep the numbers they had in the program, which
            # may be above select's 1024.
            ready = {fd for fd, _ in self.poll.poll()}
            if ready != {self.wake} or END_SIGNALS & set(os.read(self.wake, 4096)):
                break
        self.end()

    def end(self) -> None:
        """SIGTERM, `grace` seconds, then SIGKILL until no child is left."""
        killing_at = time.monotonic() + self.grace
        for fd in self.lifelines:
            self.poll.unregister(fd)
        asked = self.send(signal.SIGTERM)
        while self.reap():
            if time.monotonic() >= killing_at:
                self.send(signal.SIGKILL)
            else:
                # Those that came to be ours when their parent ended have not been asked yet.
                asked |= self.send(signal.SIGTERM, asked | {self.engine})
            if self.poll.poll(ROUND * 1000):
                os.read(self.wake, 4096)
        if not ON_LINUX:  # orphans are nobody's children here, but still in the group
            self.send(signal.SIGKILL)

    def send(self, signum: int, not_to: Collection[int] = ()) -> set[int]:
        """Signal the engine's group and the direct children; those children that were found."""
        # A group whose leader is reaped may be empty, and its number another's by now.
        if self.engine not in not_to and (self.status is None or not ON_LINUX):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.engine, signum)
        found = set(children(self.children)).difference(not_to)
        for pid in found - {self.engine}:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)
        return found


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    death, report, parent = map(int, arguments[:3])
    # A program may block signals in the thread that we were started from.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    Guard(death, report, parent, float(arguments[3])).run(arguments[4:])


if __name__ == "__main__":
    main(sys.argv[1:])
