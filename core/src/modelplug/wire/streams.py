"""Replies that stream as server-sent events."""

from __future__ import annotations

from typing import Any

from modelplug.errors import TransportFailed
from modelplug.sse import SSEDecoder
from modelplug.types import Event
from modelplug.wire.codec import Codec


class EventDecoder:
    """
    Server-sent events to ours; exactly one Finish, last.

    A subclass gives `event` and `end`, and sets `reason` once the server says why the answer
    ended: a body that ends without one was cut short. `finished` may be set by `end`, where
    what follows it in the body means nothing.
    """

    def __init__(self, codec: Codec[Any, Any]) -> None:
        self.finished = False
        self.reason: str | None = None
        self.codec = codec
        self._sse = SSEDecoder()

    def event(self, data: bytes, name: str, events: list[Event]) -> None:
        """Append to *events* what *data* of the event *name* says."""
        raise NotImplementedError

    def end(self, events: list[Event]) -> None:
        """Append the last events."""
        raise NotImplementedError

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        """Append to *events* what *chunk* completes."""
        for data, name in self._sse.feed(chunk):
            self.event(data, name, events)
            if self.finished:
                return

    def finish(self, events: list[Event]) -> None:
        """The end of the body: append the last events; TransportFailed if it was cut short."""
        if self.finished:
            return
        for data, name in self._sse.finish():
            self.event(data, name, events)
        if self.finished:
            return
        if self.reason is None:
            msg = f"the stream of {self.codec.endpoint.provider} ended before the answer did"
            raise TransportFailed(msg)
        self.end(events)
