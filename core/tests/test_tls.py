"""Encrypted connections: straight, through a proxy, and through an encrypted proxy."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from core_helpers import CALL, chat_stream
from test_transport import (
    ONCE,
    Face,
    chat,
    either,
    either_stream,
    raw,
    read_request,
    respond,
)

from modelplug.errors import TransportFailed
from modelplug.transport import Transport
from modelplug.transport.routes import tls
from modelplug.types import Text

Script = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def server_side() -> Iterator[ssl.SSLContext]:
    """A certificate for localhost and model.test, by an authority that the client trusts."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert("localhost", "model.test", "127.0.0.1").configure_cert(context)
    with authority.cert_pem.tempfile() as trusted, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(Path(trusted)))
        tls.cache_clear()
        tls()  # the environment of a test is cleared
    yield context
    tls.cache_clear()


def encrypted(script: Script, context: ssl.SSLContext) -> Script:
    """*script*, on the inside of TLS."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inside:
            script(inside)

    return serve


def once(connection: socket.socket) -> None:
    """One answer. With HTTP/2, which is not spoken here, there would be none."""
    assert isinstance(connection, ssl.SSLSocket)
    assert "http/1.1" == connection.selected_alpn_protocol()
    assert read_request(connection).startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    respond(connection)


def tunnelling(port: int, heard: list[bytes]) -> Script:
    """A proxy that passes on all bytes, to the server at *port* whatever it is asked for."""

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def serve(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)  # what follows is not for the proxy
        heard.append(head)
        with socket.create_connection(("127.0.0.1", port)) as server:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            there = threading.Thread(target=pass_on, args=(connection, server))
            there.start()
            pass_on(server, connection)
            there.join(20)

    return serve


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].removesuffix("/v1"))


@either
def test_a_call_goes_over_tls(run: Face, server_side: ssl.SSLContext) -> None:
    with raw(encrypted(once, server_side)) as url:
        address = f"https://localhost:{port_of(url)}/v1"
        assert "4" == run(chat(address, retry=ONCE).flow(CALL)).text


@either_stream
def test_a_stream_comes_over_tls(stream: Face, server_side: ssl.SSLContext) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        head = b"content-type: text/event-stream\r\n"
        respond(connection, chat_stream("a", "b"), head)

    with raw(encrypted(script, server_side)) as url:
        events = stream(chat(f"https://localhost:{port_of(url)}/v1", retry=ONCE))

    assert [Text("a"), Text("b")] == events[:2]


@either
def test_a_certificate_for_another_host_is_refused(run: Face, server_side: ssl.SSLContext) -> None:
    def refused(connection: socket.socket) -> None:
        with pytest.raises(OSError, match=r"(?i)alert|closed|EOF|reset"):
            encrypted(once, server_side)(connection)

    with raw(refused, host="::1") as url, pytest.raises(TransportFailed, match="certificate"):
        run(chat(f"https://[::1]:{port_of(url)}/v1", retry=ONCE).flow(CALL))


@either
@pytest.mark.parametrize("proxy_is_encrypted", [False, True], ids=["http", "https"])
def test_an_encrypted_call_goes_through_the_tunnel_of_a_proxy(
    run: Face,
    proxy_is_encrypted: bool,
    server_side: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[bytes] = []
    with raw(encrypted(once, server_side)) as server:
        serve = tunnelling(port_of(server), heard)
        with raw(encrypted(serve, server_side) if proxy_is_encrypted else serve) as proxy:
            scheme = "https" if proxy_is_encrypted else "http"
            monkeypatch.setenv(
                "HTTPS_PROXY", f"{scheme}://us%40er:pa%3Ass@localhost:{port_of(proxy)}"
            )
            answer = run(chat("https://model.test/v1", retry=ONCE).flow(CALL))

    assert "4" == answer.text
    line, *headers = heard[0].decode().removesuffix("\r\n\r\n").split("\r\n")
    assert "CONNECT model.test:443 HTTP/1.1" == line
    assert {"host": "model.test:443", "proxy-authorization": "Basic dXNAZXI6cGE6c3M="} == {
        name.lower(): value for name, _, value in (header.partition(": ") for header in headers)
    }


def test_a_tunnel_is_kept_for_the_next_call(
    server_side: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(connection: socket.socket) -> None:
        once(connection)
        once(connection)

    heard: list[bytes] = []
    transport = Transport()
    with (
        raw(encrypted(twice, server_side)) as server,
        raw(tunnelling(port_of(server), heard)) as proxy,
    ):
        monkeypatch.setenv("ALL_PROXY", f"localhost:{port_of(proxy)}")
        for _ in range(2):
            transport.run(chat("https://model.test/v1", retry=ONCE).flow(CALL))
        transport.close()

    assert 1 == len(heard)
