"""One request and its reply on a connection. The sync and the async class are one thought."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Generic, TypeVar

import httpcore

from modelplug.errors import CallError
from modelplug.transport.chunks import PlainChunks
from modelplug.transport.messages import (
    LARGEST_BODY,
    WIRE_ERRORS,
    address,
    decompressor,
    failed,
    headers_of,
    prepare,
    too_large,
)
from modelplug.transport.patience import Patience, nothing_to_cut
from modelplug.transport.pool import Async, K, Pool, Stack, Sync
from modelplug.wire import Conversation, Request, Response

T = TypeVar("T")

READ = 64 * 1024
"""Most bytes of one read of a conversation or of a streamed body."""

DRAIN = 0.1
"""Seconds to wait for the end of a body whose last event has come, to keep the connection."""


def streams(request: Request, status: int, headers: dict[str, str]) -> bool:
    """Whether the reply is the stream that was asked for, and neither an error nor JSON."""
    kind = headers.get("content-type", "")
    return request.stream and 200 <= status < 300 and not kind.startswith("application/json")


class _Exchange(Generic[K]):
    """What waits for nothing, and so is the same for both."""

    _stream: Any

    def __init__(self, pool: Pool[K], request: Request, patience: Patience) -> None:
        self._url = address(request.url)
        self._stack: Stack[K] = pool.stack(self._url, request.url)
        self._request = request
        self._patience = patience
        self._reply: httpcore.Response | None = None
        self._plain: PlainChunks | None = None
        self.response: Response

    def _head(self, reply: httpcore.Response) -> Response:
        headers = headers_of(reply)
        self._decompressor = decompressor(headers)
        streaming = streams(self._request, reply.status, headers)
        if streaming and headers.get("transfer-encoding") == "chunked":
            self._stream = reply.extensions["network_stream"]
            self._plain = PlainChunks() if self._stream.received.at_body else None
        return Response(reply.status, headers, streaming=streaming)

    def _fed(self, data: bytes) -> bytes:
        """The plain chunks that *data* completes; after the last of them h11 gets the rest."""
        assert self._plain is not None
        chunk = self._plain.feed(data)
        if self._plain.ended:
            self._stream.received.ahead, self._plain = self._plain.rest, None
        return chunk

    def _decoded(self, chunk: bytes) -> bytes:
        self._patience.begun = True
        return chunk if self._decompressor is None else self._decompressor.feed(chunk)


class Exchange(_Exchange[Sync]):
    """
    `open` it, then `close` it. `response` is the whole reply, or its head where it streams.
    """

    def open(self) -> Exchange:
        """Send the request and read the reply, or its head."""
        if not self._stack.places.acquire(timeout=self._patience.connect()):
            raise self._patience.expired(connecting=True)
        self._connection, dead = self._stack.take()
        for connection in dead:
            connection.close()
        error: CallError | None = None
        try:
            self._begin()
        except CallError as exc:  # of `read`; some are OSErrors as well
            error = exc
        except WIRE_ERRORS as exc:
            error = failed(exc, self._patience, self._url.host.decode())
        except BaseException:
            self.close()
            raise
        if error is not None:  # raised outside the handler: no frame of httpcore hangs on it
            self.close()
            raise error
        return self

    def _begin(self) -> None:
        request, patience = self._request, self._patience
        patience.sent()
        self._reply = reply = self._connection.handle_request(prepare(request, self._url, patience))
        self._chunks = iter(reply.iter_stream())
        self.response = head = self._head(reply)
        if head.streaming:
            return
        pieces, size = [], 0
        while (chunk := self.read()) is not None:
            pieces.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY:
                raise too_large()
        self.response = Response(head.status, head.headers, b"".join(pieces))

    def read(self) -> bytes | None:
        """The next bytes of the body, None at its end."""
        try:
            while self._plain is not None:
                if chunk := self._fed(self._stream.read_body(READ, self._patience)):
                    return self._decoded(chunk)
            for chunk in self._chunks:
                return self._decoded(chunk)
        except WIRE_ERRORS as exc:
            error = failed(exc, self._patience, self._url.host.decode())
        else:
            return None
        raise error

    def drain(self) -> None:
        """Read what is left, if it comes at once, so that the connection can be kept."""
        self._patience.limit(DRAIN)
        try:
            while self.read() is not None:
                pass
        except CallError:
            return  # the answer is complete; only the connection is lost

    def talk(self, conversation: Conversation[T]) -> T:
        """What *conversation* returns, over a connection that has changed its protocol."""
        assert self._reply is not None  # it is open
        stream = self._reply.extensions["network_stream"]
        try:
            try:
                wanted = next(conversation)
                while True:
                    if wanted is None:
                        answer = stream.read(READ, self._patience)
                        self._patience.begun = True
                    else:
                        answer = b""
                        stream.write(wanted, self._patience)
                    wanted = conversation.send(answer)
            except StopIteration as stop:
                result: T = stop.value
            self._patience.limit(DRAIN)
            with suppress(*WIRE_ERRORS, CallError):  # a last word; the result is there
                stream.read(READ, self._patience)
        except WIRE_ERRORS as exc:
            error = failed(exc, self._patience, self._url.host.decode())
        else:
            return result
        raise error

    def close(self) -> None:
        """Give the connection back, or close it if the reply was not read to its end."""
        self._patience.cut = nothing_to_cut
        try:
            if self._reply is not None:
                self._reply.close()
            if not self._stack.give(self._connection):
                self._connection.close()
        finally:
            self._stack.places.release()


class AsyncExchange(_Exchange[Async]):
    """As `Exchange`."""

    async def open(self) -> AsyncExchange:
        """Send the request and read the reply, or its head."""
        if self._stack.async_places.locked():
            await self._wait_for_a_place()
        else:
            await self._stack.async_places.acquire()
        self._connection, dead = self._stack.take()
        for connection in dead:
            await connection.aclose()
        error: CallError | None = None
        try:
            await self._begin()
        except CallError as exc:
            error = exc
        except WIRE_ERRORS as exc:
            error = failed(exc, self._patience, self._url.host.decode())
        except BaseException:
            await self.close()
            raise
        if error is not None:
            await self.close()
            raise error
        return self

    async def _wait_for_a_place(self) -> None:
        try:
            async with asyncio.timeout(self._patience.connect()):
                await self._stack.async_places.acquire()
        except TimeoutError:
            raise self._patience.expired(connecting=True) from None

    async def _begin(self) -> None:
        request, patience = self._request, self._patience
        patience.sent()
        self._reply = reply = await self._connection.handle_async_request(
            prepare(request, self._url, patience)
        )
        self._chunks = aiter(reply.aiter_stream())
        self.response = head = self._head(reply)
        if head.streaming:
            return
        pieces, size = [], 0
        while (chunk := await self.read()) is not None:
            pieces.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY:
                raise too_large()
        self.response = Response(head.status, head.headers, b"".join(pieces))

    async def read(self) -> bytes | None:
        """The next bytes of the body, None at its end."""
        try:
            while self._plain is not None:
                if chunk := self._fed(await self._stream.read_body(READ, self._patience)):
                    return self._decoded(chunk)
            async for chunk in self._chunks:
                return self._decoded(chunk)
        except WIRE_ERRORS as exc:
            error = failed(exc, self._patience, self._url.host.decode())
        else:
            return None
        raise error

    async def drain(self) -> None:
        """Read what is left, if it comes at once, so that the connection can be kept."""
        self._patience.limit(DRAIN)
        try:
            while await self.read() is not None:
                pass
        except CallError:
            return  # the answer is complete; only the connection is lost

    async def talk(self, conversation: Conversation[T]) -> T:
        """What *conversation* returns, over a connection that has changed its protocol."""
        assert self._reply is not None  # it is open
        stream = self._reply.extensions["network_stream"]
        try:
            try:
                wanted = next(conversation)
                while True:
                    if wanted is None:
                        answer = await stream.read(READ, self._patience)
                        self._patience.begun = True
                    else:
                        answer = b""
                        await stream.write(wanted, self._patience)
                    wanted = conversation.send(answer)
            except StopIteration as stop:
                result: T = stop.value
            self._patience.limit(DRAIN)
            with suppress(*WIRE_ERRORS, CallError):  # a last word; the result is there
                await stream.read(READ, self._patience)
        except WIRE_ERRORS as exc:
            error = failed(exc, self._patience, self._url.host.decode())
        else:
            return result
        raise error

    async def close(self) -> None:
        """Give the connection back, or close it if the reply was not read to its end."""
        try:
            if self._reply is not None:
                await self._reply.aclose()
            if not self._stack.give(self._connection):
                await self._connection.aclose()
        finally:
            self._stack.async_places.release()
