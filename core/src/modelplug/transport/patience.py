"""The four limits of a call as one clock that every wait asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from modelplug.errors import TimedOut, TransportFailed
from modelplug.types import Timeouts


class Group:
    """Calls in several threads that are given up together, as when one of a map fails."""

    def __init__(self) -> None:
        self.given_up = threading.Event()
        self.calls: list[Patience] = []

    def give_up(self) -> None:
        """End every wait of every call at once."""
        self.given_up.set()
        for call in list(self.calls):
            call.cut()


class Patience:
    """
    How long the next wait of one call may take.

    httpcore hands its `timeout` through to the network stream unread, so this object takes
    the place of a number there, and each read asks it anew: one number for the whole body
    could not tell the first byte from a pause, nor keep the total.
    """

    __slots__ = ("_deadline", "_first", "_group", "_timeouts", "begun", "cut")

    def __init__(self, timeouts: Timeouts, group: Group | None = None) -> None:
        self._timeouts = timeouts
        self._group = group
        self.cut: Callable[[], object] = nothing_to_cut
        if group is not None:
            group.calls.append(self)
        now = time.monotonic()
        self._deadline = None if timeouts.total is None else now + timeouts.total
        self._first: float | None = None
        self.begun = False
        """Whether the body has begun: from then on a pause may last `idle`."""

    def sent(self) -> None:
        """A request goes out: the first byte is waited for from now on."""
        self._check()
        first = self._timeouts.first_byte
        self._first = None if first is None else time.monotonic() + first
        self.begun = False

    def limit(self, seconds: float) -> None:
        """From now on nothing lasts longer than *seconds* in all."""
        self._deadline = time.monotonic() + seconds

    def connect(self) -> float | None:
        """Seconds that a connection may take."""
        return self._least(self._timeouts.connect)

    def wait(self) -> float | None:
        """Seconds that the next read or write may take."""
        if self._group is not None:
            self._check()  # by now `cut` is set, so giving up is seen here or wakes the read
        if self.begun:
            idle = self._timeouts.idle
            return idle if self._deadline is None else self._least(idle)
        first = None if self._first is None else self._first - time.monotonic()
        return self._least(first)

    def allow(self, delay: float) -> float:
        """*delay*, or TimedOut at once if the total would pass before it is over."""
        if self._deadline is not None and time.monotonic() + delay >= self._deadline:
            raise self._total()
        return delay

    def sleep(self, delay: float) -> None:
        """Wait *delay* seconds, which giving up ends."""
        if self._group is None:
            time.sleep(self.allow(delay))
        else:
            self._group.given_up.wait(self.allow(delay))

    def _check(self) -> None:
        if self._group is not None and self._group.given_up.is_set():
            msg = "the call was given up because another one of its group failed"
            raise TransportFailed(msg, retryable=False)

    def expired(self, *, connecting: bool = False) -> TimedOut:
        """The error for a wait that ran out, naming the limit that it was."""
        limits = self._timeouts
        if self._deadline is not None and time.monotonic() >= self._deadline - 0.001:
            return self._total()
        if connecting:
            msg = f"no connection within {limits.connect} s (connect)"
            return TimedOut(msg, limit="connect")
        if self.begun:
            return TimedOut(f"nothing came for {limits.idle} s (idle)", limit="idle")
        msg = f"no answer within {limits.first_byte} s (first_byte)"
        return TimedOut(msg, limit="first_byte")

    def _total(self) -> TimedOut:
        return TimedOut(f"no end after {self._timeouts.total} s in all (total)", limit="total")

    def _least(self, seconds: float | None) -> float | None:
        if self._deadline is None:
            return seconds
        left = self._deadline - time.monotonic()
        return left if seconds is None else min(seconds, left)


def nothing_to_cut() -> None:
    """Outside a read there is no connection to cut."""
