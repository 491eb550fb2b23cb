"""Server-sent events, from bytes that may be cut anywhere."""

from __future__ import annotations

from modelplug.errors import BadReply

LARGEST_EVENT = 64 * 1024 * 1024
"""Bytes of one server-sent event beyond which the stream is refused; images come as base64."""


ServerSentEvent = tuple[bytes, str]
"""(data, name) of one event of a `text/event-stream`; "" unless an `event:` line named it."""


class SSEDecoder:
    """
    Bytes, cut anywhere, to server-sent events (the WHATWG HTML standard, section 9.2).

    Works on bytes, so a UTF-8 character cut in two is whole again before anything decodes
    it. LF, CRLF and lone CR end a line; a byte order mark, comments and empty events are
    skipped; several `data` lines are joined by LF. Beyond the standard: a line named
    `error` is an event of that name (older llama.cpp servers send errors so).
    """

    def __init__(self) -> None:
        self._rest = b""
        self._pieces: list[bytes] = []  # what follows `_rest` in a line that has not ended
        self._data: list[bytes] = []
        self._unended = 0
        self._name = ""
        self._size = 0
        self._started = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that *chunk* completes."""
        # What most servers send at a time; seen at once it costs half as much (2026-11).
        if (
            chunk.startswith(b"data: ")
            and chunk.find(b"\n") == len(chunk) - 2
            and chunk.endswith(b"\n")
            and b"\r" not in chunk
            and not (self._rest or self._data or self._name)
        ):
            self._started = True
            return [(chunk[6:-2], "")]
        data = chunk
        if self._rest:
            if self._goes_on(chunk):
                return []
            data = b"".join((self._rest, *self._pieces, chunk))
            self._pieces.clear()
            self._unended = 0
        if not self._started:
            if len(data) < 3 and b"\xef\xbb\xbf".startswith(data):
                self._rest = data
                return []
            data = data.removeprefix(b"\xef\xbb\xbf")
            self._started = True
        if b"\r" in data:
            held = data.endswith(b"\r")  # may be half of a CRLF
            body = data[:-1] if held else data
            data = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + (b"\r" if held else b"")
        lines = data.split(b"\n")
        self._rest = lines.pop()
        self._check_size(len(self._rest))
        events: list[ServerSentEvent] = []
        for line in lines:
            if line.startswith(b"data:"):
                piece = line[6:] if line[5:6] == b" " else line[5:]
                self._data.append(piece)
                self._size += len(piece) + 1  # its end of line too: a million empty ones add up
            elif not line:
                self._dispatch(events)
            else:
                self._other(line)
        return events

    def _goes_on(self, chunk: bytes) -> bool:
        # Joined once, at its end: joining at each piece took 13 s for a line of 32 MB (2026-11).
        if not self._started or b"\n" in chunk or b"\r" in chunk or self._rest.endswith(b"\r"):
            return False
        self._pieces.append(chunk)
        self._unended += len(chunk)
        self._check_size(len(self._rest) + self._unended)
        return True

    def _check_size(self, unended: int) -> None:
        if self._size + unended > LARGEST_EVENT:
            msg = f"a stream event is larger than {LARGEST_EVENT} bytes"
            raise BadReply(msg)

    def finish(self) -> list[ServerSentEvent]:
        """The event that the end of the stream completes; servers forget the last blank line."""
        events = self.feed(b"\n\n") if self._rest or self._data else []
        self._rest = b""
        return events

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append((data, self._name))
            self._data = []
            self._size = 0
        self._name = ""

    def _other(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"event":
            self._name = value.strip().decode("utf-8", "replace")
        elif name == b"data":  # a data line without a colon is an empty one
            self._data.append(b"")
            self._size += 1
        elif name == b"error":
            self._name = "error"
            self._data.append(value.strip())
            self._size += len(value) + 1
