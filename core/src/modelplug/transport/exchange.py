"""One request and its reply on a connection. The sync and the async class are one thought."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Generic, TypeVar

import httpcore

from modelplug.errors import CallError
from modelplug.transport.messages import (
    LARGEST_BODY,
    WIRE_ERRORS,
    decompressor,
    failed,
    prepare,
    too_large,
)
from modelplug.transport.network import AsyncStream, SyncStream
from modelplug.transport.patience import Patience, nothing_to_cut
from modelplug.transport.pool import Connection, Pool, S, Stack
from modelplug.transport.routes import Address, tls
from modelplug.wire import Conversation, Request, Response

T = TypeVar("T")

SWITCHING = 101
"""The status that changes a connection's protocol."""

DRAIN = 0.1
"""Seconds to wait for the end of a body whose last event has come, to keep the connection."""


def streams(request: Request, status: int, headers: dict[str, str]) -> bool:
    """Whether the reply is the stream that was asked for, and neither an error nor JSON."""
    kind = headers.get("content-type", "")
    return request.stream and 200 <= status < 300 and not kind.startswith("application/json")


class _Exchange(Generic[S]):
    """What waits for nothing, and so is the same for both."""

    _stream: S

    def __init__(self, pool: Pool[S], request: Request, patience: Patience) -> None:
        self._address = Address.of(request.url)
        self._route = self._address.route(request.url)
        self._stack: Stack[S] = pool.stack(self._route)
        self._request = request
        self._patience = patience
        self.response: Response

    def _take(self, place: asyncio.Semaphore | threading.Semaphore) -> None:
        self._place = place
        self._connection: Connection[S] = self._stack.take()
        self._http = self._connection.http
        self._kept: S | None = self._connection.stream

    def _use(self, stream: S) -> None:
        self._connection.stream = self._stream = stream

    def _asked(self) -> bytes:
        return self._http.request(*prepare(self._request, self._address, self._route))

    def _head(self, status: int, headers: dict[str, str]) -> Response:
        self._decompressor = decompressor(headers)
        return Response(status, headers, streaming=streams(self._request, status, headers))

    def _decoded(self, piece: bytes) -> bytes:
        self._patience.begun = True
        return piece if self._decompressor is None else self._decompressor.feed(piece)

    def _failed(self, exc: BaseException) -> CallError:
        if isinstance(exc, CallError):  # of `read`; some are OSErrors as well
            return exc
        return failed(exc, self._patience, self._address.host)

    def close(self) -> None:
        """Give the connection back, or close it if the reply was not read to its end."""
        self._patience.cut = nothing_to_cut
        try:
            self._stack.give(self._connection)
        finally:
            self._place.release()


class Exchange(_Exchange[SyncStream]):
    """
    `open` it, then `close` it. `response` is the whole reply, or its head where it streams.
    """

    def open(self) -> Exchange:
        """Send the request and read the reply, or its head."""
        if not self._stack.places.acquire(timeout=self._patience.connect()):
            raise self._patience.expired(connecting=True)
        self._take(self._stack.places)
        error: CallError | None = None
        try:
            self._begin()
        except (*WIRE_ERRORS, CallError) as exc:
            error = self._failed(exc)
        except BaseException:
            self.close()
            raise
        if error is not None:  # raised outside the handler: no frame of the wire hangs on it
            self.close()
            raise error
        return self

    def _begin(self) -> None:
        self._patience.sent()
        data = b""
        if self._kept is not None:
            self._stream = self._kept
            with suppress(httpcore.NetworkError):  # closed since, which nothing told us
                data = self._ask()
        if not data:
            self._connect()
            data = self._ask()
        while (head := self._http.head(data)) is None:
            data = self._stream.read(self._patience)
        self.response = reply = self._head(*head)
        if reply.streaming or reply.status == SWITCHING:
            return
        pieces, size = [], 0
        while (piece := self.read()) is not None:
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_BODY:
                raise too_large()
        self.response = Response(reply.status, reply.headers, b"".join(pieces))

    def _ask(self) -> bytes:
        # A server may refuse before it has read all; its answer is worth more than this.
        with suppress(httpcore.WriteError):
            self._stream.write(self._asked(), self._patience)
        return self._stream.read(self._patience)

    def _connect(self) -> None:
        route, seconds = self._route, self._patience.connect()
        near = route.proxy or route
        self._http = self._connection.renewed()
        self._use(SyncStream.connect(near.host, near.port, seconds))
        if near.secure:
            self._use(self._stream.secured(tls(), near.host, seconds))
        if route.tunnelled:
            self._converse(route.tunnel())
            self._use(self._stream.secured(tls(), route.host, seconds))

    def read(self) -> bytes | None:
        """The next bytes of the body, None at its end."""
        http = self._http
        try:
            while not http.ended:
                data = None if http.more else self._stream.read(self._patience)
                if piece := http.feed(data):
                    return self._decoded(piece)
        except WIRE_ERRORS as exc:
            error = self._failed(exc)
        else:
            return None
        raise error

    def drain(self) -> None:
        """Read what is left, if it comes at once, so that the connection can be kept."""
        self._patience.limit(DRAIN)
        with suppress(CallError):  # the answer is complete; only the connection is lost
            while self.read() is not None:
                pass

    def talk(self, conversation: Conversation[T]) -> T:
        """What *conversation* returns, over a connection that has changed its protocol."""
        self._patience.begun = True
        try:
            result = self._converse(conversation, self._http.rest)
            self._patience.limit(DRAIN)
            with suppress(*WIRE_ERRORS, CallError):  # a last word; the result is there
                self._stream.read(self._patience)
        except WIRE_ERRORS as exc:
            error = self._failed(exc)
        else:
            return result
        raise error

    def _converse(self, conversation: Conversation[T], heard: bytes = b"") -> T:
        try:
            said = next(conversation)
            while True:
                if said is None:
                    answer = heard or self._stream.read(self._patience)
                    heard = b""
                else:
                    answer = b""
                    with suppress(httpcore.WriteError):  # the next read tells why
                        self._stream.write(said, self._patience)
                said = conversation.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result


