"""A known failure is run and must fail; one that passes, or that is no test, is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from installing import run_pytest

from modelplug.testing.base import Contract

SUITE = """
import socket

import pytest

from modelplug.testing.base import Contract


class Sums(Contract):
    def test_two_is_three(self):
        assert 2 == 3

    def test_two_is_two(self):
        assert 2 == 2

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_number_is_one(self, number):
        assert 1 == number

    def test_another_machine_is_reached(self):
        with socket.socket() as there:
            there.connect(("192.0.2.1", 80))


class TestNothingKnown(Sums):
    pass


class TestAllKnown(Sums):
    known_failures = {
        "test_two_is_three": "arithmetic",
        "test_a_number_is_one[2]": "two is not one",
        "test_another_machine_is_reached": "the network is blocked",
    }


class TestTooMuchKnown(Sums):
    known_failures = {
        "test_two_is_two": "a mistake",
        "test_two_is_three": "arithmetic",
        "test_a_number_is_one": "one is one",
        "test_another_machine_is_reached": "the network is blocked",
    }
"""


def test_a_known_failure_must_fail_and_nothing_else_may(tmp_path: Path) -> None:
    suite = tmp_path / "test_sums.py"
    suite.write_text(SUITE)

    _, failed, output = run_pytest(suite, [])

    assert {
        "TestNothingKnown": {
            "test_two_is_three",
            "test_a_number_is_one",
            "test_another_machine_is_reached",
        },
        "TestAllKnown": set(),
        "TestTooMuchKnown": {"test_two_is_two", "test_a_number_is_one"},
    } == failed, output
    assert "XPASS(strict)" in output


def test_a_known_failure_that_is_no_test_is_refused_with_the_near_one() -> None:
    class Sums(Contract):
        def test_two_is_three(self) -> None:
            """Nothing: it is only named."""

    with pytest.raises(TypeError) as caught:

        class Other(Sums):
            known_failures = {"test_two_is_thre": "arithmetic"}

    assert "known_failures of Other names no test: 'test_two_is_thre'" in str(caught.value)
    assert "did you mean 'test_two_is_three'?" in str(caught.value)
