"""Streamed bodies past h11: the same bytes and the same errors as with h11 alone."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import h11
import pytest
from core_helpers import chat_stream
from hypothesis import example, given
from hypothesis import strategies as st
from test_transport import chat, raw, read_request, stream_async, stream_sync

from modelplug.transport.chunks import PlainChunks
from modelplug.transport.http1 import LARGEST_HEAD, Http1
from modelplug.types import Finish, Text

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

either = pytest.mark.parametrize("stream", [stream_sync, stream_async], ids=["sync", "async"])


def by_h11(pieces: Iterator[bytes]) -> tuple[bytes, str, bool]:
    """(the body, the class of the error that ended it, whether the connection can be kept)."""
    connection, body = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD), b""
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "host")]))
    connection.send(h11.EndOfMessage())
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(next(pieces, b""))
            elif isinstance(event, h11.Data):
                body += event.data
    except h11.ProtocolError as exc:
        return body, type(exc).__name__, False
    return body, "", connection.their_state is h11.DONE and not connection.trailing_data[0]


def by_us(pieces: Iterator[bytes]) -> tuple[bytes, str, bool]:
    """As an exchange reads them."""
    connection, body = Http1(), b""
    connection.request("GET", b"/", [(b"host", b"host")], b"")
    try:
        while connection.head(next(pieces, b"")) is None:
            pass
        while not connection.ended:
            body += connection.feed(None if connection.more else next(pieces, b""))
    except h11.ProtocolError as exc:
        return body, type(exc).__name__, False
    return body, "", connection.again()


def chunk(body: bytes, size: bytes = b"", end: bytes = b"\r\n") -> bytes:
    return (size or b"%x" % len(body)) + b"\r\n" + body + end


usual = st.binary(min_size=1, max_size=70).map(chunk)
odd = st.one_of(
    st.sampled_from([
        chunk(b"a", b"1;name=value"), chunk(b"abc", b"000003"), chunk(b"a", b"1 "),
        chunk(b"abc", b"0" * 30 + b"3"), chunk(b"abc", b"0x3"), chunk(b"abc", b"+3"),
        chunk(b"abc", b"1_1"), chunk(b"ab", b"2", b""), chunk(b"abc", b"3", b"XX"),
        b"3\nabc\n", b"\r\n", b"ffffffffff\r\nabc", b"-1\r\n\r\n",
        chunk(b"x" * 0x10000), chunk(b"x" * 0xFFFF), chunk(b"0123456789", b"A"),
    ]),
    st.binary(max_size=9),
)  # fmt: skip
ending = st.sampled_from([
    b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\ntrailer: 1\r\n\r\n", b"0;x\r\n\r\n", b"000\r\n\r\n", b"",
    b"0\r\n",
    b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
])  # fmt: skip
heads = st.sampled_from([
    HEAD, HEAD, HEAD.replace(b"\r\n", b"\n"), b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD,
])  # fmt: skip


other_heads = st.sampled_from([
    b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\ncontent-length: 3\n\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n no: header\r\n\r\n",
    b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"SSH-2.0-OpenSSH\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: " + b"x" * (LARGEST_HEAD + 9),
    b"",
])  # fmt: skip


@st.composite
def replies(draw: st.DrawFn) -> list[bytes]:
    """A chunked reply, usual or odd, cut anywhere."""
    chunks = draw(st.lists(st.one_of(usual, usual, usual, odd), max_size=6))
    return cut(draw, draw(heads) + b"".join(chunks) + draw(ending))


@st.composite
def other_replies(draw: st.DrawFn) -> list[bytes]:
    """A reply whose body is not chunked, or that is none, cut anywhere."""
    return cut(draw, draw(other_heads) + draw(st.binary(max_size=9)))


def cut(draw: st.DrawFn, wire: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    return [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True) if a < b]


@given(replies())
@example([HEAD + b"3\r\nabc\r\n0\r\n\r\n"])
@example([HEAD, b"3\r\nab", b"c\r", b"\n0\r\n\r\n"])
@example([HEAD + b"3\r\nabc\n\r0\r\n\r\n"])
def test_past_h11_a_body_is_what_it_is_with_h11_alone(pieces: list[bytes]) -> None:
    alone, past = by_h11(iter(pieces)), by_us(iter(pieces))

    if alone[1]:  # h11 gives out a part of the chunk that is at fault, which here waits to be whole
        assert (alone[1:], True) == (past[1:], alone[0].startswith(past[0]))
    else:
        assert alone == past


@given(other_replies())
def test_any_other_reply_is_what_it_is_with_h11_alone(pieces: list[bytes]) -> None:
    assert by_h11(iter(pieces)) == by_us(iter(pieces))


def test_chunks_that_came_together_are_one_piece() -> None:
    chunks = PlainChunks()

    assert b"oneTwothree" == chunks.feed(b"3\r\none\r\n3\r\nTwo\r\n5\r\nthree\r\n4\r\nfo")
    assert (b"4\r\nfo", False) == (chunks.rest, chunks.ended)
    assert b"four" == chunks.feed(b"ur\r\n")


@pytest.mark.parametrize(
    "data", [b"0\r\n\r\n", b"3;a=b\r\nabc\r\n", b"10000\r\n", b"3\r\nabcd\r\n", b"3\nabc\n", b""]
)
def test_what_is_not_of_the_plain_form_is_left_to_h11(data: bytes) -> None:
    chunks = PlainChunks()

    assert b"one" == chunks.feed(b"3\r\none\r\n")
    assert b"" == chunks.feed(data)
    assert (data, True) == (chunks.rest, chunks.ended)


@either
def test_a_stream_with_chunks_of_all_forms_is_read(stream: Callable[..., list[Any]]) -> None:
    body = chat_stream("one", " two", " three")

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(
            HEAD.replace(b"\r\n\r\n", b"\r\ncontent-type: text/event-stream\r\n\r\n")
        )
        for at, form in ((0, b"%x"), (40, b"%x;note=1"), (80, b"0000%X")):
            piece = body[at : at + 40]
            connection.sendall(chunk(piece, form % len(piece)))
        connection.sendall(chunk(body[120:]) + b"0\r\nx-checksum: 1\r\n\r\n")

    with raw(serve) as url:
        events = stream(chat(url))

    assert ["one", " two", " three"] == [event.text for event in events if type(event) is Text]
    assert [Finish] == [type(event) for event in events[-1:]]
