"""An SDK's asyncio client, called as its other one is: so it sends the same, or a test fails."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from common import Case

from modelplug.testing import FaultServer


class Blocking:
    """*target* with each coroutine awaited, and each asynchronous iterator read to its end."""

    def __init__(self, target: Any, runner: asyncio.Runner) -> None:
        self._target, self._runner = target, runner

    def __getattr__(self, name: str) -> Blocking:
        return Blocking(getattr(self._target, name), self._runner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        async def settled() -> Any:
            result = self._target(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
            if hasattr(result, "__aiter__"):
                return [item async for item in result]
            return result

        result = self._runner.run(settled())
        return Blocking(result, self._runner) if hasattr(result, "__aenter__") else result

    def __enter__(self) -> Blocking:
        return Blocking(self._runner.run(self._target.__aenter__()), self._runner)

    def __exit__(self, *exc: Any) -> None:
        self._runner.run(self._target.__aexit__(*exc))


@contextmanager
def blocking(make: Callable[[], Any]) -> Iterator[Blocking]:
    """What *make* makes, inside an event loop of its own."""
    with asyncio.Runner() as runner:

        async def made() -> Any:
            return make()

        yield Blocking(runner.run(made()), runner)


class AsyncClient:
    """What a `VendorSuite` also tests where the SDK has an asyncio client."""

    def async_sdk(self, server: FaultServer) -> Any:
        """The vendor's asyncio client, with KEY, for *server*."""
        raise NotImplementedError

    def test_the_asyncio_client_sends_and_reads_the_same(
        self: Any, awaited: Case, server: FaultServer
    ) -> None:
        self._serve(awaited, server)
        read = awaited.theirs(self.sdk(server), awaited.model)
        sent = list(server.requests)
        self._serve(awaited, server)

        with blocking(lambda: self.async_sdk(server)) as sdk:
            also = awaited.theirs(sdk, awaited.model)

        assert read == also
        found = self.differences(sent, server.requests[len(sent) :])
        assert {} == found, found
