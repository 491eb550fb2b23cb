"""
Kept-alive connections, as one stack for each route.

httpcore's pool looks through all its connections for each request: 64 calls at once cost
2 to 2.5 times the CPU of one at a time with it, and no more than one at a time with a stack
(2026-11).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Generic, TypeVar

from modelplug.transport.http1 import Http1
from modelplug.transport.network import AsyncStream, SyncStream
from modelplug.transport.routes import Route

CONNECTIONS = 256
"""Most connections along one route, for all threads together or for one event loop."""

KEEP_ALIVE = 30.0
"""Seconds that an idle connection is kept; most servers close theirs after 60 or more."""

S = TypeVar("S", SyncStream, AsyncStream)


class Connection(Generic[S]):
    """A socket, once there is one, and what is spoken on it."""

    def __init__(self) -> None:
        self.stream: S | None = None
        self.http = Http1()
        self.expires = 0.0

    @property
    def usable(self) -> bool:
        """Whether it is connected, and neither side has had enough of it."""
        stream = self.stream
        return stream is not None and time.monotonic() < self.expires and not stream.readable

    def renewed(self) -> Http1:
        """Begin anew, without a socket."""
        self.close()
        self.stream, self.http = None, Http1()
        return self.http

    def close(self) -> None:
        """Close the socket."""
        if self.stream is not None:
            self.stream.close()


class Stack(Generic[S]):
    """The idle connections along a route, the last used on top, and how many may be open."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self._idle: deque[Connection[S]] = deque()
        self._busy: set[Connection[S]] = set()
        self.stale: deque[Connection[S]] = deque()  # of other routes, for the next one who takes
        self.places = threading.BoundedSemaphore(CONNECTIONS)
        self.async_places = asyncio.Semaphore(CONNECTIONS)

    def take(self) -> Connection[S]:
        """A connection that can be used now, or is not connected; those found dead are closed."""
        for dead in _drained(self.stale):
            dead.close()
        try:
            while not (connection := self._idle.pop()).usable:
                connection.close()
        except IndexError:
            connection = Connection[S]()
        self._busy.add(connection)
        return connection

    def give(self, connection: Connection[S]) -> None:
        """Keep a connection for the next call, or close it if it is of no more use."""
        self._busy.discard(connection)
        if connection.http.again():
            connection.expires = time.monotonic() + KEEP_ALIVE
            self._idle.append(connection)
        else:
            connection.close()

    def expired(self) -> list[Connection[S]]:
        """The idle connections that are of no more use, to be closed."""
        dead: list[Connection[S]] = []
        for _ in range(len(self._idle)):
            try:
                connection = self._idle.popleft()
            except IndexError:  # another thread was faster
                break
            (self._idle if connection.usable else dead).append(connection)
        return dead

    def empty(self) -> list[Connection[S]]:
        """All idle connections, to be closed."""
        return _drained(self._idle) + _drained(self.stale)

    def abandoned(self) -> list[Connection[S]]:
        """The connections in use, for the end of their loop, when nobody can be using them."""
        return list(self._busy)


def _drained(connections: deque[Connection[S]]) -> list[Connection[S]]:
    """All of *connections*, each given to one thread alone."""
    taken: list[Connection[S]] = []
    while connections:
        try:
            taken.append(connections.popleft())
        except IndexError:  # another thread was faster
            break
    return taken


class Pool(Generic[S]):
    """The stacks of all routes; one pool for all threads, and one for each event loop."""

    def __init__(self) -> None:
        self._stacks: dict[Route, Stack[S]] = {}

    def stack(self, route: Route) -> Stack[S]:
        """The stack for requests along *route*."""
        stack = self._stacks.get(route)
        if stack is None:
            stack = self._stacks.setdefault(route, Stack[S](route))
            # A program may go on to ever new servers, as local engines are, and ask none again.
            for other in list(self._stacks.values()):
                stack.stale.extend(other.expired())
        return stack

    def empty(self) -> list[Connection[S]]:
        """All idle connections, to be closed."""
        return [connection for stack in self._stacks.values() for connection in stack.empty()]

    def abandoned(self) -> list[Connection[S]]:
        """All connections in use."""
        return [connection for stack in self._stacks.values() for connection in stack.abandoned()]
