"""The model's turn on the Messages wire, in one piece or as it streams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from modelplug.errors import BadReply
from modelplug.openai_wire.message import tool_call
from modelplug.structure import parse_json
from modelplug.types import Event, Finish, Reasoning, Text, ToolCall, ToolCallDelta, Usage
from modelplug.wire import Codec, EventDecoder, Response
from modelplug_anthropic.messages import WIRE

_GROWS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "input",
}
"""Which field of its block a delta adds to; those of other types are left alone."""

_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""`stop_reason` in our words; `pause_turn` is its own: the same turn, sent back, goes on."""

_COUNTS = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "thinking_tokens",
)


class _Block:
    """A block of the answer while it grows. `at` counts the calls."""

    def __init__(self, start: Mapping[str, Any], at: int) -> None:
        self.start = start
        self.at = at
        self.pieces: dict[str, list[str]] = defaultdict(list)

    @property
    def is_call(self) -> bool:
        return bool(self.start["type"] == "tool_use")

    def call(self) -> ToolCall:
        # `input` of the start is {} where pieces follow; servers without them put all there.
        arguments = "".join(self.pieces.get("input", ())) or self.start.get("input")
        return tool_call(self.start.get("id", ""), self.start.get("name", ""), arguments)

    def whole(self) -> dict[str, Any]:
        grown: dict[str, Any] = {
            name: "".join([self.start.get(name) or "", *pieces])
            for name, pieces in self.pieces.items()
            if name != "input"
        }
        return {**self.start, **grown, **self._input()}

    def _input(self) -> dict[str, Any]:
        return {"input": self.call().arguments} if "input" in self.pieces else {}


class Turn(EventDecoder):
    """A message, or the events of one, to ours."""

    def __init__(self, codec: Codec[Any, Any]) -> None:
        super().__init__(codec)
        self._head: Mapping[str, Any] | None = None
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._usage: dict[str, Any] = {}

    def whole(self, message: Any, events: list[Event]) -> None:
        """Append to *events* what *message*, a reply in one piece, holds."""
        with _readable(message):
            self._begin(message)
            for index, block in enumerate(message["content"]):
                self._begin_block(index, block, events)
            self.reason = message.get("stop_reason")
        self.end(events)

    def event(self, data: bytes, name: str, events: list[Event]) -> None:
        """One event of a stream."""
        if data.strip():  # some gateways keep the connection alive with blank ones
            event = parse_json(data)
            with _readable(event):
                self._take(event, data, events)

    def _take(self, event: Mapping[str, Any], data: bytes, events: list[Event]) -> None:
        # Types that are not named here, `ping` among them, may come at any time and mean nothing.
        match event.get("type"):
            case "message_start":
                self._begin(event["message"])
            case "content_block_start":
                self._begin_block(event["index"], event["content_block"], events)
            case "content_block_delta":
                self._grow(self._blocks[event["index"]], event["delta"], events)
            case "message_delta":
                self.reason = event["delta"].get("stop_reason") or self.reason
                self._count(event.get("usage"))
            case "message_stop":  # some servers leave it out
                self.end(events)
            case "error":
                raise self.codec.parse_error(Response(200, body=data))

    def _begin(self, message: Mapping[str, Any]) -> None:
        self._count(message.get("usage"))
        self._head = message

    def _begin_block(self, index: int, start: Mapping[str, Any], events: list[Event]) -> None:
        block = self._blocks[index] = _Block(start, self._calls)
        if block.is_call:
            self._calls += 1
            events.append(ToolCallDelta(block.at, start["id"], start["name"], ""))
        else:
            _tell(start["type"], start.get(start["type"]), events)

    def _grow(self, block: _Block, delta: Mapping[str, Any], events: list[Event]) -> None:
        name = _GROWS.get(delta["type"])
        if name is None:
            return
        piece = delta["partial_json" if name == "input" else name]
        block.pieces[name].append(piece)
        if name == "input" and block.is_call and piece:
            events.append(ToolCallDelta(block.at, block.start["id"], block.start["name"], piece))
        else:
            _tell(name, piece, events)

    def _count(self, usage: object) -> None:
        # Figures are totals so far, and the later one holds; null means that it did not change.
        if isinstance(usage, dict):
            self._usage |= {name: count for name, count in usage.items() if count is not None}

    def end(self, events: list[Event]) -> None:
        """The tool calls, the usage and the finish; BadReply where there was no answer."""
        if self._head is None:
            msg = f"the stream of {self.codec.endpoint.provider} ended without an answer"
            raise BadReply(msg)
        with _readable(self._head):
            events += [block.call() for block in self._blocks.values() if block.is_call]
            events.append(read_usage(self._usage))
            turn = native([block.whole() for block in self._blocks.values()])
            id, model = (str(self._head.get(name) or "") for name in ("id", "model"))
            reason = _REASONS.get(self.reason or "end_turn", self.reason or "")
            events.append(Finish(reason, model, id, turn))
        self.finished = True


@contextmanager
def _readable(reply: object) -> Iterator[None]:
    try:
        yield
    except (AttributeError, TypeError, KeyError) as exc:
        msg = f"the reply cannot be read as a message: {str(reply)[:200]}"
        raise BadReply(msg) from exc


def _tell(kind: str, piece: Any, events: list[Event]) -> None:
    if kind in ("text", "thinking") and piece:
        if not isinstance(piece, str):
            msg = f"{kind} is {type(piece).__name__}"
            raise TypeError(msg)
        events.append(Text(piece) if kind == "text" else Reasoning(piece))


def native(blocks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """*blocks*, where a turn of OpenAI's form could not hold all of them."""
    plain = all(block.get("type") in ("text", "tool_use") for block in blocks)
    return {} if plain else {WIRE: list(blocks)}


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """`usage`; what was read from a cache or written to it is part of the input."""
    details = usage.get("output_tokens_details")
    figures = {**usage, **(details if isinstance(details, Mapping) else {})}
    counts = [figures.get(name) for name in _COUNTS]
    *asked, said, thought = (count if type(count) is int else None for count in counts)
    known = [count for count in asked if count is not None]
    read = sum(known) if known else None
    total = None if read is None or said is None else read + said
    return Usage(read, said, total, thought, asked[2])
