"""The network, against loopback servers that misbehave: limits, connections, proxies, cancels."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from textwrap import dedent
from typing import Any

import pytest
from attrs import evolve
from core_helpers import (
    AT_ONCE,
    CALL,
    ENDPOINT,
    KEY,
    chat_body,
    chat_stream,
    delta,
    failing,
    ok,
    python,
    sse,
    streaming,
)

from modelplug.errors import (
    BadReply,
    CallError,
    ConfigError,
    InvalidRequest,
    Overloaded,
    Refused,
    TimedOut,
    TransportFailed,
)
from modelplug.media import Media
from modelplug.openai_wire import OpenAIChat
from modelplug.proxies import is_loopback, proxy_for
from modelplug.retry import Retry
from modelplug.testing import FaultServer, Reply, in_turn, places_in_error
from modelplug.transport import Transport, exchange
from modelplug.transport.patience import Group, Patience
from modelplug.transport.waiting import waiting
from modelplug.types import Finish, Secret, Text, Timeouts
from modelplug.wire import Blocking, Flow, Request, Response, Together

ONCE = Retry(attempts=1)
GENEROUS = Timeouts(connect=20, first_byte=20, idle=20, total=20)
SLACK = 1.5
"""Seconds that a limit may be late by on a machine that is busy with other tests."""


def chat(server: FaultServer | str, **changes: Any) -> OpenAIChat:
    """A codec that speaks to *server*."""
    url = server if isinstance(server, str) else server.url
    return OpenAIChat(evolve(ENDPOINT, url=url, **{"retry": AT_ONCE, **changes}))


Face = Callable[..., Any]


def run_sync(flow: Flow[Any], timeouts: Timeouts | None = None) -> Any:
    transport = Transport()
    try:
        return transport.run(flow, timeouts)
    finally:
        transport.close()


def run_async(flow: Flow[Any], timeouts: Timeouts | None = None) -> Any:
    return asyncio.run(Transport().arun(flow, timeouts))


def stream_sync(codec: OpenAIChat, timeouts: Timeouts | None = None) -> list[Any]:
    transport = Transport()
    try:
        return list(transport.stream(codec.stream(CALL), timeouts))
    finally:
        transport.close()


def stream_async(codec: OpenAIChat, timeouts: Timeouts | None = None) -> list[Any]:
    async def run() -> list[Any]:
        return [event async for event in Transport().astream(codec.stream(CALL), timeouts)]

    return asyncio.run(run())


either = pytest.mark.parametrize("run", [run_sync, run_async], ids=["sync", "async"])
either_stream = pytest.mark.parametrize(
    "stream", [stream_sync, stream_async], ids=["sync", "async"]
)


@contextmanager
def raw(*scripts: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[str]:
    """A server whose nth connection is served by the nth of *scripts*; gives its base URL."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    failures: list[BaseException] = []

    def serve() -> None:
        for script in scripts:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(20)
                try:
                    script(connection)
                except BaseException as exc:
                    failures.append(exc)
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{listener.getsockname()[1]}/v1"
        thread.join(20)
    finally:
        listener.close()
    assert [] == failures
    assert not thread.is_alive()