class AsyncExchange(_Exchange[AsyncStream]):
    """As `Exchange`."""

    async def open(self) -> AsyncExchange:
        """Send the request and read the reply, or its head."""
        if self._stack.async_places.locked():
            await self._wait_for_a_place()
        else:
            await self._stack.async_places.acquire()
        self._take(self._stack.async_places)
        error: CallError | None = None
        try:
            await self._begin()
        except (*WIRE_ERRORS, CallError) as exc:
            error = self._failed(exc)
        except BaseException:
            self.close()
            raise
        if error is not None:
            self.close()
            raise error
        return self

    async def _wait_for_a_place(self) -> None:
        try:
            async with asyncio.timeout(self._patience.connect()):
                await self._stack.async_places.acquire()
        except TimeoutError:
            raise self._patience.expired(connecting=True) from None

    async def _begin(self) -> None:
        self._patience.sent()
        data = b""
        if self._kept is not None:
            self._stream = self._kept
            with suppress(httpcore.NetworkError):
                data = await self._ask()
        if not data:
            await self._connect()
            data = await self._ask()
        while (head := self._http.head(data)) is None:
            data = await self._stream.read(self._patience)
        self.response = reply = self._head(*head)
        if reply.streaming or reply.status == SWITCHING:
            return
        pieces, size = [], 0
        while (piece := await self.read()) is not None:
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_BODY:
                raise too_large()
        self.response = Response(reply.status, reply.headers, b"".join(pieces))

    async def _ask(self) -> bytes:
        # A server may refuse before it has read all; its answer is worth more than this.
        with suppress(httpcore.WriteError):
            await self._stream.write(self._asked(), self._patience)
        return await self._stream.read(self._patience)

    async def _connect(self) -> None:
        route, seconds = self._route, self._patience.connect()
        near = route.proxy or route
        self._http = self._connection.renewed()
        self._use(await AsyncStream.connect(near.host, near.port, seconds))
        if near.secure:
            self._use(await self._stream.secured(tls(), near.host, seconds))
        if route.tunnelled:
            await self._converse(route.tunnel())
            self._use(await self._stream.secured(tls(), route.host, seconds))

    async def read(self) -> bytes | None:
        """The next bytes of the body, None at its end."""
        http = self._http
        try:
            while not http.ended:
                data = None if http.more else await self._stream.read(self._patience)
                if piece := http.feed(data):
                    return self._decoded(piece)
        except WIRE_ERRORS as exc:
            error = self._failed(exc)
        else:
            return None
        raise error

    async def drain(self) -> None:
        """Read what is left, if it comes at once, so that the connection can be kept."""
        self._patience.limit(DRAIN)
        with suppress(CallError):  # the answer is complete; only the connection is lost
            while await self.read() is not None:
                pass

    async def talk(self, conversation: Conversation[T]) -> T:
        """What *conversation* returns, over a connection that has changed its protocol."""
        self._patience.begun = True
        try:
            result = await self._converse(conversation, self._http.rest)
            self._patience.limit(DRAIN)
            with suppress(*WIRE_ERRORS, CallError):  # a last word; the result is there
                await self._stream.read(self._patience)
        except WIRE_ERRORS as exc:
            error = self._failed(exc)
        else:
            return result
        raise error

    async def _converse(self, conversation: Conversation[T], heard: bytes = b"") -> T:
        try:
            said = next(conversation)
            while True:
                if said is None:
                    answer = heard or await self._stream.read(self._patience)
                    heard = b""
                else:
                    answer = b""
                    with suppress(httpcore.WriteError):  # the next read tells why
                        await self._stream.write(said, self._patience)
                said = conversation.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
