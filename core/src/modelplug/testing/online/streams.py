"""A stream gives the same however its bytes are cut and dressed, and breaks off honestly."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from modelplug.errors import CallError, TransportFailed
from modelplug.testing.fault_server import FaultServer, Reply
from modelplug.testing.online.base import (
    Face,
    Make,
    OnlineBase,
    either_stream,
    events_of,
    events_of_async,
    for_type,
    raised_by,
    streamed,
)

CUTS = (1, 2, 3, 7, 1000)
"""Bytes in each piece of a stream; real servers and proxies cut anywhere."""

NOT_AN_ANSWER = {
    "nothing": b"",
    "only comments": b": keep-alive\n\n: keep-alive\n\n",
    "only the end": b"data: [DONE]\n\n",
    "empty objects": b"data: {}\n\ndata: [DONE]\n\n",
    "lists": b"data: []\n\ndata: [DONE]\n\n",
    "no JSON": b"data: hello\n\ndata: [DONE]\n\n",
}


def _comments(body: bytes) -> bytes:
    return b": welcome\n\n" + body.replace(b"\n\n", b"\n\n: keep-alive\n\nevent: ping\n\n")


DRESSES = {
    "as recorded": lambda body: body,
    "CRLF": lambda body: body.replace(b"\n", b"\r\n"),
    "lone CR": lambda body: body.replace(b"\n", b"\r"),
    "comments": _comments,
    "byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "no space": lambda body: body.replace(b"data: ", b"data:"),
    "no [DONE]": lambda body: body.replace(b"data: [DONE]\n\n", b""),
    "no last blank line": lambda body: body.rstrip(b"\n") + b"\n",
}


class StreamTests(OnlineBase):
    """Text deltas and events of a chat model."""

    @for_type("llm", "stream")
    @either_stream
    def test_the_stream_adds_up_to_the_whole(
        self, stream: Face, server: FaultServer, make: Make
    ) -> None:
        recorded = self.recorded()
        model = make()
        self.serve(server, recorded["chat.json"])
        whole = model(recorded["chat.json"].expected.input)
        self.serve(server, recorded["chat.sse"])

        assert whole == stream(model, recorded["chat.sse"].expected.input)

    @for_type("llm", "stream")
    def test_text_is_given_out_as_it_arrives(self, server: FaultServer, make: Make) -> None:
        first, rest = self._halves()
        more = threading.Event()
        *before, last = self.recorded()["chat.sse"].replies
        server.answer(*before, last.but(body=[first, more, rest]))

        given = iter(make(timeout=self.patience).stream("hello"))
        early = next(given)  # the rest is not sent before this is out
        more.set()

        assert early
        assert self._text() == early + "".join(given)

    @for_type("llm", "stream")
    @either_stream
    @pytest.mark.parametrize("cut", CUTS)
    def test_a_stream_is_the_same_however_it_is_cut(
        self, stream: Face, cut: int, server: FaultServer, make: Make
    ) -> None:
        self.serve(server, self.recorded()["chat.sse"], cut=cut)

        assert self._text() == stream(make(), "hello")

    @for_type("llm", "stream")
    @pytest.mark.parametrize("dress", DRESSES.values(), ids=DRESSES)
    def test_a_stream_is_the_same_however_it_is_dressed(
        self, dress: Any, server: FaultServer, make: Make
    ) -> None:
        chat = self.recorded()["chat.sse"]
        body = chat.replies[-1].whole
        dressed = dress(body) if chat.file.endswith(".sse") else body
        *before, last = chat.replies
        model = make()
        texts = {}
        for cut in (CUTS[0], CUTS[-1]):
            server.answer(*before, last.but(body=dressed, cut=cut))
            texts[cut] = streamed(model, "hello")

        assert {CUTS[0]: self._text(), CUTS[-1]: self._text()} == texts

    @for_type("llm", "stream")
    @pytest.mark.parametrize("framing", ["length", "chunked", "close"])
    @either_stream
    def test_a_stream_is_the_same_however_http_frames_it(
        self, stream: Face, framing: str, server: FaultServer, make: Make
    ) -> None:
        self.serve(server, self.recorded()["chat.sse"], framing=framing)

        assert self._text() == stream(make(), "hello")

    @for_type("llm", "stream")
    @pytest.mark.parametrize("read", [events_of, events_of_async], ids=["sync", "async"])
    def test_the_last_event_and_no_other_is_the_finish(
        self, read: Face, server: FaultServer, make: Make
    ) -> None:
        self.serve(server, self.recorded()["chat.sse"])

        kinds = [event.kind for event in read(make(), "hello")]

        assert 1 == kinds.count("finish")
        assert "finish" == kinds[-1]

    @for_type("llm", "stream")
    @pytest.mark.parametrize("ending", ["fin", "rst"])
    @pytest.mark.parametrize("framing", ["length", "chunked", "close"])
    def test_a_broken_stream_fails_after_what_was_delivered(
        self, ending: Any, framing: Any, server: FaultServer, make: Make
    ) -> None:
        broken = self._break_off(server, ending, framing)
        given: list[str] = []

        def run() -> None:
            for text in make(timeout=self.patience).stream("hello"):
                given.append(text)
                broken.set()

        with pytest.raises(TransportFailed) as caught:
            run()

        self._check_partial("".join(given), caught.value, server)

    @for_type("llm", "stream")
    @pytest.mark.parametrize("ending", ["fin", "rst"])
    def test_a_broken_async_stream_fails_after_what_was_delivered(
        self, ending: Any, server: FaultServer, make: Make
    ) -> None:
        broken = self._break_off(server, ending, "chunked")
        given: list[str] = []

        async def run() -> None:
            async for text in make(timeout=self.patience).astream("hello"):
                given.append(text)
                broken.set()

        with pytest.raises(TransportFailed) as caught:
            asyncio.run(run())

        self._check_partial("".join(given), caught.value, server)

    @for_type("llm", "stream")
    def test_a_stream_without_an_answer_is_an_error(self, server: FaultServer, make: Make) -> None:
        model = make(max_retries=0)
        errors = {}
        for name, body in NOT_AN_ANSWER.items():
            server.answer(Reply(200, {"content-type": "text/event-stream"}, body))
            errors[name] = isinstance(raised_by(streamed, model, "hello"), CallError)

        assert dict.fromkeys(NOT_AN_ANSWER, True) == errors

    @for_type("llm", "stream")
    def test_leaving_a_stream_early_lets_the_next_call_through(
        self, server: FaultServer, make: Make
    ) -> None:
        first, rest = self._halves()
        never = threading.Event()
        *before, last = self.recorded()["chat.sse"].replies
        server.answer(*before, last.but(body=[first, never, rest]))
        model = make(timeout=self.patience)
        stream = model.stream("hello")
        next(stream)
        stream.close()
        self.serve(server, self.recorded()["chat.sse"])

        assert self._text() == streamed(model, "hello")

    def _text(self) -> str:
        text = self.recorded()["chat.sse"].expected.text
        assert text, "the table [chat] needs a text"
        return text

    def _halves(self) -> tuple[bytes, bytes]:
        """The recorded stream in two, between events, each half with some of the text."""
        body = self.recorded()["chat.sse"].replies[-1].whole
        end = b"\n\n" if b"\n\n" in body else b"\n"
        events = body.split(end)
        at = len(events) // 2
        return end.join(events[:at]) + end, end.join(events[at:])

    def _break_off(self, server: FaultServer, ending: Any, framing: Any) -> threading.Event:
        """A stream that ends half-way, once the returned event says that some came through."""
        first, _ = self._halves()
        came = threading.Event()
        *before, last = self.recorded()["chat.sse"].replies
        body = [first, came, b": the end\n\n"]
        server.answer(
            *before,
            last.but(body=body, framing=framing, close_after=len(first) + 1, ending=ending),
        )
        return came

    def _check_partial(self, given: str, error: TransportFailed, server: FaultServer) -> None:
        assert given
        assert given != self._text()
        assert self._text().startswith(given)
        assert given == error.partial
        assert len(self.recorded()["chat.sse"].replies) == len(server.requests)
