"""
Kept-alive connections, as one stack for each origin.

httpcore's own pool looks through all its connections for each request: 64 calls at once cost
2 to 2.5 times the CPU of one at a time with it, and no more than one at a time with a stack
(2026-11). Its connections are used as they are; a proxy keeps its own pool.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import unquote, urlsplit

import httpcore

from modelplug.errors import ConfigError
from modelplug.proxies import proxy_for
from modelplug.transport.network import AsyncBackend, SyncBackend

if TYPE_CHECKING:
    import ssl

CONNECTIONS = 256
"""Most connections to one origin, for all threads together or for one event loop."""

KEEP_ALIVE = 30.0
"""Seconds that an idle connection is kept; most servers close theirs after 60 or more."""

Sync = httpcore.HTTPConnection | httpcore.ConnectionPool
Async = httpcore.AsyncHTTPConnection | httpcore.AsyncConnectionPool
K = TypeVar("K", Sync, Async)


@cache
def tls() -> ssl.SSLContext:
    """The one TLS context: making one costs 60 to 90 ms (2026-11)."""
    import httpx

    return httpx.create_ssl_context()


class Stack(Generic[K]):
    """The idle connections to one origin, the last used on top, and how many may be open."""

    def __init__(self, make: Callable[[], K], *, shared: bool) -> None:
        self._make: Callable[[], K] = make
        self._idle: deque[K] = deque()
        self._busy: set[K] = set()
        self.stale: deque[K] = deque()  # of other origins, to be closed as one is taken here
        self.shared = shared  # a proxy's pool serves all calls at once and stays on top
        self.places = threading.BoundedSemaphore(CONNECTIONS)
        self.async_places = asyncio.Semaphore(CONNECTIONS)

    def take(self) -> tuple[K, list[K]]:
        """(a connection that can be used now, those found dead on the way, to be closed)."""
        dead = _drained(self.stale)
        if self.shared:
            if not self._idle:
                self._idle.append(self._make())
            return self._idle[0], dead
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._begin(self._make()), dead
            if not connection.has_expired() and connection.is_idle():  # type: ignore[union-attr]
                return self._begin(connection), dead
            dead.append(connection)

    def _begin(self, connection: K) -> K:
        self._busy.add(connection)
        return connection

    def give(self, connection: K) -> bool:
        """Keep a connection for the next call; False if it must be closed instead."""
        if self.shared:
            return True
        self._busy.discard(connection)
        if not connection.is_idle():  # type: ignore[union-attr]  # a pool is always shared
            return False
        self._idle.append(connection)
        return True

    def expired(self) -> list[K]:
        """The idle connections that are of no more use, to be closed."""
        dead: list[K] = []
        for _ in range(0 if self.shared else len(self._idle)):
            try:
                connection = self._idle.popleft()
            except IndexError:  # another thread was faster
                break
            gone = connection.has_expired()  # type: ignore[union-attr]  # a pool is always shared
            (dead if gone else self._idle).append(connection)
        return dead

    def empty(self) -> list[K]:
        """All idle connections, to be closed."""
        return _drained(self._idle) + _drained(self.stale)

    def abandoned(self) -> list[K]:
        """The connections in use, for the end of their loop, when nobody can be using them."""
        return list(self._busy)


def _drained(connections: deque[K]) -> list[K]:
    """All of *connections*, each given to one thread alone."""
    taken: list[K] = []
    while connections:
        try:
            taken.append(connections.popleft())
        except IndexError:  # another thread was faster
            break
    return taken


class Pool(Generic[K]):
    """The stacks of all origins; one pool for all threads, and one for each event loop."""

    def __init__(self, make: Callable[[httpcore.Origin, str | None], K]) -> None:
        self._make: Callable[[httpcore.Origin, str | None], K] = make
        self._stacks: dict[tuple[bytes, bytes, int | None, str | None], Stack[K]] = {}

    def stack(self, url: httpcore.URL, text: str) -> Stack[K]:
        """The stack for requests to *url*, which is *text* taken apart."""
        proxy = proxy_for(text)
        key = (url.scheme, url.host, url.port, proxy)
        stack = self._stacks.get(key)
        if stack is None:
            origin = url.origin
            made = Stack[K](lambda: self._make(origin, proxy), shared=proxy is not None)
            stack = self._stacks.setdefault(key, made)
            # A program may go on to ever new origins, as local engines are, and ask none again.
            for other in list(self._stacks.values()):
                stack.stale.extend(other.expired())
        return stack

    def empty(self) -> list[K]:
        """All idle connections, to be closed."""
        return [connection for stack in self._stacks.values() for connection in stack.empty()]

    def abandoned(self) -> list[K]:
        """All connections in use."""
        return [connection for stack in self._stacks.values() for connection in stack.abandoned()]


def _proxy(text: str) -> httpcore.Proxy:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None  # not chained: the error may show the password
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = (
            "the proxy's address in the environment is not http:// or https:// with a host; "
            "check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"
        )
        raise ConfigError(msg)
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    bare = httpcore.URL(scheme=parts.scheme, host=parts.hostname, port=port, target="/")
    return httpcore.Proxy(bare, auth=auth)


def sync_connection(origin: httpcore.Origin, proxy: str | None) -> Sync:
    """A connection to *origin*, or the pool of the proxy to go through."""
    context = tls() if origin.scheme == b"https" else None
    if proxy is not None:
        return httpcore.ConnectionPool(
            ssl_context=tls(),
            proxy=_proxy(proxy),
            max_connections=CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=SyncBackend(),
        )
    return httpcore.HTTPConnection(
        origin, ssl_context=context, keepalive_expiry=KEEP_ALIVE, network_backend=SyncBackend()
    )


def async_connection(origin: httpcore.Origin, proxy: str | None) -> Async:
    """A connection to *origin*, or the pool of the proxy to go through."""
    context = tls() if origin.scheme == b"https" else None
    if proxy is not None:
        return httpcore.AsyncConnectionPool(
            ssl_context=tls(),
            proxy=_proxy(proxy),
            max_connections=CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=AsyncBackend(),
        )
    return httpcore.AsyncHTTPConnection(
        origin, ssl_context=context, keepalive_expiry=KEEP_ALIVE, network_backend=AsyncBackend()
    )
