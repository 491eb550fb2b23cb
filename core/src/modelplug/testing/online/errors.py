"""Each error has its class and fields, is tried again where that can help, and only then."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from modelplug import errors
from modelplug.errors import CallError, QuotaExhausted, RateLimited, TransportFailed
from modelplug.testing.fault_server import FaultServer, Reply
from modelplug.testing.leaks import CANARY
from modelplug.testing.online.base import (
    CALLS,
    STREAMING,
    Face,
    Make,
    OnlineBase,
    Test,
    either_call,
    every_call,
    for_type,
    raised_by,
    whole,
)
from modelplug.testing.replies import REQUEST_ID, Recorded

LONG = 300
"""Seconds that no caller should be kept waiting, so the error comes out at once."""

DROPPED = Reply(200, {"content-type": "text/event-stream"}, b"x" * 9, close_after=0)
"""A connection that ends after the head of a reply."""


def each_type(test: Test) -> Test:
    """One case for each type, called and awaited; Unsupported where the manifest has none."""

    @functools.wraps(test)
    def run(self: OnlineBase, type: str, **fixtures: Any) -> None:
        if type in self.provider.types:
            test(self, type, **fixtures)
        else:
            self.check_unsupported(type)

    cases: Test = pytest.mark.parametrize("type", CALLS)(either_call(run))
    return cases


class ErrorTests(OnlineBase):
    """Errors, of each type; their classes and fields of whichever the provider has first."""

    @property
    def first_type(self) -> str:
        """The type that errors are tried on: chat if there is any."""
        types = self.provider.types
        return "llm" if "llm" in types else next(iter(types))

    @property
    def streams(self) -> bool:
        """Whether a model of that type streams."""
        return self.first_type == "llm" and "stream" in self.does("llm")

    def call_with_errors(self, make: Make, call: Face = whole, **settings: Any) -> Any:
        """One call of a model of the first type that is made with *settings*."""
        given, options = CALLS[self.first_type]
        if call in STREAMING and not self.streams:
            call = whole
        return call(make(self.first_type, **settings), given, **options)

    def call_type(self, type: str, call: Face, make: Make, **settings: Any) -> Any:
        """One call of a model of *type* that is made with *settings*."""
        given, options = CALLS[type]
        return call(make(type, **settings), given, **options)

    @every_call
    def test_an_error_has_its_class_and_its_fields(
        self, failure: Recorded, call: Face, server: FaultServer, make: Make
    ) -> None:
        expected = failure.expected
        assert expected.error is not None, f"the table [{failure.name}] needs an error"
        self.serve(server, failure)

        with pytest.raises(CallError) as caught:
            self.call_with_errors(make, call)

        error = caught.value
        assert getattr(errors, expected.error) is type(error)
        assert expected.status == error.status
        assert expected.retryable == error.retryable
        assert self.plugin == error.provider
        assert REQUEST_ID == error.request_id
        assert "" == error.partial
        if expected.code is not None:
            assert expected.code == error.code
        assert expected.says in str(error)
        assert self.plugin in str(error)
        assert "Traceback" not in str(error)

    @each_type
    def test_an_error_has_its_class_with_each_type(
        self, type: str, call: Face, server: FaultServer, make: Make
    ) -> None:
        self.serve(server, self._error("AuthRefused"))

        with pytest.raises(errors.AuthRefused) as caught:
            self.call_type(type, call, make)

        assert CANARY not in str(caught.value)
        assert 1 == len(server.requests)

    @each_type
    def test_a_rate_limit_is_waited_for_with_each_type(
        self, type: str, call: Face, server: FaultServer, make: Make
    ) -> None:
        server.answer(self._error("RateLimited").reply, self._error("AuthRefused").reply)

        with pytest.raises(errors.AuthRefused):
            self.call_type(type, call, make)

        assert 2 == len(server.requests)

    @each_type
    def test_a_dropped_connection_is_a_transport_failure_with_each_type(
        self, type: str, call: Face, server: FaultServer, make: Make
    ) -> None:
        server.answer(DROPPED)

        with pytest.raises(TransportFailed) as caught:
            self.call_type(type, call, make, max_retries=0)

        assert self.plugin == caught.value.provider
        assert 1 == len(server.requests)

    def test_only_a_retryable_error_is_tried_again(
        self, failure: Recorded, server: FaultServer, make: Make
    ) -> None:
        self.serve(server, failure)

        with pytest.raises(CallError):
            self.call_with_errors(make)

        assert failure.expected.retryable == (len(server.requests) > 1)

    @for_type("llm")
    @every_call
    def test_a_call_succeeds_after_a_rate_limit(
        self, call: Face, server: FaultServer, make: Make
    ) -> None:
        chat = self.recorded()["chat.sse" if call in STREAMING else "chat.json"]
        server.answer(self._error("RateLimited").reply, *chat.replies)

        assert chat.expected.text == call(make(), "hello")
        assert 1 + len(chat.replies) == len(server.requests)

    @for_type("llm")
    @every_call
    def test_an_exhausted_quota_is_not_tried_again(
        self, call: Face, server: FaultServer, make: Make
    ) -> None:
        chat = self.recorded()["chat.sse" if call in STREAMING else "chat.json"]
        server.answer(self._error("QuotaExhausted").reply, *chat.replies)

        with pytest.raises(QuotaExhausted) as caught:
            call(make(), "hello")

        assert 1 == len(server.requests)
        assert not caught.value.retryable

    def test_a_rate_limit_tells_how_many_seconds_to_wait(
        self, server: FaultServer, make: Make
    ) -> None:
        error = self._rate_limit(str(LONG), server, make)

        assert LONG == error.retry_after
        assert 1 == len(server.requests)

    def test_a_rate_limit_tells_the_seconds_until_a_date(
        self, server: FaultServer, make: Make
    ) -> None:
        date = datetime.now(UTC) + timedelta(seconds=LONG)

        error = self._rate_limit(format_datetime(date, usegmt=True), server, make)

        assert error.retry_after is not None
        assert LONG - 30 < error.retry_after <= LONG

    def test_an_unreadable_retry_after_is_left_out(self, server: FaultServer, make: Make) -> None:
        limit = self._error("RateLimited").reply
        headers = {**limit.headers, "retry-after": "soon", "retry-after-ms": "0"}
        server.answer(limit.but(headers=headers), self._error("AuthRefused").reply)

        with pytest.raises(CallError):
            self.call_with_errors(make)

        assert 2 == len(server.requests)

    @every_call
    def test_a_dropped_connection_is_a_transport_failure(
        self, call: Face, server: FaultServer, make: Make
    ) -> None:
        server.answer(DROPPED)

        with pytest.raises(TransportFailed) as caught:
            self.call_with_errors(make, call, max_retries=0)

        assert caught.value.retryable
        assert caught.value.status is None
        assert self.plugin == caught.value.provider
        assert 1 == len(server.requests)

    def test_a_dropped_connection_is_tried_again(self, server: FaultServer, make: Make) -> None:
        server.answer(DROPPED, self._error("AuthRefused").reply)

        with pytest.raises(CallError):
            self.call_with_errors(make)

        assert 2 == len(server.requests)

    def test_a_failed_connection_is_named_with_its_address(
        self, server: FaultServer, make: Make
    ) -> None:
        server.close()

        with pytest.raises(TransportFailed) as caught:
            self.call_with_errors(make, max_retries=0)

        assert "127.0.0.1" in str(caught.value)
        assert CANARY not in str(caught.value)

    @for_type("llm")
    def test_a_model_works_again_after_an_error(self, server: FaultServer, make: Make) -> None:
        chat = self.recorded()["chat.json"]
        model = make()
        self.serve(server, self._error("AuthRefused"))
        assert raised_by(model, "hello")
        self.serve(server, chat)

        assert chat.expected.text == model(chat.expected.input)

    def _error(self, name: str) -> Recorded:
        """The plainest recorded error of that class, by the length of its name."""
        found = [r for r in self.recorded().errors() if r.expected.error == name]
        assert found, f"no recorded reply of {self.plugin} is {name}; record one"
        return min(found, key=lambda recorded: len(recorded.name))

    def _rate_limit(self, wait: str, server: FaultServer, make: Make) -> RateLimited:
        limit = self._error("RateLimited").reply
        server.answer(limit.but(headers={**limit.headers, "retry-after": wait}))
        with pytest.raises(RateLimited) as caught:
            self.call_with_errors(make)
        return caught.value
