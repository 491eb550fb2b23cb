"""Several keys, or addresses, for one provider: which one is used now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

COOL_DOWN = 60.0
"""Seconds for which an item that failed is passed over, unless the server said how long."""


class Rotation(Generic[T]):
    """
    Sticky: the same item until it fails, since a provider's prompt cache belongs to a key.

    `move_on` passes over the one that failed for a while. Threads may share it.
    """

    def __init__(self, items: Sequence[T], now: Callable[[], float] = time.monotonic) -> None:
        self.items = tuple(items)
        self._free_at = [0.0] * len(self.items)
        self._at = 0
        self._now = now
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def current(self) -> T:
        """The item in use."""
        return self.items[self._at]

    def move_on(self, failed: T, seconds: float | None = None) -> T | None:
        """
        The item to use after *failed* did, or None if every other one cools down as well.

        *seconds* is how long the server wants to be left alone.
        """
        with self._lock:
            if failed in self.items:
                rest = COOL_DOWN if seconds is None else seconds
                self._free_at[self.items.index(failed)] = self._now() + rest
            for step in range(len(self.items)):
                at = (self._at + step) % len(self.items)
                if self._free_at[at] <= self._now() and self.items[at] != failed:
                    self._at = at
                    return self.items[at]
            return None