def read_request(connection: socket.socket) -> bytes:
    """One request with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def respond(connection: socket.socket, body: bytes = b"", head: bytes = b"") -> None:
    body = body or chat_body()
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + head)
    connection.sendall(b"content-length: %d\r\n\r\n" % len(body) + body)


# The four limits.


def timed_out(run: Callable[[], object], limit: str, seconds: float) -> TimedOut:
    """The error of *run*, which came when *seconds* were over."""
    begin = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        run()
    took = time.monotonic() - begin
    assert limit == caught.value.limit
    assert seconds - 0.05 <= took < seconds + SLACK
    return caught.value


@either
def test_a_server_that_takes_no_connection_is_given_up_after_connect(run: Face) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]  # more than the backlog holds
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        codec = chat(f"http://127.0.0.1:{port}", retry=ONCE)

        error = timed_out(
            lambda: run(codec.flow(CALL), evolve(GENEROUS, connect=0.2)), "connect", 0.2
        )

        for each in waiting:
            each.close()
    assert "no connection within 0.2 s (connect)" == str(error)
    assert error.retryable


@either
def test_a_handshake_that_does_not_end_is_given_up_after_connect(
    run: Face, server: FaultServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        codec = chat(f"https://127.0.0.1:{listener.getsockname()[1]}", retry=ONCE)

        timed_out(lambda: run(codec.flow(CALL), evolve(GENEROUS, connect=0.2)), "connect", 0.2)


@either
@pytest.mark.parametrize("answer", ["nothing", "headers"])
def test_an_answer_whose_body_does_not_begin_is_given_up_after_first_byte(
    run: Face, answer: str, server: FaultServer
) -> None:
    never = threading.Event()
    server.answer(ok().but(gate=never) if answer == "nothing" else ok().but(body=[never]))
    codec = chat(server, retry=ONCE)

    error = timed_out(
        lambda: run(codec.flow(CALL), evolve(GENEROUS, first_byte=0.2)), "first_byte", 0.2
    )

    assert "no answer within 0.2 s (first_byte)" == str(error)
    assert "acme" == error.provider


@either_stream
def test_a_stream_whose_body_does_not_begin_is_given_up_after_first_byte(
    stream: Face, server: FaultServer
) -> None:
    server.answer(streaming([threading.Event()]))

    timed_out(
        lambda: stream(chat(server, retry=ONCE), evolve(GENEROUS, first_byte=0.2)),
        "first_byte",
        0.2,
    )


@either
def test_a_body_that_pauses_is_given_up_after_idle(run: Face, server: FaultServer) -> None:
    server.answer(ok().but(body=[b"{", threading.Event()]))
    codec = chat(server, retry=ONCE)

    error = timed_out(lambda: run(codec.flow(CALL), evolve(GENEROUS, idle=0.2)), "idle", 0.2)

    assert "nothing came for 0.2 s (idle)" == str(error)


@either_stream
def test_a_stream_that_pauses_is_given_up_after_idle(stream: Face, server: FaultServer) -> None:
    server.answer(streaming([sse(delta(content="a"), done=False), threading.Event()]))

    error = timed_out(lambda: stream(chat(server), evolve(GENEROUS, idle=0.2)), "idle", 0.2)

    assert ("acme", 1) == (error.provider, len(server.requests))


@either
def test_a_call_that_does_not_end_is_given_up_after_the_total(
    run: Face, server: FaultServer
) -> None:
    server.answer(ok().but(gate=threading.Event()))

    error = timed_out(
        lambda: run(chat(server).flow(CALL), evolve(GENEROUS, total=0.2)), "total", 0.2
    )

    assert "no end after 0.2 s in all (total)" == str(error)
    assert not error.retryable
    assert 1 == len(server.requests)


@either
def test_the_total_covers_all_tries(run: Face, server: FaultServer) -> None:
    server.answer(failing(503, retry_after="0.1"))
    codec = chat(server, retry=Retry(attempts=1000))

    begin = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        run(codec.flow(CALL), evolve(GENEROUS, total=0.35))

    assert "total" == caught.value.limit
    assert time.monotonic() - begin < 0.35 + SLACK
    assert 2 <= len(server.requests) <= 4


@either
def test_a_wait_that_would_pass_the_total_is_not_begun(run: Face, server: FaultServer) -> None:
    server.answer(failing(503, retry_after="15"))

    begin = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        run(chat(server).flow(CALL), evolve(GENEROUS, total=10))

    assert "total" == caught.value.limit
    assert time.monotonic() - begin < SLACK
    assert 1 == len(server.requests)


@either
def test_the_wait_that_the_server_asks_for_is_waited(run: Face, server: FaultServer) -> None:
    server.answer(failing(503, retry_after="0.2"), ok())

    begin = time.monotonic()
    run(chat(server).flow(CALL))

    assert time.monotonic() - begin >= 0.2


@either
def test_without_limits_a_call_ends_when_it_ends(run: Face, server: FaultServer) -> None:
    server.answer(ok())

    assert "4" == run(chat(server).flow(CALL), Timeouts(None, None, None, None)).text


@either
def test_the_limits_of_the_endpoint_count_where_a_call_gives_none(
    run: Face, server: FaultServer
) -> None:
    server.answer(ok().but(gate=threading.Event()))
    codec = chat(server, timeouts=evolve(GENEROUS, total=0.2))

    timed_out(lambda: run(codec.flow(CALL)), "total", 0.2)


@either
def test_a_timeout_of_the_body_is_tried_again(run: Face, server: FaultServer) -> None:
    server.answer(ok().but(body=[b"{", threading.Event()]), ok())

    assert "4" == run(chat(server).flow(CALL), evolve(GENEROUS, idle=0.2)).text
    assert 2 == server.connections


# Connections.


def test_a_connection_is_kept_for_the_next_call(server: FaultServer) -> None:
    server.answer(ok())
    transport = Transport()

    for _ in range(5):
        transport.run(chat(server).flow(CALL))
    transport.close()

    assert (5, 1) == (len(server.requests), server.connections)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_connections_that_servers_have_closed_do_not_pile_up(asynchronous: bool) -> None:
    async def ask_each_server_once() -> list[int]:
        transport, open_files = Transport(), []
        for _ in range(6):
            with FaultServer() as server:
                server.answer(ok())
                flow = chat(server).flow(CALL)
                if asynchronous:
                    await transport.arun(flow)
                else:
                    transport.run(flow)
            open_files.append(len(os.listdir("/dev/fd")))
        transport.close()
        return open_files

    open_files = asyncio.run(ask_each_server_once())

    assert open_files[2] == open_files[5]


def test_a_connection_is_closed_whichever_of_many_threads_finds_it_dead() -> None:
    transport = Transport()
    with FaultServer() as gone:
        gone.answer(ok())
        transport.run(chat(gone).flow(CALL))
    before = len(os.listdir("/dev/fd"))

    for _ in range(20):
        with FaultServer() as server, ThreadPoolExecutor(8) as threads:
            server.answer(ok())
            flows = [chat(server).flow(CALL) for _ in range(8)]
            assert 8 == len(list(threads.map(transport.run, flows)))
    transport.close()

    assert before - 1 == len(os.listdir("/dev/fd"))


def test_a_connection_of_a_loop_is_kept_for_the_next_call(server: FaultServer) -> None:
    server.answer(ok())

    async def calls() -> None:
        transport = Transport()
        for _ in range(5):
            await transport.arun(chat(server).flow(CALL))
        await transport.aclose()
        await transport.aclose()

    asyncio.run(calls())

    assert (5, 1) == (len(server.requests), server.connections)


def test_a_connection_is_kept_after_a_stream_and_after_an_error(server: FaultServer) -> None:
    server.answer(streaming(chat_stream("a")), failing(400), streaming([chat_stream("b")]), ok())
    transport = Transport()

    list(transport.stream(chat(server).stream(CALL)))
    with pytest.raises(InvalidRequest):
        transport.run(chat(server).flow(CALL))
    list(transport.stream(chat(server).stream(CALL)))
    transport.run(chat(server).flow(CALL))
    transport.close()

    assert 1 == server.connections


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_kept_connection_that_ends_without_an_answer_gives_way_to_a_new_one(
    asynchronous: bool,
) -> None:
    requests: list[bytes] = []

    def tired(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        respond(connection)
        requests.append(read_request(connection))  # it was too late to say that this is the end

    def fresh(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        respond(connection)

    async def calls(url: str) -> list[str]:
        transport, codec = Transport(), chat(url, retry=ONCE)
        if asynchronous:
            return [(await transport.arun(codec.flow(CALL))).text for _ in range(2)]
        answers = [transport.run(codec.flow(CALL)).text for _ in range(2)]
        transport.close()
        return answers

    with raw(tired, fresh) as url:
        assert ["4", "4"] == asyncio.run(calls(url))

    assert 3 == len(requests)
    assert requests[1] == requests[2]


@either
def test_a_new_connection_that_ends_without_an_answer_is_a_failure(run: Face) -> None:
    requests: list[bytes] = []

    with (
        raw(lambda connection: requests.append(read_request(connection))) as url,
        pytest.raises(TransportFailed, match="closed the connection without an answer"),
    ):
        run(chat(url, retry=ONCE).flow(CALL))

    assert 1 == len(requests)


def test_closing_lets_go_of_idle_connections_and_the_next_call_opens_one(
    server: FaultServer,
) -> None:
    server.answer(ok())
    transport = Transport()
    for _ in range(2):
        transport.run(chat(server).flow(CALL))
        transport.close()

    assert 2 == server.connections


@pytest.mark.parametrize("ending", ["fin", "rst"])
def test_a_connection_that_the_server_closed_meanwhile_is_replaced(
    server: FaultServer, ending: Any
) -> None:
    body = chat_body()
    server.answer(Reply(200, {}, body, close_after=len(body), ending=ending), ok())
    transport = Transport()

    answers = [transport.run(chat(server).flow(CALL)).text for _ in range(2)]
    transport.close()

    assert (["4", "4"], 2) == (answers, server.connections)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_connection_that_is_closed_upon_the_next_request_is_tried_anew(
    asynchronous: bool,
) -> None:
    def once(connection: socket.socket) -> None:
        assert read_request(connection)
        respond(connection)
        assert read_request(connection)  # and no answer

    def well(connection: socket.socket) -> None:
        assert read_request(connection)
        respond(connection)

    with raw(once, well) as url:
        transport = Transport()
        if asynchronous:

            async def calls() -> list[str]:
                return [(await transport.arun(chat(url).flow(CALL))).text for _ in range(2)]

            answers = asyncio.run(calls())
        else:
            answers = [transport.run(chat(url).flow(CALL)).text for _ in range(2)]
            transport.close()

    assert ["4", "4"] == answers


@either
def test_a_refused_connection_is_a_transport_failure(run: Face) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    with pytest.raises(TransportFailed) as caught:
        run(chat(f"http://127.0.0.1:{port}").flow(CALL))

    assert TransportFailed is type(caught.value)
    assert str(caught.value).startswith("the connection to 127.0.0.1 failed: ")
    assert caught.value.provider == "acme"
    assert [] == places_in_error(caught.value, KEY)


def together(server: FaultServer, count: int) -> None:
    """Let the server answer nobody before *count* requests have come."""
    everybody = threading.Event()
    seen: list[object] = []

    def script(request: object) -> Reply:
        seen.append(request)
        if len(seen) >= count:
            everybody.set()
        return ok().but(gate=everybody)

    server.answer_with(script)


def test_sixty_four_threads_call_at_once(server: FaultServer) -> None:
    together(server, 64)
    transport, codec = Transport(), chat(server, timeouts=GENEROUS)

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: transport.run(codec.flow(CALL)).text, range(64)))
    transport.close()

    assert (["4"] * 64, 64) == (answers, server.connections)


def test_sixty_four_tasks_call_at_once(server: FaultServer) -> None:
    together(server, 64)
    codec = chat(server, timeouts=GENEROUS)

    async def calls() -> list[str]:
        transport = Transport()
        done = await asyncio.gather(*(transport.arun(codec.flow(CALL)) for _ in range(64)))
        return [each.text for each in done]

    assert ["4"] * 64 == asyncio.run(calls())
    assert 64 == server.connections


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_call_that_finds_no_free_place_waits_no_longer_than_connect(
    asynchronous: bool, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelplug.transport.pool.CONNECTIONS", 1)
    first = streaming([sse(delta(content="a"), done=False), threading.Event()])
    server.answer(first)
    codec, transport = chat(server, retry=ONCE), Transport()
    short = evolve(GENEROUS, connect=0.2)
    if asynchronous:

        async def calls() -> None:
            events = transport.astream(codec.stream(CALL))
            await anext(events)
            await transport.arun(codec.flow(CALL), short)

        timed_out(lambda: asyncio.run(calls()), "connect", 0.2)
        return
    events = transport.stream(codec.stream(CALL))
    next(events)

    timed_out(lambda: transport.run(codec.flow(CALL), short), "connect", 0.2)

    events.close()
    server.answer(ok())
    assert "4" == transport.run(codec.flow(CALL), short).text
    transport.close()


# What comes back.


@either
@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), (" GZIP ", gzip.compress),
     ("deflate", zlib.compress), ("identity", bytes), ("", bytes)],
)  # fmt: skip
def test_d33_a_reply_that_is_compressed_unasked_is_read(
    run: Face, encoding: str, pack: Callable[[bytes], bytes], server: FaultServer
) -> None:
    server.answer(ok(pack(chat_body())).but(headers={"content-encoding": encoding}, cut=7))

    assert "4" == run(chat(server).flow(CALL)).text
    assert "identity" == server.requests[0].headers["accept-encoding"]


@either_stream
@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_d33_a_stream_that_is_compressed_unasked_is_read(
    stream: Face, cut: int, server: FaultServer
) -> None:
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    server.answer(Reply(200, headers, gzip.compress(chat_stream("你", "好")), cut=cut))

    assert [Text("你"), Text("好")] == stream(chat(server))[:2]


@either
@pytest.mark.parametrize(
    ("encoding", "body", "told"),
    [
        ("br", b"x", "the reply is compressed as 'br', which was not asked for"),
        ("gzip", b"no gzip", "the reply is not gzip as its header says"),
    ],
)
def test_d33_what_cannot_be_unpacked_is_a_bad_reply(
    run: Face, encoding: str, body: bytes, told: str, server: FaultServer
) -> None:
    server.answer(ok(body).but(headers={"content-encoding": encoding}))

    with pytest.raises(BadReply) as caught:
        run(chat(server).flow(CALL))

    assert told == str(caught.value)
    assert 1 == len(server.requests)


@either
def test_a_body_beyond_the_limit_is_refused(
    run: Face, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LARGEST_BODY", 100)
    server.answer(ok(b"x" * 101), ok())

    with pytest.raises(BadReply, match="larger than"):
        run(chat(server).flow(CALL))


@either
def test_a_small_reply_that_unpacks_to_a_huge_one_is_refused(
    run: Face, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelplug.transport.messages.LARGEST_BODY", 100_000)
    bomb = gzip.compress(b" " * 10_000_000)
    server.answer(ok(bomb).but(headers={"content-encoding": "gzip"}))

    with pytest.raises(BadReply, match="larger than"):
        run(chat(server).flow(CALL))


@either
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("ending", ["fin", "rst"])
def test_d35_a_body_that_is_cut_short_is_tried_again(
    run: Face, framing: Any, ending: Any, server: FaultServer
) -> None:
    server.answer(ok().but(framing=framing, close_after=9, ending=ending), ok())

    assert "4" == run(chat(server).flow(CALL)).text
    assert 2 == len(server.requests)


@either_stream
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_d35_a_stream_that_is_cut_short_is_an_error_with_what_came(
    stream: Face, framing: Any, server: FaultServer
) -> None:
    body = chat_stream("a", "b")
    cut = len(sse(delta(content="a"), done=False))
    server.answer(streaming(body, framing=framing, close_after=cut))

    with pytest.raises(TransportFailed) as caught:
        stream(chat(server))

    assert "acme" == caught.value.provider
    assert 1 == len(server.requests)


@either_stream
def test_d35_a_stream_that_is_cut_before_any_text_is_tried_again(
    stream: Face, server: FaultServer
) -> None:
    server.answer(streaming(chat_stream("a"), close_after=3), streaming(chat_stream("b")))

    assert Text("b") == stream(chat(server))[0]


@either
def test_d35_a_body_that_ends_with_the_connection_is_read(run: Face, server: FaultServer) -> None:
    server.answer(ok().but(framing="close"))

    assert "4" == run(chat(server).flow(CALL)).text


@either
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_with_the_key(
    run: Face, status: int, server: FaultServer
) -> None:
    with FaultServer(ok()) as other:
        server.answer(Reply(status, {"location": other.url + "/chat/completions"}))

        with pytest.raises(Refused) as caught:
            run(chat(server).flow(CALL))

        assert status == caught.value.status
        assert (1, 0) == (len(server.requests), other.connections)


@either
def test_the_request_is_sent_as_it_was_built(run: Face, server: FaultServer) -> None:
    server.answer(ok())

    run(chat(server.url + "/?a=1").flow(CALL))

    (request,) = server.requests
    assert ("POST", "a=1/chat/completions") == (request.method, request.query)
    assert {
        "host": server.origin.removeprefix("http://"),
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(request.body)),
        "authorization": f"Bearer {KEY}",
    }.items() <= request.headers.items()
    assert request.headers["user-agent"].startswith("modelplug/")
    assert "cookie" not in request.headers


def ask(request: Request) -> Flow[Response]:
    response: Response = yield request
    return response


@either
def test_secret_headers_and_other_methods_are_sent(run: Face, server: FaultServer) -> None:
    server.answer(Reply(200, {"X-Thing": "1"}, b"done"))
    request = Request("GET", server.url + "/x", secret_headers={"x-api-key": Secret(KEY)})

    response = run(ask(request))

    assert (200, b"done", "1") == (response.status, response.body, response.headers["x-thing"])
    assert KEY == server.requests[0].headers["x-api-key"]
    assert "content-length" not in server.requests[0].headers
    assert "authorization" not in server.requests[0].headers


@either
def test_files_and_fields_go_as_multipart(run: Face, server: FaultServer) -> None:
    server.answer(Reply(200, {}, b""))
    files = [("file", Media(b"ID3x", "audio/mpeg", "a.mp3")), ("image", Media(b"y", "image/png"))]

    run(ask(Request("POST", server.url, form={"model": "m"}, files=files)))

    (request,) = server.requests
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="model"\r\n\r\nm\r\n' in request.body
    assert b'name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\nID3x' in request.body
    assert b'name="image"; filename="file.png"' in request.body


@either
def test_a_body_of_megabytes_is_sent_whole(run: Face, server: FaultServer) -> None:
    server.answer(Reply(200, {}, b"x" * 3_000_000))

    response = run(ask(Request("POST", server.url, body=b"y" * 5_000_000)))

    assert 3_000_000 == len(response.body)
    assert b"y" * 5_000_000 == server.requests[0].body


@either
def test_a_server_that_refuses_before_it_has_read_all_is_heard(run: Face) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(1000)
        body = b'{"error":{"message":"too much"}}'
        head = b"HTTP/1.1 413 X\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        while connection.recv(1 << 20):  # else the kernel answers with a reset
            pass

    with raw(refuse) as url:
        codec = chat(url)
        call = evolve(CALL, options={"user": "x" * 200_000})

        with pytest.raises(InvalidRequest, match="acme answered 413: too much"):
            run(codec.flow(call))


@either
def test_a_server_that_does_not_read_is_given_up(run: Face) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        request = Request(
            "POST", f"http://127.0.0.1:{listener.getsockname()[1]}", body=b"x" * 30_000_000
        )

        timed_out(lambda: run(ask(request), evolve(GENEROUS, first_byte=0.3)), "first_byte", 0.3)


def test_a_reader_that_is_slow_gets_all_of_a_fast_stream(server: FaultServer) -> None:
    server.answer(streaming(chat_stream(*["x" * 1000] * 2000)))

    async def read() -> int:
        count = 0
        async for event in Transport().astream(chat(server).stream(CALL)):
            if isinstance(event, Text):
                count += len(event.text)
                await asyncio.sleep(0)
        return count

    assert 2_000_000 == asyncio.run(read())


# Addresses and secrets.


@either
@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/v1", "h/v1", "http://", "http:///v1", "http://h:99999/v1", "http://h:x/v1",
        "", "http://[::1/v1", "http://a..b/v1", f"http://{'a' * 64}.test/v1", "http://h/v 1",
        "http://h/é",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_the_callers_mistake(run: Face, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(ask(Request("GET", url)))

    assert str(caught.value).startswith(f"the address {url!r} ")
    assert str(caught.value).endswith("; check url=")


@either
def test_ipv6_is_spoken_with_brackets_in_the_host_header(run: Face) -> None:
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heads.append(read_request(connection))
        respond(connection)

    with raw(serve, host="::1") as url:
        assert "4" == run(chat(url).flow(CALL)).text

    host = url.removeprefix("http://").removesuffix("/v1").encode()
    assert b"\r\nhost: " + host + b"\r\n" in heads[0].lower()


@either
@pytest.mark.parametrize("end", ["\nx: y", "\r", "\0", "ü"], ids=ascii)
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(
    run: Face, end: str, server: FaultServer
) -> None:
    server.answer(ok())

    with pytest.raises(ConfigError) as caught:
        run(chat(server, api_key=Secret(f"{KEY}{end}")).flow(CALL))

    assert "the key holds a character that no header can; check api_key=" == str(caught.value)
    assert [] == places_in_error(caught.value, KEY)
    assert [] == server.requests


@either
@pytest.mark.parametrize(
    "reply", [failing(401), failing(500), ok(b"<html>"), ok().but(close_after=9)]
)
def test_no_error_shows_the_key_not_even_its_traceback(
    run: Face, reply: Reply, server: FaultServer
) -> None:
    server.answer(reply)

    with pytest.raises(CallError) as caught:
        run(chat(server).flow(CALL))

    assert [] == places_in_error(caught.value, KEY)


# Proxies.


@either
def test_a_proxy_of_the_environment_is_used_for_another_host(
    run: Face, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer(ok())
    monkeypatch.setenv("HTTP_PROXY", server.origin.replace("//", "//us%40er:pa%3Ass@"))

    assert "4" == run(chat("http://model.test:8080/v1").flow(CALL)).text

    (request,) = server.requests
    assert "http://model.test:8080/v1/chat/completions" == request.path
    assert "model.test:8080" == request.headers["host"]
    assert "Basic dXNAZXI6cGE6c3M=" == request.headers["proxy-authorization"]


@either
def test_a_proxy_serves_one_call_after_another(
    run: Face, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer(failing(503), ok())
    monkeypatch.setenv("http_proxy", server.origin.removeprefix("http://"))

    assert "4" == run(chat("http://model.test/v1").flow(CALL)).text
    assert 2 == len(server.requests)


@either_stream
def test_a_stream_comes_through_a_proxy(
    stream: Face, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer(streaming(chat_stream("a")))
    monkeypatch.setenv("ALL_PROXY", server.origin)

    assert Text("a") == stream(chat("http://model.test/v1"))[0]


@either
def test_a_tunnel_that_a_proxy_refuses_is_a_transport_failure(
    run: Face, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer(Reply(407, {"content-length": "0"}, framing=None))
    monkeypatch.setenv("HTTPS_PROXY", server.origin)

    with pytest.raises(TransportFailed):
        run(chat("https://model.test/v1", retry=ONCE).flow(CALL))

    assert ("CONNECT", "model.test:443") == (server.requests[0].method, server.requests[0].path)
    assert "authorization" not in server.requests[0].headers


@either
def test_loopback_is_reached_without_the_proxy(
    run: Face, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer(ok())
    with FaultServer() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin)

        assert "4" == run(chat(server).flow(CALL)).text
        assert "4" == run(chat(server.url.replace("127.0.0.1", "localhost")).flow(CALL)).text

        assert 0 == proxy.connections


@pytest.mark.parametrize(
    ("no_proxy", "url", "proxied"),
    [
        ("", "http://model.test/v1", True),
        ("model.test", "http://model.test/v1", False),
        (".test", "http://model.test/v1", False),
        ("other.test", "http://model.test/v1", True),
        ("model.test:8080", "http://model.test:8080/v1", False),
        ("model.test:8080", "http://model.test/v1", True),
        ("*", "http://model.test/v1", False),
        ("", "http://127.0.0.1/v1", False),
        ("", "http://127.1.2.3/v1", False),
        ("", "http://localhost:8000/v1", False),
        ("", "http://api.localhost/v1", False),
        ("", "http://LOCALHOST/v1", False),
        ("", "http://[::1]:8000/v1", False),
        ("", "http://localhost.test/v1", True),
        ("", "http://127.0.0.1.test/v1", True),
        ("", "http://192.168.0.1/v1", True),
    ],
)
def test_no_proxy_and_loopback_decide_who_is_reached_directly(
    no_proxy: str, url: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert ("http://proxy.test:3128" if proxied else None) == proxy_for(url)


def test_each_scheme_has_its_proxy_and_all_proxy_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for("https://model.test") is None
    monkeypatch.setenv("ALL_PROXY", "all.test:1")
    assert "http://all.test:1" == proxy_for("https://model.test")
    monkeypatch.setenv("HTTPS_PROXY", "http://secure.test:2")
    assert "http://secure.test:2" == proxy_for("https://model.test")
    assert "http://all.test:1" == proxy_for("http://model.test")


def test_what_is_no_address_is_no_loopback() -> None:
    assert not is_loopback("")
    assert not is_loopback("localhost.evil.test")


@either
@pytest.mark.parametrize("address", ["http://u:pw@[p.test", "http://u:pw@", "socks5://u:pw@p.test"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(
    run: Face, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", address)

    with pytest.raises(ConfigError) as caught:
        run(chat("http://model.test/v1").flow(CALL))

    assert (
        "the proxy's address in the environment is not http:// or https:// with a host; "
        "check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"
    ) == str(caught.value)
    assert caught.value.__cause__ is None


# Streams that end early.


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_stream_that_is_left_half_way_closes_its_connection(asynchronous: bool) -> None:
    ended = threading.Event()

    def half(connection: socket.socket) -> None:
        read_request(connection)
        body = sse(delta(content="a"), done=False)
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999999\r\n\r\n"
        )
        connection.sendall(head + body)
        assert b"" == connection.recv(1)
        ended.set()

    def well(connection: socket.socket) -> None:
        assert read_request(connection)
        respond(connection)

    with raw(half, well) as url:
        transport, codec = Transport(), chat(url)
        if asynchronous:

            async def calls() -> str:
                events = transport.astream(codec.stream(CALL))
                assert Text("a") == await anext(events)
                await events.aclose()
                return str((await transport.arun(codec.flow(CALL))).text)

            assert "4" == asyncio.run(calls())
        else:
            events = transport.stream(codec.stream(CALL))
            assert Text("a") == next(events)
            events.close()
            assert "4" == transport.run(codec.flow(CALL)).text
            transport.close()

    assert ended.is_set()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_stream_ends_with_its_last_event_though_the_body_goes_on(
    asynchronous: bool, server: FaultServer
) -> None:
    server.answer(streaming([chat_stream("a"), threading.Event()]))

    begin = time.monotonic()
    events = (stream_async if asynchronous else stream_sync)(chat(server), GENEROUS)

    assert Finish("stop", "", "c1") == events[-1]
    assert time.monotonic() - begin < SLACK


def test_a_call_that_is_cancelled_closes_its_connection_and_the_next_one_works() -> None:
    begun, ended = threading.Event(), threading.Event()

    def hang(connection: socket.socket) -> None:
        read_request(connection)
        begun.set()
        assert b"" == connection.recv(1)
        ended.set()

    def well(connection: socket.socket) -> None:
        assert read_request(connection)
        respond(connection)

    async def calls(url: str) -> str:
        transport = Transport()
        task = asyncio.create_task(transport.arun(chat(url).flow(CALL)))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return str((await transport.arun(chat(url).flow(CALL))).text)

    with raw(hang, well) as url:
        assert "4" == asyncio.run(calls(url))

    assert ended.is_set()


def test_a_flow_is_closed_when_its_stream_is_left(server: FaultServer) -> None:
    server.answer(streaming([sse(delta(content="a"), done=False), threading.Event()]))
    flow = chat(server).stream(CALL)
    transport = Transport()
    events = transport.stream(flow)
    next(events)

    events.close()
    transport.close()

    assert flow.gi_frame is None  # type: ignore[attr-defined]  # a generator's own


# Many at once.


def echo(server: FaultServer) -> None:
    """Let the server answer each request with the request's own path."""
    server.answer_with(lambda request: Reply(200, {}, request.path.encode()))


