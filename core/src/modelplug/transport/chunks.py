"""
Chunked bodies past h11: chunks of the plain form are taken here, all others are left to it.

A token's chunk costs 16 µs in h11, which is more than its event costs in all; here it is 1,
and what one read brings is one piece (2026-11, h11 0.16). h11 stays the judge: it reads the
head, the last chunk with what follows it, and from the first chunk on that is not of the plain
form, all the rest.
"""

from __future__ import annotations

import re

_SIZE = re.compile(rb"0{0,4}([1-9A-Fa-f][0-9A-Fa-f]{0,3})\r\n")
_PART_OF_A_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}\r?")


class PlainChunks:
    """
    `transfer-encoding: chunked`, as long as each chunk has a size of up to four digits, no
    extension, and CRLFs where they belong (RFC 9112, section 7.1).

    Only whole chunks are taken, so that at any time h11 can go on with `rest`.
    """

    def __init__(self) -> None:
        self.rest = b""
        self.ended = False
        """Whether `rest` is for h11: the last chunk, one of another form, or a body cut short."""

    def feed(self, data: bytes) -> bytes:
        """The bodies of the chunks that *data* completes; b"" is the end of the connection."""
        self.ended = not data
        if self.rest:
            data = self.rest + data
        size = _SIZE.match(data)
        if size and len(data) == size.end() + int(size[1], 16) + 2 and data.endswith(b"\r\n"):
            self.rest = b""
            return data[size.end() : -2]  # one chunk, as most reads of a stream are
        pieces = []
        at = 0
        while size := _SIZE.match(data, at):
            begin = size.end()
            end = begin + int(size[1], 16)
            if len(data) < end + 2:
                break
            if not data.startswith(b"\r\n", end):
                self.ended = True
                break
            pieces.append(data[begin:end])
            at = end + 2
        self.rest = data[at:]
        if size is None and self.rest and not _PART_OF_A_SIZE.fullmatch(self.rest):
            self.ended = True
        return b"".join(pieces)
