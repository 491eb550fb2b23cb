"""A step that changes a connection's protocol and speaks another one on it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from attrs import evolve

from modelplug.errors import TimedOut, TransportFailed
from modelplug.transport import Transport
from modelplug.types import Timeouts
from modelplug.wire import Conversation, Flow, Request, Response, Upgrade

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"


@pytest.fixture
def server() -> Iterator[tuple[str, list[bytes], list[bytes]]]:
    """(address, what it answers a request with, what came): it says it all again, louder."""
    heads, came = [SWITCHED], list[bytes]()

    def serve() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += peer.recv(65536)
                # What follows the head in one packet belongs to the new protocol.
                peer.sendall(heads[0] + (b"HI" if heads[0] == SWITCHED else b""))
                while heads[0] == SWITCHED and (data := peer.recv(65536)):
                    came.append(data)
                    if b"hang up" in data:
                        break
                    if b"silence" not in data:
                        peer.sendall(data.upper())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", heads, came
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def said(*words: bytes) -> Callable[[Response], Conversation[list[bytes]]]:
    """A conversation that says each of *words* once it has heard something."""

    def begin(head: Response) -> Conversation[list[bytes]]:
        heard = [head.headers["upgrade"].encode(), (yield None)]
        for word in words:
            assert b"" == (yield word)
            heard.append((yield None))
        yield b"bye"
        return heard

    return begin


def flow(url: str, begin: Any, idle: float = 10.0) -> Flow[Any]:
    """One upgrade; its answer."""
    headers = {"connection": "upgrade", "upgrade": "shout"}
    timeouts = evolve(Timeouts(), idle=idle)
    answer = yield Upgrade(Request("GET", url, headers=headers, timeouts=timeouts), begin)
    return answer


def run(step: Flow[Any]) -> Any:
    """By the sync driver."""
    with closing(Transport()) as transport:
        return transport.run(step)


def arun(step: Flow[Any]) -> Any:
    """By the async one."""
    return asyncio.run(Transport().arun(step))


both = pytest.mark.parametrize("drive", [run, arun])


@both
def test_a_conversation_sends_and_hears_until_it_returns(server: Any, drive: Any) -> None:
    url, _, came = server

    assert [b"shout", b"HI", b"ONE", b"TWO"] == drive(flow(url, said(b"one", b"two")))
    assert [b"one", b"two"] == came[:2]


@both
def test_the_last_word_is_sent(server: Any, drive: Any) -> None:
    url, _, came = server
    drive(flow(url, said()))

    # The next request is served after the conversation before has ended.
    drive(flow(url, said(b"again")))
    assert [b"bye", b"again"] == came[:2]


@both
def test_a_reply_that_changes_nothing_is_the_answer(server: Any, drive: Any) -> None:
    url, heads, _ = server
    heads[0] = REFUSED

    answer = drive(flow(url, said()))

    assert (403, b"no") == (answer.status, answer.body)


@both
def test_an_end_is_heard_as_nothing(server: Any, drive: Any) -> None:
    assert b"" == drive(flow(server[0], said(b"hang up")))[-1]


@both
def test_silence_is_a_timeout(server: Any, drive: Any) -> None:
    with pytest.raises(TimedOut, match="nothing came for 0.2 s"):
        drive(flow(server[0], said(b"silence"), idle=0.2))


@both
def test_an_error_of_the_conversation_comes_back_to_the_flow(server: Any, drive: Any) -> None:
    def begin(head: Response) -> Conversation[None]:
        yield None
        msg = "enough"
        raise TransportFailed(msg)

    with pytest.raises(TransportFailed, match="enough"):
        drive(flow(server[0], begin))


@both
def test_nobody_there_is_a_failed_connection(drive: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"

    with pytest.raises(TransportFailed, match=r"the connection to 127\.0\.0\.1 failed"):
        drive(flow(url, said()))
