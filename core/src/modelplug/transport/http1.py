"""
HTTP/1.1 on one connection, without I/O: the bytes to send, and what those received mean.

h11 reads and writes it all, but for the plain chunks of a body (see chunks.py). httpcore does the
same for callers who may share a connection; its locks, which nobody here needs, cost three rounds
of the event loop and with the rest of it a third of a short call's CPU (2026-11, httpcore 1.0.9).
"""

from __future__ import annotations

import re

import h11

from modelplug.transport.chunks import PlainChunks

LARGEST_HEAD = 100 * 1024
"""Bytes of a reply's head, or of one chunk's, beyond which it is refused."""

_HEAD_ENDS = re.compile(rb"\n\r?\n")  # as h11 looks for it

Headers = list[tuple[bytes, bytes]]


class Http1:
    """
    One request and its reply after the other.

    What is received goes to `head` until that gives one, then to `feed` until the body has
    `ended`; both raise h11.RemoteProtocolError for what is not HTTP.
    """

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
        self._plain: PlainChunks | None = None
        self.rest = b""
        """What came with the head of a reply, and follows it."""
        self.more = False
        """Whether the next piece of the body may be there already: ask `feed` with None."""
        self.ended = False
        """Whether the body has come to its end."""

    def request(self, method: str, target: bytes, headers: Headers, body: bytes) -> bytes:
        """The bytes of a request; h11.LocalProtocolError where a header cannot be sent."""
        send = self._h11.send
        head = send(h11.Request(method=method, target=target, headers=headers))
        data = send(h11.Data(data=body)) if body else b""
        return b"".join((head or b"", data or b"", send(h11.EndOfMessage()) or b""))

    def head(self, data: bytes) -> tuple[int, dict[str, str]] | None:
        """(status, headers with lower-case names) of the reply, if *data* completes its head."""
        if not data:
            msg = "the server closed the connection without an answer"
            raise h11.RemoteProtocolError(msg)
        seen = max(len(self.rest) - 2, 0)
        self.rest += data
        while (end := _HEAD_ENDS.search(self.rest, seen)) or len(self.rest) > LARGEST_HEAD:
            at, seen = end.end() if end else len(self.rest), 0
            self._h11.receive_data(self.rest[:at])
            self.rest = self.rest[at:]
            event = self._h11.next_event()
            if isinstance(event, h11.Response):
                self._begin(event)
            elif not isinstance(event, h11.InformationalResponse) or event.status_code != 101:
                continue  # such as "103 Early Hints", before the head
            return event.status_code, {
                name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers
            }
        return None

    def _begin(self, head: h11.Response) -> None:
        self.ended = self._h11.next_event() is not h11.NEED_DATA  # as after "204 No Content"
        self.more = bool(self.rest) and not self.ended
        if (b"transfer-encoding", b"chunked") in head.headers:
            self._plain = PlainChunks()
        else:
            self._plain = None
            if self.more:
                self._h11.receive_data(self.rest)
                self.rest = b""

    def feed(self, data: bytes | None) -> bytes:
        """
        The next bytes of the body, as far as *data* completes them; b"" is the end of the
        connection, None asks where `more` is set.
        """
        if self._plain is not None:
            if data is None:
                data, self.rest = self.rest, b""
            piece = self._plain.feed(data)
            self.more = self._plain.ended
            if self.more:
                if self._plain.rest:
                    self._h11.receive_data(self._plain.rest)
                if not data:
                    self._h11.receive_data(b"")
                self._plain = None
            return piece
        if data is not None:
            self._h11.receive_data(data)
        event = self._h11.next_event()
        self.more = isinstance(event, h11.Data)
        if isinstance(event, h11.Data):
            return bytes(event.data)
        self.ended = event is not h11.NEED_DATA
        return b""

    def again(self) -> bool:
        """Be ready for the next request; False where the connection is of no more use."""
        states = {self._h11.our_state, self._h11.their_state}
        if states != {h11.DONE} or self.rest or self._h11.trailing_data[0]:
            return False
        self._h11.start_next_cycle()
        return True
