"""When to try again: a pure policy that the wire asks, so sync and async wait alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from attrs import frozen

from modelplug.errors import CallError


@frozen
class Retry:
    """
    Exponential back-off with full jitter, between `base` and `longest` seconds.

    A server that says how long to wait is obeyed up to `patience` seconds; beyond that the
    error is raised at once, with `retry_after` in it, since the caller can plan better.
    """

    attempts: int = 3
    base: float = 0.5
    longest: float = 8.0
    patience: float = 120.0

    def delay(
        self, attempt: int, error: CallError, rng: Callable[[], float] = random.random
    ) -> float | None:
        """
        Seconds to wait after failed *attempt* (counted from 1), or None to give up.

        Full jitter over the upper half keeps callers that failed together apart and still
        gives the server time.
        """
        if attempt >= self.attempts or not error.retryable:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.patience else None
        ceiling = min(self.longest, self.base * 2.0 ** min(attempt - 1, 64))
        return ceiling * (0.5 + 0.5 * rng())


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """
    Seconds that `retry-after-ms` or `retry-after` ask for, or None.

    `retry-after` is seconds or an HTTP date (RFC 9110 section 10.2.3); what cannot be read
    is None. Header names are lower case.
    """
    milliseconds = _finite(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    seconds = _finite(text)
    if seconds is not None or not text:
        return seconds
    from email.utils import parsedate_to_datetime  # 7 ms to import, for the rare date

    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def _finite(text: str) -> float | None:
    """*text* as seconds, or None unless it is a number from 0."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0.0 <= seconds < float("inf") else None
