"""When an engine was last called: from this program, or by whoever else knows its address."""

from __future__ import annotations

import time
from pathlib import Path

_TABLE = Path("/proc/net/tcp")
_LOOPBACK = "0100007F"  # 127.0.0.1, as a little-endian machine prints it
_LISTENING, _OPEN = "0A", ("01", "02", "03")  # established, and the two on the way to it
_FORGETS_AFTER = 60.0
"""Seconds that the kernel keeps what is left of a closed connection: TCP_TIMEWAIT_LEN."""

LOOK_EVERY = _FORGETS_AFTER / 2
"""Seconds between two looks that miss nothing."""

_SHORTEST_LOOK = 0.01


class Idleness:
    """
    Whether an engine has gone *timeout* seconds without a call; None for never.

    Its owner holds a lock around each method, so that no call begins while one looks.
    """

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._calls = 0
        self._last = time.monotonic()

    def begin(self) -> None:
        """A call begins."""
        self._calls += 1

    def end(self) -> None:
        """A call has ended."""
        self._calls -= 1
        self.reset()

    def reset(self) -> None:
        """Count from now."""
        self._last = time.monotonic()

    def is_over(self, port: int) -> bool:
        """Whether it has been idle for long enough."""
        return self.timeout is not None and self._seconds(port) >= self.timeout

    def look_again(self, port: int) -> float | None:
        """In how many seconds that may be so."""
        if self.timeout is None:
            return None
        left = max(self.timeout - self._seconds(port), _SHORTEST_LOOK)
        return min(left, LOOK_EVERY)

    def _seconds(self, port: int) -> float:
        if self._calls:
            return 0.0
        mine, others = time.monotonic() - self._last, idle_for(port)
        return mine if others is None else min(mine, others)


def idle_for(port: int) -> float | None:
    """
    Seconds since the last connection to *port* closed, 0 while one is open; None where the
    kernel knows of none, and where it is not Linux's.

    Servers close a connection that is kept alive after some seconds (llama.cpp and uvicorn: 5),
    so that one which is open but not used counts for no longer.
    """
    ages = []
    for local, remote, state, timer in _connections():
        if f"{_LOOPBACK}:{port:04X}" not in (local, remote) or state == _LISTENING:
            continue
        if state in _OPEN:
            return 0.0
        kind, _, left = timer.partition(":")
        if kind == "03":  # the remains of one, with the time left in hundredths of a second
            ages.append(max(0.0, _FORGETS_AFTER - int(left, 16) / 100))
    return min(ages, default=None)


def listener(port: int) -> int | None:
    """The user id of who listens on *port* of loopback, if anybody does and it can be told."""
    for line in _lines():
        fields = line.split()
        if fields[1] == f"{_LOOPBACK}:{port:04X}" and fields[3] == _LISTENING:
            return int(fields[7])
    return None


def _connections() -> list[tuple[str, str, str, str]]:
    fields = (line.split() for line in _lines())
    return [(each[1], each[2], each[3], each[5]) for each in fields]


def _lines() -> list[str]:
    try:
        return _TABLE.read_text(encoding="ascii").splitlines()[1:]
    except OSError:  # no Linux
        return []
