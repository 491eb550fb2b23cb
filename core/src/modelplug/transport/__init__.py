"""
The one package that does network I/O: it runs flows, sync and async.

It speaks HTTP/1.1 by h11, over sockets whose waits all ask one clock. Redirects (a key must not
follow one to another host), cookies, and a log line with the URL are what httpx's client
would add, and none is wanted. httpx itself gives multipart bodies and the TLS settings.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any, TypeVar, cast

from modelplug.errors import CallError, Unsupported
from modelplug.tapes import current
from modelplug.transport.exchange import SWITCHING, AsyncExchange, Exchange
from modelplug.transport.network import AsyncStream, SyncStream
from modelplug.transport.patience import Group, Patience
from modelplug.transport.pool import Connection, Pool
from modelplug.transport.taped import (
    AsyncPlayedExchange,
    AsyncTapedExchange,
    PlayedExchange,
    TapedExchange,
)
from modelplug.transport.waiting import waiting
from modelplug.types import Event, Finish, Timeouts
from modelplug.wire import Blocking, EventFlow, Flow, Request, Response, Together, Upgrade

__all__ = ["Transport", "shared"]

T = TypeVar("T")
Pick = Callable[[list[Event]], Iterable[Any]]


class Transport:
    """Runs flows over kept-alive connections. One for the process, `shared()`, is enough."""

    def __init__(self) -> None:
        self._pool: Pool[SyncStream] = Pool()
        self._loops: dict[
            asyncio.AbstractEventLoop, tuple[Pool[AsyncStream], AsyncGenerator[None]]
        ] = {}
        self._lock = threading.Lock()

    # Sync and async are the same lines, with `await`.

    def run(self, flow: Flow[T], timeouts: Timeouts | None = None, group: Group | None = None) -> T:
        """Run *flow* to its result, within *timeouts* rather than those of its requests."""
        patience: Patience | None = None
        try:
            step = next(flow)
            while True:
                try:
                    if isinstance(step, Together):
                        answer: Any = self._together(step, timeouts)
                    elif isinstance(step, Blocking):
                        answer = step.function()
                    elif isinstance(step, Upgrade):
                        patience = patience or Patience(timeouts or step.request.timeouts, group)
                        answer = self._talk(step, patience)
                    else:
                        patience = patience or Patience(timeouts or step.timeouts, group)
                        answer = self._fetch(step, patience)
                except BaseException as error:  # noqa: BLE001 - the flow decides, Ctrl-C too
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            return cast("T", stop.value)

    async def arun(self, flow: Flow[T], timeouts: Timeouts | None = None) -> T:
        """Run *flow* to its result, within *timeouts* rather than those of its requests."""
        patience: Patience | None = None
        try:
            step = next(flow)
            while True:
                try:
                    if isinstance(step, Together):
                        answer: Any = await self._atogether(step, timeouts)
                    elif isinstance(step, Blocking):
                        answer = await asyncio.to_thread(step.function)
                    elif isinstance(step, Upgrade):
                        patience = patience or Patience(timeouts or step.request.timeouts)
                        answer = await self._atalk(step, patience)
                    else:
                        patience = patience or Patience(timeouts or step.timeouts)
                        answer = await self._afetch(step, patience)
                except BaseException as error:  # noqa: BLE001 - the flow decides, Ctrl-C too
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            return cast("T", stop.value)

    def _fetch(self, request: Request, patience: Patience) -> Response:
        exchange = self._open(request, patience)
        exchange.close()
        return exchange.response

    def _open(self, request: Request, patience: Patience) -> Exchange | PlayedExchange:
        if request.delay:
            with waiting(request.waiting_for):
                patience.sleep(request.delay)
        tape = current()
        if tape is None:
            return Exchange(self._pool, request, patience).open()
        if tape.records:
            return TapedExchange(self._pool, request, patience, tape).open()
        return PlayedExchange(tape.find(request))

    def _talk(self, step: Upgrade, patience: Patience) -> Any:
        exchange = self._open(_untaped(step), patience)
        try:
            if not isinstance(exchange, Exchange) or exchange.response.status != SWITCHING:
                return exchange.response
            return exchange.talk(step.begin(exchange.response))
        finally:
            exchange.close()

    async def _atalk(self, step: Upgrade, patience: Patience) -> Any:
        exchange = await self._aopen(_untaped(step), patience)
        try:
            if not isinstance(exchange, AsyncExchange) or exchange.response.status != SWITCHING:
                return exchange.response
            return await exchange.talk(step.begin(exchange.response))
        finally:
            exchange.close()

    async def _afetch(self, request: Request, patience: Patience) -> Response:
        exchange = await self._aopen(request, patience)
        exchange.close()
        return exchange.response

    async def _aopen(
        self, request: Request, patience: Patience
    ) -> AsyncExchange | AsyncPlayedExchange:
        if request.delay:
            with waiting(request.waiting_for):
                await asyncio.sleep(patience.allow(request.delay))
        tape = current()
        if tape is not None and not tape.records:
            return AsyncPlayedExchange(tape.find(request))
        pool = await self._loop_pool()
        if tape is None:
            return await AsyncExchange(pool, request, patience).open()
        return await AsyncTapedExchange(pool, request, patience, tape).open()

    def stream(
        self, flow: EventFlow, timeouts: Timeouts | None = None, pick: Pick = iter
    ) -> Generator[Any, None, None]:
        """
        Run a flow that streams; closing the generator ends the request.

        It gives what *pick* takes from each list of events; all of them, where none is given.
        """
        patience: Patience | None = None
        exchange: Exchange | PlayedExchange | None = None
        answer: Any
        try:
            step = next(flow)
            while True:
                try:
                    if isinstance(step, list):  # first: the others come once or twice in a call
                        yield from pick(step)
                        # What follows the last event in the body is not waited for.
                        if exchange is None or (step and type(step[-1]) is Finish):
                            answer = None
                        else:
                            answer = exchange.read()
                    elif isinstance(step, Request):
                        if exchange is not None:
                            exchange.close()
                            exchange = None
                        patience = patience or Patience(timeouts or step.timeouts)
                        exchange = self._open(step, patience)
                        answer = exchange.response
                    elif isinstance(step, Together):
                        answer = self._together(step, timeouts)
                    elif isinstance(step, Blocking):
                        answer = step.function()
                    else:
                        patience = patience or Patience(timeouts or step.request.timeouts)
                        answer = self._talk(step, patience)
                except CallError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration:
            if exchange is not None:
                exchange.drain()
        finally:
            if exchange is not None:
                exchange.close()
            flow.close()

    async def astream(
        self, flow: EventFlow, timeouts: Timeouts | None = None, pick: Pick = iter
    ) -> AsyncGenerator[Any, None]:
        """As `stream`."""
        patience: Patience | None = None
        exchange: AsyncExchange | AsyncPlayedExchange | None = None
        answer: Any
        try:
            step = next(flow)
            while True:
                try:
                    if isinstance(step, list):  # first: the others come once or twice in a call
                        for told in pick(step):
                            yield told
                        # What follows the last event in the body is not waited for.
                        if exchange is None or (step and type(step[-1]) is Finish):
                            answer = None
                        else:
                            answer = await exchange.read()
                    elif isinstance(step, Request):
                        if exchange is not None:
                            exchange.close()
                            exchange = None
                        patience = patience or Patience(timeouts or step.timeouts)
                        exchange = await self._aopen(step, patience)
                        answer = exchange.response
                    elif isinstance(step, Together):
                        answer = await self._atogether(step, timeouts)
                    elif isinstance(step, Blocking):
                        answer = await asyncio.to_thread(step.function)
                    else:
                        patience = patience or Patience(timeouts or step.request.timeouts)
                        answer = await self._atalk(step, patience)
                except CallError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration:
            if exchange is not None:
                await exchange.drain()
        finally:
            if exchange is not None:
                exchange.close()
            flow.close()

    def _together(self, step: Together, timeouts: Timeouts | None) -> list[Any]:
        workers = max(1, min(step.concurrency, len(step.flows)))
        done, group = _Counter(step), Group()
        executor = ThreadPoolExecutor(workers, "modelplug")
        try:
            futures: list[Future[Any]] = [
                executor.submit(contextvars.copy_context().run, self.run, flow, timeouts, group)
                for flow in step.flows
            ]
            for future in as_completed(futures):
                future.result()
                done.one()
            return [future.result() for future in futures]
        except BaseException:
            group.give_up()  # the others end now, not at their time limits; Ctrl-C too
            raise
        finally:
            executor.shutdown(cancel_futures=True)

    async def _atogether(self, step: Together, timeouts: Timeouts | None) -> list[Any]:
        places = asyncio.Semaphore(max(1, step.concurrency))
        done = _Counter(step)

        async def one(flow: Flow[Any]) -> Any:
            async with places:
                result = await self.arun(flow, timeouts)
            done.one()
            return result

        tasks = [asyncio.create_task(one(flow)) for flow in step.flows]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def _loop_pool(self) -> Pool[AsyncStream]:
        loop = asyncio.get_running_loop()
        if loop in self._loops:
            return self._loops[loop][0]
        with self._lock:
            # A client keeps its loop alive, so weak keys would never be dropped.
            for closed in [known for known in self._loops if known.is_closed()]:
                del self._loops[closed]
            pool: Pool[AsyncStream] = Pool()
            keeper = _until_loop_ends(pool)
            self._loops[loop] = pool, keeper
        await anext(keeper)
        return pool

    def close(self) -> None:
        """Close the idle connections of threads; those of a loop are closed as it ends."""
        for connection in self._pool.empty():
            connection.close()

    async def aclose(self) -> None:
        """Close the idle connections of the running loop."""
        if entry := self._loops.get(asyncio.get_running_loop()):
            await _close(entry[0].empty())

    def forked(self) -> None:
        """In a forked child: leave the parent's connections alone and begin with none."""
        # Closing a socket here ends nothing for the parent, which has it open as well.
        self.close()
        self._pool = Pool()
        self._loops = {}
        self._lock = threading.Lock()


