"""What every contract class has: known failures, and no way out to the network."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from modelplug.testing.network import block_network

__all__ = ["Contract"]


class Contract:
    """
    Base of the contract classes. Inherit one of those, in a class named `Test...`.

    `known_failures` names tests that are known to fail, each with the reason: `{"test_x":
    "why"}` or, for one of its cases, `{"test_x[chat.sse]": "why"}`. They are run, and must
    fail: one that passes is reported, so that the entry is taken out again.
    """

    known_failures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        tests = [name for name in dir(cls) if name.startswith("test_")]
        for name in cls.known_failures:
            if name.partition("[")[0] not in tests:
                near = difflib.get_close_matches(name, tests, n=1)
                mend = f"; did you mean {near[0]!r}?" if near else ""
                msg = f"known_failures of {cls.__name__} names no test: {name!r}{mend}"
                raise TypeError(msg)

    @pytest.fixture(autouse=True)
    def _expect_known_failures(self, request: pytest.FixtureRequest) -> None:
        test = request.node
        for name in (test.name, getattr(test, "originalname", test.name)):
            if name in self.known_failures:
                test.add_marker(pytest.mark.xfail(reason=self.known_failures[name], strict=True))
                return

    @pytest.fixture(autouse=True)
    def _stay_on_this_machine(self) -> Iterator[None]:
        with block_network():
            yield
