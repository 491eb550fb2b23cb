"""
Tasks on DashScope's WebSocket, for the models that are nowhere else.

Frames as the vendor's SDK 2.0.2 sends them (api_entities/websocket_request.py, 2026-11):
run-task, then what the task reads, then finish-task; the server answers with events, and with
binary messages where it speaks.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from attrs import field, frozen

from modelplug.errors import BadReply, CallError, ConfigError, TransportFailed
from modelplug.structure import parse_json
from modelplug.types import Secret, Timeouts
from modelplug.wire import Conversation, Request, Response

PATH = "/api-ws/v1/inference"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


@frozen
class Heard:
    """What task `id` answered: the outputs of its events, its sound, and its last `usage`."""

    id: str
    outputs: Sequence[Mapping[str, Any]]
    sound: bytes = field(repr=False)
    usage: object = None


@frozen
class LiveTask:
    """
    One task: `payload` begins it; `inputs`, bytes as they are and the rest as continue-task,
    follow once it has begun. With `streaming` "out" it reads nothing more.
    """

    payload: Mapping[str, Any]
    inputs: Sequence[bytes | Mapping[str, Any]]
    streaming: str
    failed: Callable[[Mapping[str, Any]], CallError]
    key: str = field(factory=lambda: base64.b64encode(secrets.token_bytes(16)).decode(), repr=False)

    def request(self, host: str, auth: Secret | None, timeouts: Timeouts) -> Request:
        """The request that opens the WebSocket."""
        headers = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": self.key,
        }
        return Request("GET", host + PATH, headers=headers, auth=auth, timeouts=timeouts)

    def begin(self, head: Response) -> Conversation[Heard]:
        """The whole task, once the WebSocket is open."""
        digest = hashlib.sha1(self.key.encode() + _GUID, usedforsecurity=False).digest()
        if head.headers.get("sec-websocket-accept") != base64.b64encode(digest).decode():
            msg = "the server opened a WebSocket without the key that was asked for"
            raise BadReply(msg)
        socket = _Socket()
        id = uuid.uuid4().hex  # of this try: what broke off may still be known by its own
        yield socket.text(self._message(id, "run-task", self.payload))
        outputs: list[Mapping[str, Any]] = []
        sound = bytearray()
        usage: object = None
        while True:
            for message in socket.messages((yield None)):
                if isinstance(message, bytes):
                    sound += message
                    continue
                name, payload = self._event(message)
                if name == "task-started" and self.streaming == "duplex":
                    for item in self.inputs:
                        yield (
                            socket.binary(item)
                            if isinstance(item, bytes)
                            else socket.text(self._message(id, "continue-task", item))
                        )
                    yield socket.text(self._message(id, "finish-task", {"input": {}}))
                if isinstance(output := payload.get("output"), dict):
                    outputs.append(output)
                usage = payload.get("usage", usage)
                if name == "task-finished":
                    yield socket.closed()
                    return Heard(id, outputs, bytes(sound), usage)
            if answer := socket.answer():
                yield answer

    def _message(self, id: str, action: str, payload: Mapping[str, Any]) -> bytes:
        header = {"action": action, "task_id": id, "streaming": self.streaming}
        return orjson.dumps({"header": header, "payload": payload})

    def _event(self, message: str) -> tuple[str, Mapping[str, Any]]:
        """(its name, its payload); raises where the task failed."""
        event = parse_json(message.encode())
        header = event.get("header") if isinstance(event, dict) else None
        if not isinstance(header, dict) or not isinstance(header.get("event"), str):
            msg = "a message of the task is no event: required field missing @ $.header.event"
            raise BadReply(msg)
        if header["event"] == "task-failed":
            told = {"code": header.get("error_code"), "message": header.get("error_message")}
            raise self.failed(told)
        payload = event.get("payload")
        return header["event"], payload if isinstance(payload, dict) else {}


class _Socket:
    """A WebSocket without a socket: bytes for messages, messages for bytes."""

    def __init__(self) -> None:
        try:
            from wsproto import connection, events
        except ImportError as exc:
            msg = (
                "this model is reached by WebSocket alone, which needs the package wsproto; "
                'pip install "modelplug-qwen[realtime]"'
            )
            raise ConfigError(msg) from exc
        self._events = events
        self._wire = connection.Connection(connection.ConnectionType.CLIENT)
        self._answer = b""
        self._parts: list[Any] = []

    def text(self, message: bytes) -> bytes:
        """A message of UTF-8 text."""
        return self._wire.send(self._events.TextMessage(data=message.decode()))

    def binary(self, message: bytes) -> bytes:
        """A message of bytes."""
        return self._wire.send(self._events.BytesMessage(data=message))

    def closed(self) -> bytes:
        """The end, from this side."""
        return self._wire.send(self._events.CloseConnection(code=1000))

    def answer(self) -> bytes:
        """What the server's pings are owed."""
        owed, self._answer = self._answer, b""
        return owed

    def messages(self, received: bytes) -> Iterator[str | bytes]:
        """The messages that *received* completes; TransportFailed if the server hangs up."""
        self._wire.receive_data(received or None)
        for event in self._wire.events():
            match event:
                case self._events.Ping():
                    self._answer += self._wire.send(event.response())
                case self._events.Message():
                    self._parts.append(event.data)
                    if event.message_finished:
                        parts, self._parts = self._parts, []
                        yield "".join(parts) if isinstance(parts[0], str) else b"".join(parts)
                case self._events.CloseConnection():
                    why = f" ({event.code} {event.reason or ''})".replace(" )", ")")
                    msg = f"the server closed the WebSocket before the task was finished{why}"
                    raise TransportFailed(msg)
