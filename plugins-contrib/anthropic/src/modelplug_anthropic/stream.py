"""Messages as they stream: bytes to events."""

from __future__ import annotations

from typing import Any

from modelplug.errors import BadReply, TransportFailed
from modelplug.openai_wire.message import tool_call
from modelplug.sse import SSEDecoder
from modelplug.structure import parse_json
from modelplug.types import Event, Finish, Reasoning, Text, ToolCall, ToolCallDelta
from modelplug.wire import Codec, Response
from modelplug_anthropic.reply import finish_reason, native, read_usage

_GROWS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "input",
}
"""Which field of its block a delta adds to; those of other types are left alone."""


class _Block:
    """A block of the answer while it grows. `at` counts the calls."""

    def __init__(self, start: dict[str, Any], at: int) -> None:
        self.start = start
        self.at = at
        self._pieces: dict[str, list[str]] = {}

    @property
    def is_call(self) -> bool:
        return bool(self.start["type"] == "tool_use")

    def add(self, name: str, piece: str) -> None:
        self._pieces.setdefault(name, []).append(piece)

    def whole(self) -> dict[str, Any]:
        grown: dict[str, Any] = {
            name: (self.start.get(name) or "") + "".join(pieces)
            for name, pieces in self._pieces.items()
            if name != "input"
        }
        if "input" in self._pieces:
            grown["input"] = tool_call("", "", "".join(self._pieces["input"])).arguments
        return {**self.start, **grown}

    def call(self) -> ToolCall:
        # `input` of the start is {} where pieces follow; servers without them put all there.
        arguments = "".join(self._pieces.get("input", ())) or self.start.get("input")
        return tool_call(self.start["id"], self.start["name"], arguments)


class MessagesDecoder:
    """Events of a Messages stream to ours; exactly one Finish, last."""

    def __init__(self, codec: Codec[Any, Any]) -> None:
        self.finished = False
        self._codec = codec
        self._sse = SSEDecoder()
        self._head: dict[str, Any] | None = None
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._reason: str | None = None
        self._usage: dict[str, Any] = {}

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        """Append to *events* what *chunk* completes."""
        for sse in self._sse.feed(chunk):
            self._event(sse.data, events)
            if self.finished:
                return

    def finish(self, events: list[Event]) -> None:
        """The end of the body. Without `message_stop` it is one only after a stop reason."""
        for sse in self._sse.finish():
            self._event(sse.data, events)
        if self.finished:
            return
        if self._reason is None:
            msg = f"the stream of {self._codec.endpoint.provider} ended before the answer did"
            raise TransportFailed(msg)
        self._event(b'{"type":"message_stop"}', events)  # some servers leave it out

    def _event(self, data: bytes, events: list[Event]) -> None:
        if not data.strip():  # some gateways keep the connection alive so
            return
        try:
            self._take(parse_json(data), data, events)
        except (AttributeError, TypeError, KeyError) as exc:
            shown = data[:200].decode("utf-8", "replace")
            msg = f"an event of the stream cannot be read: {shown!r}"
            raise BadReply(msg) from exc

    def _take(self, event: dict[str, Any], data: bytes, events: list[Event]) -> None:
        # Types that are not named here, `ping` among them, may come at any time and mean nothing.
        match event.get("type"):
            case "message_start":
                self._head = event["message"]
                self._count(self._head.get("usage"))
            case "content_block_start":
                self._begin(event["index"], event["content_block"], events)
            case "content_block_delta":
                self._grow(self._blocks[event["index"]], event["delta"], events)
            case "message_delta":
                self._reason = event["delta"].get("stop_reason") or self._reason
                self._count(event.get("usage"))
            case "message_stop":
                self._end(events)
            case "error":
                raise self._codec.parse_error(Response(200, body=data))

    def _begin(self, index: int, start: dict[str, Any], events: list[Event]) -> None:
        block = self._blocks[index] = _Block(start, self._calls)
        if block.is_call:
            self._calls += 1
            events.append(ToolCallDelta(block.at, start["id"], start["name"], ""))
        else:
            self._tell(start["type"], start.get(start["type"]), events)

    def _grow(self, block: _Block, delta: dict[str, Any], events: list[Event]) -> None:
        name = _GROWS.get(delta["type"])
        if name is None:
            return
        piece = delta["partial_json" if name == "input" else name]
        block.add(name, piece)
        if name == "input" and block.is_call and piece:
            events.append(ToolCallDelta(block.at, block.start["id"], block.start["name"], piece))
        else:
            self._tell(name, piece, events)

    def _tell(self, kind: str, piece: object, events: list[Event]) -> None:
        if isinstance(piece, str) and piece:
            if kind == "text":
                events.append(Text(piece))
            elif kind == "thinking":
                events.append(Reasoning(piece))

    def _count(self, usage: object) -> None:
        # Figures are totals so far, and the later one holds; null means that it did not change.
        if isinstance(usage, dict):
            self._usage |= {name: count for name, count in usage.items() if count is not None}

    def _end(self, events: list[Event]) -> None:
        if self._head is None:
            msg = f"the stream of {self._codec.endpoint.provider} ended without an answer"
            raise BadReply(msg)
        events += [block.call() for block in self._blocks.values() if block.is_call]
        events.append(read_usage(self._usage))
        turn = native([block.whole() for block in self._blocks.values()])
        id, model = self._head.get("id"), self._head.get("model")
        reason = finish_reason(self._reason)
        events.append(Finish(reason, str(model or ""), str(id or ""), turn))
        self.finished = True
