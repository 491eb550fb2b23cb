"""
A loopback HTTP/1.1 server that says exactly the bytes it was told to, and may break off.

It knows nothing of modelplug: it imports only the standard library and shares no constant
with a codec, so that a codec which misreads a provider's documented bytes cannot be
confirmed by its own mistake. Timing is by events and never by sleeping.
"""

from __future__ import annotations

import email
import email.policy
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, Literal, Self

__all__ = ["FaultServer", "Reply", "Request", "in_turn"]

LARGEST_HEAD = 64 * 1024
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was seen. Header names are lower case; `connection` counts from 1."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    connection: int

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def parts(self) -> dict[str, str]:
        """A multipart body: each field's text, or the file name of each file."""
        head = f"content-type: {self.headers.get('content-type', '')}\r\n\r\n".encode()
        message = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        found: dict[str, str] = {}
        for part in message.iter_parts():
            name = str(part.get_param("name", header="content-disposition"))
            # Forms name no charset, and get_content() would read such text as ASCII.
            text = bytes(part.get_payload(decode=True)).decode("utf-8", "replace")
            found[name] = part.get_filename() or text.strip()
        return found


@dataclass(frozen=True, slots=True)
class Reply:
    """
    One scripted reply.

    `body` is the whole, or pieces sent one by one, where an event among the pieces is waited
    for. `cut` divides what is sent into pieces of so many bytes, each of which is read on its
    own. `framing` is `length`, `chunked` (each piece one HTTP chunk) or `close` (HTTP/1.0, the
    end of the connection is the end of the body); left out, it is `chunked` for pieces and
    `length` for a whole. After `close_after` bytes of body the connection is
    ended by `ending`: `fin` as a process that exits, `rst` as one that is killed. Before
    anything is sent, `gate` is waited for.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Sequence[bytes | threading.Event] = field(default=b"", repr=False)
    cut: int = 0
    framing: Literal["length", "chunked", "close"] | None = None
    close_after: int | None = None
    ending: Literal["fin", "rst"] = "fin"
    gate: threading.Event | None = None

    def but(self, **changes: Any) -> Reply:
        """A copy with *changes*."""
        return replace(self, **changes)

    @property
    def whole(self) -> bytes:
        """The body's bytes, whatever its pieces."""
        if isinstance(self.body, bytes):
            return self.body
        return b"".join(piece for piece in self.body if isinstance(piece, bytes))


Script = Callable[[Request], Reply]
"""Gives the reply to each request; called in the order of arrival, under a lock."""


def in_turn(*replies: Reply) -> Script:
    """Each reply once, and the last one for every further request."""
    left = list(replies)

    def script(_: Request) -> Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    return script