async def _until_loop_ends(pool: Pool[AsyncStream]) -> AsyncGenerator[None]:
    """
    Close *pool* as the running loop ends.

    `asyncio.run` closes all begun async generators before the loop, the one moment at which
    connections can still be closed cleanly; nothing else tells that a loop will end.
    """
    try:
        yield
    finally:
        # Those in use belong to streams that were left with `break`: asyncio cancels what would
        # have closed them when the loop ends right after.
        await _close([*pool.empty(), *pool.abandoned()])


async def _close(connections: Iterable[Connection[AsyncStream]]) -> None:
    for connection in connections:
        connection.close()
    await asyncio.sleep(0)  # asyncio closes an aborted socket in its next round


def _untaped(step: Upgrade) -> Request:
    """The request of *step*; Unsupported where a tape is running, which holds replies alone."""
    if current() is not None:
        msg = "a tape holds no conversations, and this model is spoken to in one; take another"
        raise Unsupported(msg)
    return step.request


class _Counter:
    """Tells a `Together` how far it is."""

    def __init__(self, step: Together) -> None:
        self._step = step
        self._done = 0

    def one(self) -> None:
        self._done += 1
        if self._step.progress is not None:
            self._step.progress(self._done, len(self._step.flows))


_shared: Transport | None = None
_sharing = threading.Lock()


def shared() -> Transport:
    """The transport of this process, made at the first call."""
    global _shared
    if _shared is None:
        with _sharing:
            if _shared is None:
                _shared = Transport()
                atexit.register(_shared.close)
                os.register_at_fork(after_in_child=_shared.forked)
    return _shared
