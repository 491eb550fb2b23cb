"""
A server for engines that are Python libraries: the OpenAI wire's manners, without the models.

It needs the standard library alone. `modelplug_local.runners` puts its folder, with nothing else
in it, on the path of a runner: the interpreter of an engine need not have modelplug. A runner is

    from engine_server import Request, Service, run

    def load(settings):
        model = TheLibrary(settings["path"])

        def embed(request: Request) -> dict[str, object]:
            text = request.json().text("input")
            return {"data": [{"index": 0, "embedding": model.embed(text)}]}

        return Service({"/v1/embeddings": embed}, settings["model"])

    run(load)

It listens on loopback, wants the token on every route but `/health`, reads no more of a body
than it may, lets so many handlers work and so many requests wait, and answers the rest 429.
Neither a request's body nor the token is ever logged.
"""

from __future__ import annotations

import hmac
import json
import math
import os
import select
import socket
import socketserver
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from engine_request import CallerGone, Fields, Refused, Reply, Request

__all__ = ["CallerGone", "EngineServer", "Fields", "Refused", "Reply", "Request", "Service", "run"]

TOKEN_VARIABLE = "MODELPLUG_ENGINE_TOKEN"  # noqa: S105 - a name

BODY_LIMIT = 32 * 2**20
CONNECTIONS = 512
IDLE = 120.0
"""Seconds without a byte after which a connection is closed."""

_LINGER = 2.0


Handler = Callable[[Request], "Reply | dict[str, Any]"]


@dataclass(frozen=True)
class Service:
    """
    What is served: a handler for each path that is POSTed to, and the model's name.

    A handler runs in its connection's thread and may block. At most `workers` do at once;
    `queue` more requests wait, so bodies take at most (workers + queue) x `body_limit` bytes.
    """

    routes: Mapping[str, Handler]
    model: str
    workers: int = 1
    queue: int = 16
    body_limit: int = BODY_LIMIT


class _Gate:
    """Room for those who work and those who wait."""

    def __init__(self, service: Service) -> None:
        self._inside = threading.Semaphore(service.workers)
        self._room = threading.Semaphore(service.workers + service.queue)

    @contextmanager
    def room(self) -> Iterator[None]:
        """Held from before the body is read; Refused where there is none."""
        if not self._room.acquire(blocking=False):
            message = "the engine is busy and its queue is full; try again, or send less at once"
            raise Refused(429, message, "rate_limit_exceeded")
        try:
            yield
        finally:
            self._room.release()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Held while the handler works; waits for it."""
        with self._inside:
            yield


class EngineServer(ThreadingHTTPServer):
    """Bound at once, so that a taken port is noticed before the weights are loaded."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, token: str) -> None:
        super().__init__((host, port), _Connection, bind_and_activate=False)
        self.token = token.encode()
        self.service = Service({}, "")
        self.gate = _Gate(self.service)
        self._connections = threading.Semaphore(CONNECTIONS)
        self.server_bind()

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of the host's name, which may ask the network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def serve(self, service: Service) -> None:
        """Listen, and answer until the process ends or `shutdown()` is called."""
        self.service, self.gate = service, _Gate(service)
        self.server_activate()
        print(f"modelplug: serves {service.model!r} on port {self.server_port}", flush=True)
        self.serve_forever()

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection, unless there are too many already."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """See socketserver.ThreadingMixIn."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no fault of ours and fills no log."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()


