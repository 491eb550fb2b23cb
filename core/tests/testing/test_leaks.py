"""A secret is found in each place of an error and in each record of a log."""

from __future__ import annotations

import logging

import pytest

from modelplug.testing import CANARY, everything_logged, places_in_error


class Failure(Exception):
    """An error that a test fills."""


def caught(*, local: str = "", cause: BaseException | None = None, hide: bool = False) -> Failure:
    """An error that was raised with *local* in its frame."""
    held = local
    try:
        if cause is None:
            raise Failure
        try:
            raise cause
        except type(cause) as error:
            if hide:
                raise Failure from None
            raise Failure from error
    except Failure as failure:
        assert held == local
        return failure


def test_a_clean_error_has_no_places() -> None:
    assert [] == places_in_error(caught(cause=ValueError("harmless")))


def test_a_message_is_a_place() -> None:
    assert {"str of Failure", "repr of Failure", "args of Failure"} == set(
        places_in_error(Failure(f"key {CANARY}"))
    )


def test_a_field_is_a_place() -> None:
    failure = Failure("no")
    failure.key = CANARY  # type: ignore[attr-defined]

    assert ["fields of Failure"] == places_in_error(failure)


def test_a_note_is_a_place() -> None:
    failure = Failure("no")
    failure.add_note(CANARY)

    assert "notes of Failure" in places_in_error(failure)


def test_a_local_variable_is_a_place() -> None:
    places = places_in_error(caught(local=CANARY))

    assert ["held", "local"] == sorted(place.split("'")[1] for place in places)
    assert all("of caught (" in place for place in places)


@pytest.mark.parametrize("hide", [False, True])
def test_a_cause_and_a_hidden_context_are_places(hide: bool) -> None:
    places = places_in_error(caught(cause=ValueError(CANARY), hide=hide))

    assert "str of ValueError" in places


def test_an_error_in_a_group_is_a_place() -> None:
    group = ExceptionGroup("two", [ValueError(CANARY)])

    assert "str of ValueError" in places_in_error(group)


def test_every_logger_is_heard_and_set_back() -> None:
    quiet = logging.getLogger("test_leaks.quiet")
    quiet.setLevel(logging.ERROR)
    alone = logging.getLogger("test_leaks.alone")
    alone.propagate = False

    with everything_logged() as records:
        quiet.debug("one %s", CANARY)
        alone.debug("two", extra={"key": CANARY})
    quiet.debug("three")

    assert [True, True] == [CANARY in record for record in records]
    assert logging.ERROR == quiet.level
    assert [] == alone.handlers
