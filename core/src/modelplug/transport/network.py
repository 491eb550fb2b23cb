"""
Sockets for httpcore whose every wait asks the call's `Patience`, sync and asyncio.

The asyncio stream is a plain Protocol: with httpcore's own backend 64 calls at once cost
2.5 times the CPU of one at a time, most of it in cancel scopes; with this one less than one
at a time (2026-11, httpcore 1.0.9, anyio 4.16).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any, cast

import httpcore

from modelplug.transport.chunks import Received
from modelplug.transport.patience import Patience

Timeout = Patience | float | None

HELD_BACK = 64 * 1024
"""Bytes held back at most. One send for head and body saves a third of a call's CPU (2026-11)."""

READ_AHEAD = 256 * 1024
"""Bytes buffered before the peer is made to wait."""


def _seconds(timeout: Timeout) -> float | None:
    """What is left; never 0, which a socket takes for "do not wait"."""
    seconds = timeout.wait() if isinstance(timeout, Patience) else timeout
    return None if seconds is None else max(seconds, 0.001)


class SyncStream(httpcore.NetworkStream):
    """A blocking socket. Writes are held back until a read, so head and body go out as one."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner
        self._unsent = b""
        self.received = Received()

    def read(self, max_bytes: int, timeout: Timeout = None) -> bytes:
        """At least one byte, or b"" at the end; the head of a reply alone."""
        return self.received.for_httpcore(self.read_body(max_bytes, timeout))

    def read_body(self, max_bytes: int, timeout: Timeout = None) -> bytes:
        """As `read`, past httpcore."""
        if self.received.ahead:
            return self.received.take()
        if self._unsent:
            # A server may refuse before it has read all; its answer is worth more than this.
            with contextlib.suppress(httpcore.WriteError):
                self._send(timeout)
        if isinstance(timeout, Patience):
            timeout.cut = self._cut
        return self._inner.read(max_bytes, _seconds(timeout))

    def _cut(self) -> None:
        # From another thread: a shutdown wakes a blocked read, a close does not.
        with contextlib.suppress(OSError):
            self._inner.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def write(self, buffer: bytes, timeout: Timeout = None) -> None:
        """All of *buffer*, at the latest with the next read."""
        self.received.sending()
        self._unsent = self._unsent + buffer if self._unsent else buffer
        if len(self._unsent) > HELD_BACK:
            self._send(timeout)

    def _send(self, timeout: Timeout) -> None:
        unsent, self._unsent = self._unsent, b""
        self._inner.write(unsent, _seconds(timeout))

    def close(self) -> None:
        """Close the socket."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """This stream with TLS on it."""
        return SyncStream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks: `is_readable` of an idle connection means that the peer left."""
        if info == "is_readable" and self.received.ahead:
            return True
        return self._inner.get_extra_info(info)


class SyncBackend(httpcore.NetworkBackend):
    """Blocking sockets."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection within *timeout* seconds."""
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return SyncStream(stream)

    def sleep(self, seconds: float) -> None:
        """Pause."""
        time.sleep(seconds)


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

    def take(self, max_bytes: int) -> bytes:
        data = b"".join(self.received)
        rest = data[max_bytes:]
        self.received = [rest] if rest else []
        self._size = len(rest)
        if self._paused and self._size < READ_AHEAD // 2:
            self._paused = False
            self.transport.resume_reading()
        return data[:max_bytes]

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


class AsyncStream(httpcore.AsyncNetworkStream):
    """An asyncio connection, its writes held back likewise."""

    def __init__(self, buffer: _Buffer) -> None:
        self._buffer = buffer
        self._unsent = b""
        self.received = Received()

    async def read(self, max_bytes: int, timeout: Timeout = None) -> bytes:
        """At least one byte, or b"" at the end; the head of a reply alone."""
        return self.received.for_httpcore(await self.read_body(max_bytes, timeout))

    async def read_body(self, max_bytes: int, timeout: Timeout = None) -> bytes:
        """As `read`, past httpcore."""
        if self.received.ahead:
            return self.received.take()
        if self._unsent:
            with contextlib.suppress(httpcore.WriteError):
                await self._send(timeout)
        buffer = self._buffer
        while not buffer.received:
            if buffer.lost is not None:
                raise httpcore.ReadError(buffer.lost)
            if buffer.ended:
                return b""
            await buffer.more(_seconds(timeout))
        return buffer.take(max_bytes)

    async def write(self, buffer: bytes, timeout: Timeout = None) -> None:
        """All of *buffer*, at the latest with the next read."""
        self.received.sending()
        self._unsent = self._unsent + buffer if self._unsent else buffer
        if len(self._unsent) > HELD_BACK:
            await self._send(timeout)

    async def _send(self, timeout: Timeout) -> None:
        unsent, self._unsent = self._unsent, b""
        if self._buffer.transport.is_closing():
            raise httpcore.WriteError(self._buffer.lost or "the connection is closed")
        self._buffer.transport.write(unsent)
        await self._buffer.drained(_seconds(timeout))

    async def aclose(self) -> None:
        """Close at once; what is unsent is dropped."""
        self._buffer.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """This stream with TLS on it."""
        loop = asyncio.get_running_loop()
        buffer = _Buffer()
        try:
            async with asyncio.timeout(timeout):
                transport = await loop.start_tls(
                    self._buffer.transport, buffer, ssl_context, server_hostname=server_hostname
                )
        except (OSError, asyncio.IncompleteReadError) as exc:
            self._buffer.transport.abort()
            late = isinstance(exc, TimeoutError)
            raise (httpcore.ConnectTimeout if late else httpcore.ConnectError)(exc) from exc
        buffer.transport = cast("asyncio.Transport", transport)
        return AsyncStream(buffer)

    def get_extra_info(self, info: str) -> Any:
        """As SyncStream's."""
        if info == "is_readable":
            return self._buffer.ended or bool(self._buffer.received or self.received.ahead)
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._buffer.transport.get_extra_info(names.get(info, info))


class AsyncBackend(httpcore.AsyncNetworkBackend):
    """Asyncio connections of the running loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection within *timeout* seconds."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, buffer = await loop.create_connection(_Buffer, host, port)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(exc) from exc
        except OSError as exc:
            raise httpcore.ConnectError(exc) from exc
        return AsyncStream(buffer)

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await asyncio.sleep(seconds)
