"""
Sockets whose every wait asks the call's `Patience`, sync and asyncio.

The asyncio stream is a plain Protocol: with httpcore's own backend 64 calls at once cost
2.5 times the CPU of one at a time, most of it in cancel scopes; with this one less than one
at a time (2026-11, httpcore 1.0.9, anyio 4.16).
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from typing import cast

import httpcore

from modelplug.transport.patience import Patience

READ = 64 * 1024
"""Most bytes of one read."""

READ_AHEAD = 256 * 1024
"""Bytes buffered before the peer is made to wait."""


def _seconds(patience: Patience) -> float | None:
    """What is left; never 0, which a socket takes for "do not wait"."""
    seconds = patience.wait()
    return None if seconds is None else max(seconds, 0.001)


class SyncStream:
    """A blocking socket, as httpcore has them."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    @classmethod
    def connect(cls, host: str, port: int, seconds: float | None) -> SyncStream:
        """A connection within *seconds*."""
        return cls(httpcore.SyncBackend().connect_tcp(host, port, seconds))

    def secured(self, context: ssl.SSLContext, host: str, seconds: float | None) -> SyncStream:
        """This stream with TLS on it."""
        return SyncStream(self._inner.start_tls(context, host, seconds))

    def read(self, patience: Patience) -> bytes:
        """At least one byte, or b"" at the end."""
        patience.cut = self._cut
        return self._inner.read(READ, _seconds(patience))

    def _cut(self) -> None:
        # From another thread: a shutdown wakes a blocked read, a close does not.
        with contextlib.suppress(OSError):
            self._inner.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def write(self, data: bytes, patience: Patience) -> None:
        """All of *data*."""
        self._inner.write(data, _seconds(patience))

    @property
    def readable(self) -> bool:
        """Whether a read would not wait: on an idle connection the peer has left."""
        return bool(self._inner.get_extra_info("is_readable"))

    def close(self) -> None:
        """Close the socket."""
        self._inner.close()


class _Buffer(asyncio.Protocol):
    """What has arrived, and who waits for more."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.received: list[bytes] = []
        self._size = 0
        self.ended = False
        self.lost: BaseException | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._paused = False
        self._alarm = _Alarm()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received.append(data)
        self._size += len(data)
        if self._size > READ_AHEAD and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> None:
        self.ended = True
        _wake(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.lost = exc
        self._alarm.off()
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._writer = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        _wake(self._writer)
        self._writer = None

    def take(self) -> bytes:
        data = b"".join(self.received)
        self.received.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        return data

    def more(self, seconds: float | None) -> asyncio.Future[None]:
        """Done once something has arrived or the connection has ended."""
        loop = asyncio.get_running_loop()
        self._reader = reader = loop.create_future()
        self._alarm.set(loop, reader, seconds, httpcore.ReadTimeout)
        return reader

    async def drained(self, seconds: float | None) -> None:
        """Until the peer takes more."""
        if self._writer is not None:
            loop = asyncio.get_running_loop()
            self._alarm.set(loop, self._writer, seconds, httpcore.WriteTimeout)
            await self._writer


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


class _Alarm:
    """
    The time limit of whatever a connection waits for, one wait at a time.

    Its timer is left running from wait to wait, and looks when it goes off whether it is late: a
    timer for each read takes a tenth of a token's time, asyncio.timeout four times that (2026-11).
    """

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._waiting: asyncio.Future[None] | None = None
        self._late: type[Exception] = Exception

    def set(
        self,
        loop: asyncio.AbstractEventLoop,
        waiting: asyncio.Future[None],
        seconds: float | None,
        late: type[Exception],
    ) -> None:
        """Let *waiting* fail with *late* unless it is done within *seconds*."""
        if seconds is None:
            self._waiting = None
            return
        self._waiting, self._late = waiting, late
        self._deadline = loop.time() + seconds
        if self._timer is not None and self._timer.when() <= self._deadline:
            return
        self.off()
        self._timer = loop.call_at(self._deadline, self._ring, loop)

    def off(self) -> None:
        """Wait for nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiting is None or self._waiting.done():
            return
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._ring, loop)
        else:
            self._waiting.set_exception(self._late())


class AsyncStream:
    """An asyncio connection of the running loop."""

    def __init__(self, buffer: _Buffer) -> None:
        self._buffer = buffer

    @classmethod
    async def connect(cls, host: str, port: int, seconds: float | None) -> AsyncStream:
        """A connection within *seconds*."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                _, buffer = await loop.create_connection(_Buffer, host, port)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(exc) from exc
        except OSError as exc:
            raise httpcore.ConnectError(exc) from exc
        return cls(buffer)

    async def secured(
        self, context: ssl.SSLContext, host: str, seconds: float | None
    ) -> AsyncStream:
        """This stream with TLS on it."""
        loop = asyncio.get_running_loop()
        buffer = _Buffer()
        try:
            async with asyncio.timeout(seconds):
                transport = await loop.start_tls(
                    self._buffer.transport, buffer, context, server_hostname=host
                )
        except (OSError, asyncio.IncompleteReadError) as exc:
            self._buffer.transport.abort()
            late = isinstance(exc, TimeoutError)
            raise (httpcore.ConnectTimeout if late else httpcore.ConnectError)(exc) from exc
        buffer.transport = cast("asyncio.Transport", transport)
        return AsyncStream(buffer)

    async def read(self, patience: Patience) -> bytes:
        """At least one byte, or b"" at the end."""
        buffer = self._buffer
        while not buffer.received:
            if buffer.lost is not None:
                raise httpcore.ReadError(buffer.lost)
            if buffer.ended:
                return b""
            await buffer.more(_seconds(patience))
        return buffer.take()

    async def write(self, data: bytes, patience: Patience) -> None:
        """All of *data*."""
        if self._buffer.transport.is_closing():
            raise httpcore.WriteError(self._buffer.lost or "the connection is closed")
        self._buffer.transport.write(data)
        await self._buffer.drained(_seconds(patience))

    @property
    def readable(self) -> bool:
        """As SyncStream's."""
        if self._buffer.ended or self._buffer.received:
            return True
        if not hasattr(select, "poll"):  # Windows
            return False
        arrived = select.poll()  # what the loop has not told yet
        arrived.register(self._buffer.transport.get_extra_info("socket"), select.POLLIN)
        return bool(arrived.poll(0))

    def close(self) -> None:
        """Close at once; what is unsent is dropped."""
        self._buffer.transport.abort()
