"""The key is sent, and seen nowhere else."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

import modelplug
from modelplug.settings import key_variables
from modelplug.testing.fault_server import FaultServer
from modelplug.testing.leaks import CANARY, everything_logged, places_in_error
from modelplug.testing.online.base import Make, OnlineBase, awaited, for_type, raised_by, whole


class SecretTests(OnlineBase):
    """A canary in place of the key."""

    @for_type("llm")
    def test_the_key_is_sent(self, server: FaultServer, make: Make) -> None:
        self.serve(server, self.recorded()["chat.json"])

        make()("hello")

        assert [True] * len(server.requests) == [self.key_is_sent(r) for r in server.requests]

    @for_type("llm")
    def test_the_key_is_in_no_address_and_no_body(self, server: FaultServer, make: Make) -> None:
        self.serve(server, self.recorded()["chat.json"])

        make()("hello")

        for request in server.requests:
            assert CANARY not in f"{request.path}?{request.query}"
            assert CANARY.encode() not in request.body

    def test_the_key_is_in_no_repr(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        type = next(iter(self.provider.types))
        for name in (*self.provider.key_env, *key_variables(self.plugin, ())):
            monkeypatch.setenv(name, CANARY)
        model = make(type)
        choice = modelplug.explain(
            self.model_name(type) or "some-model", source=self.plugin, type=type
        )
        shown = {
            "the model": f"{model!r} {model!s}",
            "its fields": repr(getattr(model, "__dict__", {})),
            "a shared view": f"{model.share()!r}",
            "the secret": f"{model.api_key!r} {model.api_key!s}",
            "the choice": f"{choice!r} {choice!s}",
            "the choice as a dict": json.dumps(choice.to_dict(), default=repr),
        }

        assert [] == [place for place, text in shown.items() if CANARY in text]

    @pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
    @for_type("llm")
    def test_the_key_is_in_no_part_of_a_refused_key_error(
        self, asynchronous: bool, server: FaultServer, make: Make
    ) -> None:
        refusals = [r for r in self.recorded().errors() if r.expected.error == "AuthRefused"]
        assert refusals, f"no recorded reply of {self.plugin} is AuthRefused; record one"
        # Some servers quote the key that they refuse.
        quoting = refusals[0].reply.but(body=f"the key {CANARY} is wrong".encode())
        for reply in [*(refusal.reply for refusal in refusals), quoting]:
            server.answer(reply)
            model = make()
            error = raised_by(awaited if asynchronous else whole, model, "hello")
            assert error is not None
            assert [] == places_in_error(error)

    @pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
    @for_type("llm")
    def test_the_key_is_in_no_part_of_a_connection_error(
        self, asynchronous: bool, server: FaultServer, make: Make
    ) -> None:
        model = make(max_retries=0)
        server.close()

        error = raised_by(awaited if asynchronous else whole, model, "hello")

        assert error is not None
        assert [] == places_in_error(error)

    @pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
    @pytest.mark.parametrize("ending", ["fin", "rst"])
    @for_type("llm", "stream")
    def test_the_key_is_in_no_part_of_a_broken_stream_error(
        self, ending: Any, asynchronous: bool, server: FaultServer, make: Make
    ) -> None:
        came = threading.Event()
        first, _ = self.recorded()["chat.sse"].replies[-1].whole.rsplit(b"\n\n", 3)[:2]
        *before, last = self.recorded()["chat.sse"].replies
        body = [first + b"\n\n", came, b": end\n\n"]
        server.answer(*before, last.but(body=body, close_after=len(first) + 3, ending=ending))
        model = make(timeout=self.patience)

        async def run() -> None:
            async for _ in model.astream("hello"):
                came.set()

        def run_sync() -> None:
            for _ in model.stream("hello"):
                came.set()

        error = raised_by(lambda: asyncio.run(run()) if asynchronous else run_sync())

        assert error is None or [] == places_in_error(error)

    @for_type("llm")
    def test_the_key_is_in_no_part_of_a_bad_reply_error(
        self, server: FaultServer, make: Make
    ) -> None:
        chat = self.recorded()["chat.json"].replies[-1]
        server.answer(chat.but(body=b'{"unexpected": true}'))

        error = raised_by(make(), "hello")

        assert error is None or [] == places_in_error(error)

    @for_type("llm")
    def test_the_key_is_in_no_log(
        self,
        server: FaultServer,
        make: Make,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        model = make()
        with everything_logged() as records:
            self.serve(server, self.recorded()["chat.json"])
            model("hello")
            if "stream" in self.does("llm"):
                self.serve(server, self.recorded()["chat.sse"])
                list(model.stream("hello"))
            for failure in self.recorded().errors():
                self.serve(server, failure)
                raised_by(model, "hello")
        printed = capfd.readouterr()

        assert [] == [record for record in records if CANARY in record]
        assert CANARY not in printed.out + printed.err
