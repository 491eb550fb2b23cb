"""The loopback server says the bytes that it was told to, cut and broken off as told."""

from __future__ import annotations

import ast
import http.client
import socket
import sys
import threading
from pathlib import Path

import pytest

from modelplug.testing import FaultServer, Reply, fault_server


def ask(server: FaultServer, body: bytes = b"", path: str = "/v1/x?a=1") -> tuple[int, bytes]:
    """One request on a connection of its own: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("POST", path, body, {"X-Name": "value", "Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def raw(server: FaultServer) -> bytes:
    """Every byte that the server sends in answer to one request."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def test_it_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(fault_server.__file__).read_text(encoding="utf-8"))
    modules = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }

    assert set() == modules - sys.stdlib_module_names


def test_a_request_is_kept_as_it_was_seen() -> None:
    with FaultServer(Reply()) as server:
        ask(server, b'{"a": 1}')

    (request,) = server.requests
    assert ("POST", "/v1/x", "a=1") == (request.method, request.path, request.query)
    assert "value" == request.headers["x-name"]
    assert {"a": 1} == request.json
    assert 1 == request.connection


def test_replies_come_in_turn_and_the_last_one_again() -> None:
    with FaultServer(Reply(429), Reply(200, {}, b"yes")) as server:
        answers = [ask(server) for _ in range(3)]

    assert [(429, b""), (200, b"yes"), (200, b"yes")] == answers


def test_a_script_sees_the_request() -> None:
    with FaultServer() as server:
        server.answer_with(lambda request: Reply(200, {}, request.body.upper()))

        assert (200, b"HELLO") == ask(server, b"hello")


def test_a_request_that_nothing_is_scripted_for_is_refused() -> None:
    with FaultServer() as server:
        status, body = ask(server)

    assert 599 == status
    assert b"nothing is scripted for POST /v1/x" == body


def test_a_whole_body_goes_out_with_its_length() -> None:
    with FaultServer(Reply(200, {"A": "b"}, b"hello")) as server:
        assert b"HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 5\r\n\r\nhello" == raw(server)


def test_each_piece_is_an_http_chunk() -> None:
    with FaultServer(Reply(200, {}, [b"ab", b"cd", b"e"])) as server:
        _, _, body = raw(server).partition(b"\r\n\r\n")

    assert b"2\r\nab\r\n2\r\ncd\r\n1\r\ne\r\n0\r\n\r\n" == body


def test_cut_pieces_are_chunks_that_are_not_joined() -> None:
    with FaultServer(Reply(200, {}, b"abc", cut=2)) as server:
        _, _, body = raw(server).partition(b"\r\n\r\n")

    assert b"2;cut\r\nab\r\n1;cut\r\nc\r\n0\r\n\r\n" == body


def test_a_close_delimited_body_is_http_1_0() -> None:
    with FaultServer(Reply(200, {}, b"abc", framing="close")) as server:
        assert b"HTTP/1.0 200 OK\r\n\r\nabc" == raw(server)


def test_a_connection_is_kept_alive() -> None:
    with FaultServer(Reply(200, {}, b"one"), Reply(200, {}, b"two", cut=1)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        bodies = []
        for _ in range(2):
            connection.request("GET", "/")
            bodies.append(connection.getresponse().read())
        connection.close()

    assert [b"one", b"two"] == bodies
    assert 1 == server.connections


def test_a_chunked_request_is_read() -> None:
    with FaultServer(Reply()) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/", iter([b"ab", b"c"]), encode_chunked=True)
        connection.getresponse().read()
        connection.close()

    assert [b"abc"] == [request.body for request in server.requests]


@pytest.mark.parametrize("ending", ["fin", "rst"])
def test_a_connection_ends_after_the_bytes_that_were_asked_for(ending: str) -> None:
    came = threading.Event()
    reply = Reply(200, {}, [b"abc", came, b"def"], close_after=4, ending=ending)  # type: ignore[arg-type]
    with (
        FaultServer(reply) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while not received.endswith(b"abc\r\n"):
            received += connection.recv(65536)
        came.set()
        # A killed process resets the connection, which may also discard its last byte.
        try:
            while piece := connection.recv(65536):
                received += piece
            ended = "fin"
        except ConnectionResetError:
            ended = "rst"

    assert ending == ended
    assert b"def" not in received


def test_closing_lets_go_of_a_reply_that_waits() -> None:
    never = threading.Event()
    server = FaultServer(Reply(200, {}, [b"abc", never]))
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    received = b""
    while not received.endswith(b"abc\r\n"):
        received += connection.recv(65536)

    server.close()
    server.close()
    connection.close()

    assert ["OSError: the server was closed while a reply waited for its event"] == server.failures


def test_a_reply_waits_for_its_gate() -> None:
    gate = threading.Event()
    with (
        FaultServer(Reply(200, {}, b"late", gate=gate)) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=0.05) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        gate.set()
        connection.settimeout(30)

        assert b"HTTP/1.1 200" == connection.recv(12)


def test_the_parts_of_a_form_are_read() -> None:
    form = (
        b'--cut\r\ncontent-disposition: form-data; name="prompt"\r\n\r\na kite\r\n'
        b'--cut\r\ncontent-disposition: form-data; name="image"; filename="kite.png"\r\n'
        b"content-type: image/png\r\n\r\n\x89PNG\r\n--cut--\r\n"
    )
    with FaultServer(Reply()) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/", form, {"content-type": "multipart/form-data; boundary=cut"})
        connection.getresponse().read()
        connection.close()

    assert {"prompt": "a kite", "image": "kite.png"} == server.requests[0].parts


def test_it_shows_neither_headers_nor_bodies_in_its_repr() -> None:
    with FaultServer(Reply(200, {}, b"secret-body")) as server:
        ask(server, b"secret-request")
        shown = f"{server!r} {server.requests!r} {Reply(200, {}, b'secret-body')!r}"

    assert "secret" not in shown
    assert "value" not in shown
