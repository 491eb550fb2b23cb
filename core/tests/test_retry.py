"""When to try again, and how long servers ask us to wait."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplug.errors import AuthRefused, CallError, Overloaded
from modelplug.retry import Retry, retry_after

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
BUSY = Overloaded("busy")


@pytest.mark.parametrize(
    ("attempt", "low", "high"), [(1, 0.25, 0.5), (2, 0.5, 1.0), (3, 1.0, 2.0), (9, 4.0, 8.0)]
)
def test_the_wait_doubles_up_to_the_longest_with_jitter_over_its_upper_half(
    attempt: int, low: float, high: float
) -> None:
    retry = Retry(attempts=10)

    assert low == retry.delay(attempt, BUSY, lambda: 0.0)
    assert high == retry.delay(attempt, BUSY, lambda: 1.0)


def test_callers_that_failed_together_wait_for_different_times() -> None:
    assert 1 < len({Retry().delay(1, BUSY) for _ in range(20)})


def test_the_last_attempt_is_not_followed_by_another() -> None:
    assert Retry(attempts=3).delay(2, BUSY) is not None
    assert Retry(attempts=3).delay(3, BUSY) is None
    assert Retry(attempts=1).delay(1, BUSY) is None


def test_an_error_that_lasts_is_not_tried_again() -> None:
    assert Retry().delay(1, AuthRefused("no")) is None
    assert Retry().delay(1, CallError("no")) is None
    assert Retry().delay(1, Overloaded("no", retryable=False)) is None
    assert Retry().delay(1, AuthRefused("yes", retryable=True)) is not None


def test_a_server_that_names_the_wait_is_obeyed_up_to_the_patience() -> None:
    assert 7.0 == Retry().delay(1, Overloaded("x", retry_after=7.0))
    assert 0.0 == Retry().delay(1, Overloaded("x", retry_after=0.0))
    assert 120.0 == Retry().delay(1, Overloaded("x", retry_after=120.0))
    assert Retry().delay(1, Overloaded("x", retry_after=120.1)) is None


@given(st.integers(1, 5000), st.floats(0, 1))
def test_no_wait_is_longer_than_the_longest(attempt: int, jitter: float) -> None:
    delay = Retry(attempts=10_000).delay(attempt, BUSY, lambda: jitter)

    assert delay is not None
    assert 0 < delay <= 8.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after-ms": "20"}, 0.02),
        ({"retry-after-ms": "20", "retry-after": "7"}, 0.02),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after-ms": "-5", "retry-after": "7"}, 7.0),
        ({"retry-after-ms": "", "retry-after": "7"}, 7.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sunday, 22-Nov-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 13:00:30 +0100"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 99999999999999999999 12:00:30 GMT"}, None),
        ({"retry-after": "Mon, 31 Feb 2026 12:00:30 GMT"}, None),
    ],
)
def test_the_wait_is_read_off_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert seconds == retry_after(headers, NOW)


def test_a_date_is_measured_from_now() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    seconds = retry_after({"retry-after": later})

    assert seconds is not None
    assert 50 < seconds <= 60


dates = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Sun", "x", ""]),
    st.integers(-1, 40),
    st.sampled_from(["Nov", "Feb", "13", ""]),
    st.integers(-1, 10**25),
    *[st.integers(-1, 70)] * 3,
    st.sampled_from(["GMT", "+2359", "-9999", "+99999999999", ""]),
)


@given(st.text() | st.floats().map(str) | dates, st.text() | st.integers().map(str) | st.none())
def test_any_header_is_a_finite_wait_or_none(after: str, ms: str | None) -> None:
    seconds = retry_after({"retry-after": after} | ({"retry-after-ms": ms} if ms else {}), NOW)

    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)