def gets(server: FaultServer, count: int) -> list[Flow[Response]]:
    return [ask(Request("GET", f"{server.origin}/{at}")) for at in range(count)]


def all_of(step: Together) -> Flow[list[Response]]:
    results: list[Response] = yield step
    return results


@either
def test_many_come_back_in_order(run: Face, server: FaultServer) -> None:
    echo(server)
    told: list[tuple[int, int]] = []

    responses = run(
        all_of(Together(gets(server, 20), 4, lambda done, total: told.append((done, total))))
    )

    assert [f"/{at}".encode() for at in range(20)] == [each.body for each in responses]
    assert [(at + 1, 20) for at in range(20)] == told
    assert server.connections <= 4


@either
def test_none_is_an_empty_list(run: Face) -> None:
    assert [] == run(all_of(Together([])))


@either
def test_no_more_than_the_bound_run_at_once(run: Face, server: FaultServer) -> None:
    gates = [threading.Event() for _ in range(9)]
    waiting = threading.Semaphore(0)

    def script(request: Any) -> Reply:
        waiting.release()
        return Reply(200, {}, b"x", gate=gates[int(request.path[1:])])

    server.answer_with(script)
    seen: list[int] = []

    def let_go() -> None:
        for at in range(0, 9, 3):
            for _ in range(3):
                waiting.acquire()
            seen.append(len(server.requests))
            for gate in gates[at : at + 3]:
                gate.set()

    helper = threading.Thread(target=let_go)
    helper.start()
    run(all_of(Together(gets(server, 9), 3)))
    helper.join()

    assert 3 == seen[0]
    assert 3 == server.connections