class _Connection(BaseHTTPRequestHandler):
    server: EngineServer

    protocol_version = "HTTP/1.1"
    server_version = "modelplug"
    sys_version = ""
    timeout = IDLE
    # The reply's head and body in one packet: a small second one would wait 40 ms for an
    # acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    _body_is_read = False

    def do_GET(self) -> None:  # noqa: N802 - its name in http.server
        try:
            if self.path == "/health":
                self._send_json(200, {"status": "ok"})
                return
            self._check_token()
            if self.path not in ("/v1/models", *self.server.service.routes):
                raise Refused(404, "there is no such route", "not_found_error")
            if self.path != "/v1/models":
                raise Refused(405, "this route wants POST")
            model = {"id": self.server.service.model, "object": "model", "owned_by": "modelplug"}
            self._send_json(200, {"object": "list", "data": [model]})
        except Refused as refused:
            self._send_refusal(refused)

    def do_POST(self) -> None:  # noqa: N802 - its name in http.server
        began = time.monotonic()
        self._body_is_read = False
        try:
            self._check_token()
            handler = self.server.service.routes.get(self.path)
            if handler is None:
                raise Refused(404, "there is no such route", "not_found_error")
            with self.server.gate.room():
                content_type = self.headers.get("content-type", "")
                request = Request(self._read_body(), content_type, self._is_gone)
                with self.server.gate.turn():
                    request.check_caller()  # it may have given up while it waited
                    status = self._answer(handler, request)
        except Refused as refused:
            self._send_refusal(refused)
            status = refused.status
        except CallerGone:
            self.close_connection = True
            status = 499  # as others log it; nothing is sent
        print(f"POST {self._route()} {status} {time.monotonic() - began:.3f} s", flush=True)

    def _answer(self, handler: Handler, request: Request) -> int:
        try:
            reply = handler(request)
        except (Refused, CallerGone):
            raise
        except Exception as exc:  # noqa: BLE001 - a library's code: it may raise anything
            traceback.print_exc()
            error = {"message": f"the engine failed: {type(exc).__name__}; see its log"}
            self._send_json(500, {"error": error | {"type": "server_error", "code": None}})
            return 500
        if isinstance(reply, dict):
            self._send_json(200, reply)
            return 200
        self._send(reply)
        return reply.status

    def _check_token(self) -> None:
        scheme, _, given = self.headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self.server.token)
        if scheme.lower() != "bearer" or not is_right:
            raise Refused(401, "the token is missing or wrong", "invalid_api_key")

    def _read_body(self) -> bytes:
        told = self.headers.get("content-length", "")
        if not (told.isascii() and told.isdigit()) or "transfer-encoding" in self.headers:
            raise Refused(411, "the body's length must be told by Content-Length")
        limit = self.server.service.body_limit
        if len(told) > 18 or int(told) > limit:
            raise Refused(413, f"the body has more bytes than it may have, {limit}")
        length = int(told)
        try:
            body = self.rfile.read(length)
        except TimeoutError as exc:
            raise Refused(408, "the body did not come in time") from exc
        if len(body) < length:
            raise Refused(400, "the body is shorter than its Content-Length")
        self._body_is_read = True
        return body

    def _is_gone(self) -> bool:
        # select.select() takes no descriptor above 1023, which a busy server soon has.
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        try:
            return bool(poll.poll(0)) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def _send_refusal(self, refused: Refused) -> None:
        # What is left of a body would be read as the next request.
        self.close_connection = self.close_connection or not self._body_is_read
        error = {"message": str(refused), "type": "invalid_request_error", "code": refused.code}
        self._send_json(refused.status, {"error": error}, refused.retry_after)
        if not self._body_is_read:
            self._drain()

    def _send_json(self, status: int, value: Mapping[str, Any], retry_after: float = 1.0) -> None:
        self._send(Reply(json.dumps(value).encode(), "application/json", status), retry_after)

    def _send(self, reply: Reply, retry_after: float = 1.0) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.mime)
        self.send_header("Content-Length", str(len(reply.body)))
        if reply.status == 429:
            self.send_header("Retry-After", str(math.ceil(retry_after)))
            self.send_header("Retry-After-Ms", str(math.ceil(retry_after * 1000)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)

    def _drain(self) -> None:
        """Read a little of what still comes: closing before would discard the reply, too."""
        left = self.server.service.body_limit
        with suppress(OSError):  # it has gone, or sends no more: nobody waits for this
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER)
            while left > 0 and (chunk := self.connection.recv(min(left, 2**16))):
                left -= len(chunk)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses itself, in the form of all other errors."""
        self.close_connection = True
        error = {"message": explain or message or "", "type": "invalid_request_error", "code": None}
        self._send_json(code, {"error": error})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base
        """Nothing: a request's line may hold anything."""

    def _route(self) -> str:
        return self.path if self.path in self.server.service.routes else "(no route)"


def run(load: Callable[[dict[str, Any]], Service]) -> None:
    """
    Serve what *load* makes of the settings, JSON in the first argument, until a signal.

    Signals keep their default action: SIGTERM ends the process at once.
    """
    # Taken out, so that nothing which this process might start inherits it.
    token = os.environ.pop(TOKEN_VARIABLE)
    settings: dict[str, Any] = json.loads(sys.argv[1])
    server = EngineServer(settings["host"], settings["port"], token)
    server.serve(load(settings))
