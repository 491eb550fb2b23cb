"""An exchange that a tape listens to, or that comes off one. Same face as `Exchange`."""

from __future__ import annotations

import asyncio
import time

from modelplug.tapes import Played, Recorder, Tape
from modelplug.transport.exchange import AsyncExchange, Exchange
from modelplug.transport.network import AsyncStream, SyncStream
from modelplug.transport.patience import Patience
from modelplug.transport.pool import Pool
from modelplug.wire import Request, Response


class TapedExchange(Exchange):
    """An exchange whose reply goes on the tape."""

    def __init__(
        self, pool: Pool[SyncStream], request: Request, patience: Patience, tape: Tape
    ) -> None:
        super().__init__(pool, request, patience)
        self._tape = tape
        self._recorder: Recorder | None = None

    def open(self) -> Exchange:
        """See Exchange."""
        super().open()
        self._recorder = Recorder(self._tape, self._request, self.response)
        return self

    def read(self) -> bytes | None:
        """See Exchange."""
        piece = super().read()
        if self._recorder is not None:
            self._recorder.piece(piece)
        return piece

    def close(self) -> None:
        """See Exchange."""
        super().close()
        if self._recorder is not None:
            self._recorder.done()
            self._recorder = None


class AsyncTapedExchange(AsyncExchange):
    """As `TapedExchange`."""

    def __init__(
        self, pool: Pool[AsyncStream], request: Request, patience: Patience, tape: Tape
    ) -> None:
        super().__init__(pool, request, patience)
        self._tape = tape
        self._recorder: Recorder | None = None

    async def open(self) -> AsyncExchange:
        """See Exchange."""
        await super().open()
        self._recorder = Recorder(self._tape, self._request, self.response)
        return self

    async def read(self) -> bytes | None:
        """See Exchange."""
        piece = await super().read()
        if self._recorder is not None:
            self._recorder.piece(piece)
        return piece

    def close(self) -> None:
        """See Exchange."""
        super().close()
        if self._recorder is not None:
            self._recorder.done()
            self._recorder = None


class PlayedExchange:
    """A reply off the tape; no connection is opened."""

    def __init__(self, played: Played) -> None:
        self._played = played
        self.response: Response = played.response

    def read(self) -> bytes | None:
        """See Exchange."""
        pause, piece = self._played.read()
        if pause:
            time.sleep(pause)
        return piece

    def drain(self) -> None:
        """Nothing is left open."""

    def close(self) -> None:
        """Nothing is left open."""


class AsyncPlayedExchange(PlayedExchange):
    """As `PlayedExchange`."""

    async def read(self) -> bytes | None:  # type: ignore[override]  # the async face
        """See AsyncExchange."""
        pause, piece = self._played.read()
        if pause:
            await asyncio.sleep(pause)
        return piece

    async def drain(self) -> None:  # type: ignore[override]  # the async face
        """Nothing is left open."""