@either
def test_the_first_error_ends_those_that_run_and_those_that_wait(
    run: Face, server: FaultServer
) -> None:
    never, arrived = threading.Event(), threading.Event()

    def script(request: Any) -> Reply:
        if request.path == "/0":
            return Reply(200, {}, b"", gate=arrived, close_after=0, framing="length")
        arrived.set()
        return Reply(200, {}, b"x", gate=never)

    server.answer_with(script)

    def failing_after() -> Flow[Response]:
        yield Request("GET", f"{server.origin}/0")
        raise Overloaded("no")

    begin = time.monotonic()
    with pytest.raises(Overloaded):
        run(all_of(Together([failing_after(), *gets(server, 20)[1:]], 2)), GENEROUS)

    assert time.monotonic() - begin < 5
    assert len(server.requests) <= 3


@either
def test_many_may_hold_many(run: Face, server: FaultServer) -> None:
    echo(server)

    inner = run(all_of(Together([all_of(Together(gets(server, 3), 2)) for _ in range(3)], 2)))

    assert [[b"/0", b"/1", b"/2"]] * 3 == [[each.body for each in some] for some in inner]


def test_cancelling_many_ends_each_and_the_next_call_works(server: FaultServer) -> None:
    server.answer(Reply(200, {}, b"x", gate=threading.Event()))

    async def calls() -> bytes:
        transport = Transport()
        task = asyncio.create_task(transport.arun(all_of(Together(gets(server, 20), 4))))
        while len(server.requests) < 4:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 1 == len(asyncio.all_tasks())
        echo(server)
        return bytes((await transport.arun(ask(Request("GET", f"{server.origin}/x")))).body)

    assert b"/x" == asyncio.run(calls())
    assert 5 == len(server.requests)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_flow_that_streams_may_also_ask_for_many_and_for_what_blocks(
    asynchronous: bool, server: FaultServer
) -> None:
    echo(server)
    threads: list[threading.Thread] = []

    def flow() -> Any:
        yield Blocking(lambda: threads.append(threading.current_thread()))
        responses = yield Together(gets(server, 2))
        yield [Text(response.body.decode()) for response in responses]

    async def collect() -> list[Any]:
        return [event async for event in Transport().astream(flow())]

    transport = Transport()
    events = asyncio.run(collect()) if asynchronous else list(transport.stream(flow()))
    transport.close()

    assert [Text("/0"), Text("/1")] == events
    assert asynchronous is (threads[0] is not threading.main_thread())


