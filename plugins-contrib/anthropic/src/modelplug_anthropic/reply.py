"""What a reply of the Messages wire holds, in one piece or when its stream has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelplug.types import Usage
from modelplug_anthropic.messages import WIRE

_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_PLAIN = {"text", "tool_use"}


def finish_reason(reason: str | None) -> str:
    """`stop_reason` in our words; `pause_turn` is its own: the same turn, sent back, goes on."""
    return _REASONS.get(reason or "end_turn", reason or "")


def native(blocks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """*blocks*, where a turn of OpenAI's form could not hold all of them."""
    if all(block.get("type") in _PLAIN for block in blocks):
        return {}
    return {WIRE: list(blocks)}


def read_usage(usage: object) -> Usage:
    """`usage`; what was read from a cache or written to it is part of the input."""
    if not isinstance(usage, Mapping):
        return Usage()
    sent = [
        _count(usage.get(name))
        for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    ]
    known = [count for count in sent if count is not None]
    read, said = sum(known) if known else None, _count(usage.get("output_tokens"))
    details = usage.get("output_tokens_details")
    thought = details.get("thinking_tokens") if isinstance(details, Mapping) else None
    total = None if read is None or said is None else read + said
    return Usage(read, said, total, _count(thought), sent[2])


def _count(value: object) -> int | None:
    return value if type(value) is int else None
