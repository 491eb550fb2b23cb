"""
A loopback server that speaks prepared OpenAI bytes, as fast as Python can.

    python server.py            prints its port, serves until its standard input closes

Every reply is built before the first request, so that what is measured is the client. The
first path segment tells how a stream is written: `/v1` in a few large writes, `/pieces/v1`
with one write for each chunk, at least half a millisecond apart, `/short/v1` as `/v1` with
10 chunks instead of 200. Each chunk is an HTTP chunk of its own, as real servers send them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import sys
from array import array
from collections.abc import Sequence
from typing import cast

CHUNKS = 200
SHORT = 10
VECTORS = 32
DIMENSIONS = 1024
LARGE_WRITE = 16 * 1024
PACE = 0.0005


def answer_text(chunks: int = CHUNKS) -> list[str]:
    """The pieces that a stream of *chunks* chunks gives."""
    return [f"word{place} " for place in range(chunks)]


def vectors() -> list[array[float]]:
    """The vectors of every embedding reply: float32, so that both encodings give them exactly."""
    numbers = random.Random(7)  # noqa: S311 - the same numbers in every process, no secrets
    return [array("f", (numbers.gauss(0, 0.03) for _ in range(DIMENSIONS))) for _ in range(VECTORS)]


def _reply(body: object) -> bytes:
    data = json.dumps(body).encode()
    head = (
        "HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: application/json\r\n"
        f"x-request-id: req_bench\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def _chat() -> bytes:
    message = {"role": "assistant", "content": "".join(answer_text(20))}
    return _reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1760000000,
            "model": "m-2026-01-01",
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 40, "total_tokens": 49},
        }
    )


def sse_events(chunks: int = CHUNKS) -> list[bytes]:
    """The events of one chat stream, each with its blank line."""
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant", "content": ""}, None),
        *(({"content": piece}, None) for piece in answer_text(chunks)),
        ({}, "stop"),
    ]
    events = []
    for delta, reason in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        events.append(_chunk({"choices": [choice]}))
    usage = {"prompt_tokens": 9, "completion_tokens": chunks, "total_tokens": 9 + chunks}
    events.append(_chunk({"choices": [], "usage": usage}))
    events.append(b"data: [DONE]\n\n")
    return events


def _chunk(rest: dict[str, object]) -> bytes:
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "m-2026-01-01",
        "system_fingerprint": "fp_1",
    }
    return b"data: " + json.dumps({**head, **rest}, separators=(",", ":")).encode() + b"\n\n"


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _stream(chunks: int) -> list[bytes]:
    framed = [b"%x\r\n%b\r\n" % (len(event), event) for event in sse_events(chunks)]
    return [_STREAM_HEAD, *framed[:-1], framed[-1] + b"0\r\n\r\n"]


def _together(pieces: Sequence[bytes]) -> list[bytes]:
    whole = b"".join(pieces)
    return [whole[at : at + LARGE_WRITE] for at in range(0, len(whole), LARGE_WRITE)]


def _embeddings(*, as_base64: bool) -> bytes:
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode()
            if as_base64
            else vector.tolist(),
        }
        for index, vector in enumerate(vectors())
    ]
    usage = {"prompt_tokens": 300, "total_tokens": 300}
    return _reply({"object": "list", "model": "m-embed", "data": data, "usage": usage})


class Replies:
    """All that the server ever says."""

    def __init__(self) -> None:
        self.chat = _chat()
        self.pieces = _stream(CHUNKS)
        self.large = _together(self.pieces)
        self.short = _together(_stream(SHORT))
        self.floats = _embeddings(as_base64=False)
        self.base64 = _embeddings(as_base64=True)

    def to(self, path: bytes, body: bytes) -> list[bytes]:
        """The writes that answer one request."""
        if path.endswith(b"/embeddings"):
            return [self.base64 if b'"base64"' in body else self.floats]
        if b'"stream":true' not in body.replace(b": ", b":"):
            return [self.chat]
        if path.startswith(b"/pieces/"):
            return self.pieces
        return self.short if path.startswith(b"/short/") else self.large


class Connection(asyncio.Protocol):
    """One kept-alive connection; requests do not overlap on it."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        lower = head.lower()
        length = 0
        if b"content-length:" in lower:
            length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._received = rest[length:]
        path = head.split(b" ", 2)[1]
        writes = self._replies.to(path, rest[:length])
        if path.startswith(b"/pieces/"):
            self._paced(writes, 0)
        else:
            self._transport.writelines(writes)

    def _paced(self, writes: list[bytes], at: int) -> None:
        if at == len(writes) or self._transport.is_closing():
            return
        self._transport.write(writes[at])
        asyncio.get_running_loop().call_later(PACE, self._paced, writes, at + 1)


async def serve() -> None:
    """Serve on a free port until standard input closes."""
    replies = Replies()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(replies), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