@either
def test_what_blocks_is_run_and_its_error_raised(run: Face) -> None:
    def flow() -> Flow[Any]:
        answer = yield Blocking(lambda: 5)
        assert answer in (5, None)
        yield Blocking(lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        run(flow())


def test_a_wait_is_told_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with waiting("for rain"):
        pass
    assert "" == capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    with waiting("for rain"), waiting(""):
        pass

    assert "\r\033[Kfor rain\r\033[K" == capsys.readouterr().err


def test_a_call_that_was_given_up_waits_for_nothing_more() -> None:
    group = Group()
    patience = Patience(GENEROUS, group)
    assert patience.wait() is not None

    group.give_up()

    for step in (patience.wait, patience.sent):
        with pytest.raises(TransportFailed) as caught:
            step()
        assert "the call was given up because another one of its group failed" == str(caught.value)
        assert not caught.value.retryable
    begin = time.monotonic()
    patience.sleep(10)
    assert time.monotonic() - begin < SLACK


# Processes and interpreters.

MODEL = """
import asyncio, os, sys, modelplug
from modelplug.openai_wire import OpenAIChat
from modelplug.types import ChatCall, Endpoint
from modelplug.transport import shared
codec = OpenAIChat(Endpoint("acme", "m", sys.argv[1]))
call = ChatCall("m", [{"role": "user", "content": "q"}])
def ask():
    return shared().run(codec.flow(call)).text
"""
WARN = ["-W", "error"]


def test_two_loops_in_a_row_leave_nothing_open(server: FaultServer) -> None:
    server.answer(ok(), streaming(chat_stream("5")), ok())

    told = python(
        MODEL
        + dedent("""
        async def main():
            print((await shared().arun(codec.flow(call))).text)
        async def stream():
            async for event in shared().astream(codec.stream(call)):
                print(event.kind, end=" ")
        asyncio.run(main())
        asyncio.run(stream())
        asyncio.run(main())
        """),
        server.url,
        flags=WARN,
    )

    assert "" == told.stderr
    assert "4\ntext usage finish 4\n" == told.stdout
    assert 3 == server.connections


def test_a_loop_that_ends_with_streams_half_way_leaves_nothing_open(server: FaultServer) -> None:
    half = streaming([sse(delta(content="a"), done=False), threading.Event()])
    server.answer(half, half, ok())

    told = python(
        MODEL
        + dedent("""
        async def main():
            async for event in shared().astream(codec.stream(call)):
                print(event.text, end=" ")
                break
            kept = shared().astream(codec.stream(call))
            print((await anext(kept)).text, end=" ")
        asyncio.run(main())
        async def again():
            print((await shared().arun(codec.flow(call))).text)
        asyncio.run(again())
        """),
        server.url,
        flags=WARN,
    )

    assert ("a a 4\n", "") == (told.stdout, told.stderr)


def test_closing_leaves_calls_that_run_alone(server: FaultServer) -> None:
    gate = threading.Event()
    server.answer(ok(), ok().but(gate=gate), ok())

    async def calls() -> list[str]:
        transport, codec = Transport(), chat(server)
        await transport.arun(codec.flow(CALL))
        running = asyncio.create_task(transport.arun(codec.flow(CALL)))
        while len(server.requests) < 2:
            await asyncio.sleep(0.01)
        await transport.aclose()
        gate.set()
        return [(await running).text, (await transport.arun(codec.flow(CALL))).text]

    assert ["4", "4"] == asyncio.run(calls())


def test_parent_and_child_of_a_fork_both_call(server: FaultServer) -> None:
    server.answer(ok())

    told = python(
        MODEL
        + dedent("""
        print(ask(), flush=True)
        child = os.fork()
        if child == 0:
            print("child", ask(), flush=True)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print("parent", ask(), flush=True)
        """),
        server.url,
        flags=WARN,
    )

    assert "" == told.stderr
    assert "4\nchild 4\nparent 4\n" == told.stdout
    assert [1, 2, 1] == [request.connection for request in server.requests]


def test_a_fork_while_a_stream_runs_leaves_the_parents_stream_whole(server: FaultServer) -> None:
    body = [sse(delta(content="a"), done=False), chat_stream("b")]
    server.answer(streaming(body), ok(), ok())

    told = python(
        MODEL
        + dedent("""
        events = shared().stream(codec.stream(call))
        print(next(events).text, flush=True)
        child = os.fork()
        if child == 0:
            print("child", ask(), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print([event.kind for event in events], ask(), flush=True)
        """),
        server.url,
    )

    assert "" == told.stderr
    assert "a\nchild 4\n['text', 'usage', 'finish'] 4\n" == told.stdout


def test_an_interpreter_with_open_connections_exits_in_silence(server: FaultServer) -> None:
    server.answer(ok())

    told = python(MODEL + "print(ask())\n", server.url, flags=WARN)

    assert (0, "4\n", "") == (told.returncode, told.stdout, told.stderr)


def test_an_interpreter_with_a_stream_half_way_exits_in_silence(server: FaultServer) -> None:
    server.answer(streaming([sse(delta(content="a"), done=False), threading.Event()]))

    told = python(
        MODEL + "events = shared().stream(codec.stream(call))\nprint(next(events).text)\n",
        server.url,
    )

    assert (0, "a\n", "") == (told.returncode, told.stdout, told.stderr)


def interrupted(code: str, server: FaultServer) -> tuple[int, str, str]:
    """Run *code*, send it Ctrl-C once it has said "ready"; (status, stdout after that, stderr)."""
    child = subprocess.Popen(
        [sys.executable, "-c", MODEL + dedent(code), server.url],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert "ready\n" == child.stdout.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    return child.returncode, out, err


def test_ctrl_c_ends_a_stream_and_the_next_call_works(server: FaultServer) -> None:
    server.answer(streaming([sse(delta(content="a"), done=False), threading.Event()]), ok())

    status, out, err = interrupted(
        """
        try:
            for event in shared().stream(codec.stream(call)):
                print("ready", flush=True)
        except KeyboardInterrupt:
            print("interrupted", ask())
        """,
        server,
    )

    assert (0, "interrupted 4\n", "") == (status, out, err)
    assert 2 == server.connections


def test_ctrl_c_ends_many_at_once(server: FaultServer) -> None:
    server.answer(ok(), ok().but(gate=threading.Event()))

    status, out, err = interrupted(
        """
        from modelplug.wire import Together
        def many():
            return (yield Together([codec.flow(call) for _ in range(9)], 3, told))
        def told(done, total):
            print("ready", flush=True)
        try:
            shared().run(many())
        except KeyboardInterrupt:
            print("interrupted")
        """,
        server,
    )

    assert (0, "interrupted\n", "") == (status, out, err)


def test_a_loop_that_is_closed_is_forgotten(server: FaultServer) -> None:
    server.answer(ok())
    transport = Transport()

    for _ in range(3):
        asyncio.run(transport.arun(chat(server).flow(CALL)))

    assert 1 == len(transport._loops)


def test_a_forked_transport_begins_with_no_connection(server: FaultServer) -> None:
    server.answer(ok())
    transport = Transport()
    transport.run(chat(server).flow(CALL))

    transport.forked()
    transport.run(chat(server).flow(CALL))
    transport.close()

    assert 2 == server.connections


def test_a_server_that_answers_in_turn_is_what_these_tests_rest_on(server: FaultServer) -> None:
    server.answer_with(in_turn(failing(400), ok()))

    with pytest.raises(InvalidRequest):
        run_sync(chat(server).flow(CALL))
    assert "4" == run_sync(chat(server).flow(CALL)).text