class FaultServer:
    """
    Serves a script on 127.0.0.1, on a free port, until closed; a context manager.

    `requests` are those read so far and `connections` how many were accepted, so that a test
    can say what was sent and that nothing was. Connections are kept alive.
    """

    def __init__(self, *replies: Reply) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.failures: list[str] = []
        self._script: Script = in_turn(*replies) if replies else _nothing_scripted
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __repr__(self) -> str:
        return f"<FaultServer 127.0.0.1:{self._port}, {len(self.requests)} requests>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:<port>`, without a path."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The base URL in OpenAI's manner, ending in `/v1`."""
        return f"{self.origin}/v1"

    def answer(self, *replies: Reply) -> None:
        """From now on each reply once, and the last one for every further request."""
        self.answer_with(in_turn(*replies))

    def answer_with(self, script: Script) -> None:
        """From now on what *script* gives."""
        with self._lock:
            self._script = script

    def close(self) -> None:
        """Stop listening and end every connection. Idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        # On Linux closing a listener does not wake the thread in accept(); shutdown does.
        _shut(self._listener)
        self._listener.close()
        self._acceptor.join()
        with self._lock:
            for connection in self._open:
                _shut(connection)
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # the listener was closed
            with self._lock:
                if self._closing.is_set():
                    connection.close()
                    return
                self.connections += 1
                thread = threading.Thread(
                    target=self._serve, args=(connection, self.connections), daemon=True
                )
                self._open.add(connection)
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = connection.makefile("rb")
        try:
            while request := _read_request(reader, number):
                if not self._reply(connection, request):
                    break
        except (OSError, ValueError) as exc:
            # The client went away or sent no HTTP; a test that cares reads `failures`.
            self.failures.append(f"{type(exc).__name__}: {exc}")
        finally:
            reader.close()
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _reply(self, connection: socket.socket, request: Request) -> bool:
        with self._lock:
            self.requests.append(request)
            reply = self._script(request)
        if reply.gate is not None:
            self._wait(reply.gate)
        whole = isinstance(reply.body, bytes) and not reply.cut
        framing = reply.framing or ("length" if whole else "chunked")
        connection.sendall(_head(reply, framing))
        sent = 0
        for piece in _pieces(reply):
            if isinstance(piece, threading.Event):
                self._wait(piece)
                continue
            if reply.close_after is not None:
                piece = piece[: reply.close_after - sent]
            sent += len(piece)
            if piece:
                connection.sendall(_chunk(piece, reply.cut) if framing == "chunked" else piece)
            if sent == reply.close_after:
                break
        if reply.close_after is not None:
            _end(connection, reply.ending)
            return False
        if framing == "chunked":
            connection.sendall(b"0\r\n\r\n")
        return framing != "close" and request.headers.get("connection", "").lower() != "close"

    def _wait(self, event: threading.Event) -> None:
        while not event.wait(POLL_SECONDS):
            if self._closing.is_set():
                msg = "the server was closed while a reply waited for its event"
                raise OSError(msg)


def _nothing_scripted(request: Request) -> Reply:
    body = f"nothing is scripted for {request.method} {request.path}".encode()
    return Reply(599, {"content-type": "text/plain"}, body)


def _read_request(reader: Any, connection: int) -> Request | None:
    line = reader.readline(LARGEST_HEAD)
    if not line:
        return None
    method, target, _ = line.decode("ascii").split(" ", 2)
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    while (line := reader.readline(LARGEST_HEAD)) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return Request(method, path, query, headers, _read_body(reader, headers), connection)


def _read_body(reader: Any, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join(_read_chunks(reader))
    expected = int(headers.get("content-length", "0"))
    body: bytes = reader.read(expected)
    if len(body) != expected:
        msg = f"the client sent {len(body)} bytes of a body of {expected}"
        raise ValueError(msg)
    return body


def _read_chunks(reader: Any) -> Iterator[bytes]:
    while size := int(reader.readline().split(b";")[0], 16):
        yield reader.read(size)
        reader.readline()
    while reader.readline() not in (b"\r\n", b""):
        pass


def _head(reply: Reply, framing: str) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unassigned"
    version = "1.0" if framing == "close" else "1.1"
    lines = [f"HTTP/{version} {reply.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if framing == "length":
        lines.append(f"content-length: {len(reply.whole)}")
    elif framing == "chunked":
        lines.append("transfer-encoding: chunked")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _pieces(reply: Reply) -> Iterator[bytes | threading.Event]:
    for piece in [reply.body] if isinstance(reply.body, bytes) else reply.body:
        if isinstance(piece, threading.Event) or not reply.cut:
            yield piece
        else:
            for start in range(0, len(piece), reply.cut):
                yield piece[start : start + reply.cut]


def _chunk(piece: bytes, cut: int) -> bytes:
    # modelplug joins chunks that come together, but leaves those with an extension as they are.
    return b"%x%b\r\n%b\r\n" % (len(piece), b";cut" if cut else b"", piece)


def _end(connection: socket.socket, ending: str) -> None:
    if ending == "rst":
        # Closing with a linger of zero seconds sends RST in place of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        _shut(connection)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side closed it first
