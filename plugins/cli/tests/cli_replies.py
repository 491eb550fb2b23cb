"""Replies of a server on OpenAI's wire, written by hand from its reference."""

from __future__ import annotations

import json
import threading
from typing import Any

from modelplug.testing import Reply

JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}


def whole(text: str, usage: dict[str, int] | None = None) -> Reply:
    """One answer in one piece."""
    message = {"role": "assistant", "content": text}
    body: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion",
        "model": "moon-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    if usage:
        body["usage"] = usage
    return Reply(headers=JSON, body=json.dumps(body).encode())


def streamed(*pieces: str | threading.Event, thoughts: str = "") -> Reply:
    """An answer in pieces; an event among them is waited for."""
    body: list[bytes | threading.Event] = [_chunk({"role": "assistant", "content": ""})]
    if thoughts:
        body.append(_chunk({"reasoning_content": thoughts}))
    body += [_chunk({"content": p}) if isinstance(p, str) else p for p in pieces]
    body += [_chunk({}, "stop"), b"data: [DONE]\n\n"]
    return Reply(headers=SSE, body=body)


def refused(status: int, message: str) -> Reply:
    """An error."""
    body = {"error": {"message": message, "type": "error", "code": "no"}}
    return Reply(status, JSON, json.dumps(body).encode())


def vectors(*vectors: list[float]) -> Reply:
    """Embeddings."""
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    body = {"object": "list", "model": "moon-embed", "data": data, "usage": usage}
    return Reply(headers=JSON, body=json.dumps(body).encode())


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "model": "moon-1", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
