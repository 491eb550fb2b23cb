"""Chat completions as they stream: bytes to events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from modelplug.errors import BadReply, CallError
from modelplug.openai_wire.base import read_usage
from modelplug.openai_wire.message import finish_reason, reasoning_of, text_of, tool_call
from modelplug.openai_wire.thinking import ThinkSplitter
from modelplug.structure import parse_json
from modelplug.types import Event, Finish, Reasoning, Text, ToolCallDelta
from modelplug.wire import Codec, EventDecoder, Response


def _told(pieces: tuple[str, str], events: list[Event]) -> None:
    """Append (reasoning, answer) as events."""
    thought, text = pieces
    if thought:
        events.append(Reasoning(thought))
    if text:
        events.append(Text(text))


class ChatDecoder(EventDecoder):
    """Chunks of a chat stream to events. [DONE] may be missing after a finish reason."""

    def __init__(self, codec: Codec[Any, Any]) -> None:
        super().__init__(codec)
        self._calls: list[dict[str, Any]] = []
        self._usage: object = None
        self._head: Mapping[str, Any] = {}
        self._thinking = ThinkSplitter() if codec.endpoint.quirks.think_tags else None

    def event(self, data: bytes, name: str, events: list[Event]) -> None:
        """One event: a chunk, the end, or an error."""
        if data.startswith(b"[DONE]") or (len(data) < 16 and data.strip().upper() == b"[DONE]"):
            self.end(events)
            return
        if name == "error":
            raise self.error(data)
        try:
            self.chunk(orjson.loads(data), data, events)
        except orjson.JSONDecodeError:
            if data.strip():  # some gateways keep the connection alive with empty events
                parse_json(data)  # raises BadReply and shows the text
        except (AttributeError, TypeError, KeyError, IndexError) as exc:
            shown = data[:200].decode("utf-8", "replace")
            msg = f"a chunk of the stream cannot be read: {shown!r}"
            raise BadReply(msg) from exc

    def chunk(self, chunk: dict[str, Any], data: bytes, events: list[Event]) -> None:
        """*data*, parsed as *chunk*; a subclass changes the chunk for its vendor, or raises."""
        # The hot path of every stream: plain look-ups, no classes (2 µs against 15, 2026-11).
        if usage := chunk.get("usage"):
            self._usage = usage
        choices = chunk.get("choices")
        if not choices:  # usage, keep-alives, Azure's prompt filter
            if chunk.get("error"):
                raise self.error(data)
            return
        choice = choices[0]
        if not self._head:
            self._head = chunk
            if "delta" not in choice:  # MiniMax repeats the whole answer so, others send it once
                choice = {**choice, "delta": choice.get("message")}
        if choice.get("index"):  # n > 1 interleaves; the first choice is the answer
            return
        delta = choice.get("delta")
        if delta:
            content = delta.get("content")
            text = content if type(content) is str else text_of(content)
            if self._thinking is not None:
                _told(self._thinking.feed(text), events)
            elif text:
                events.append(Text(text))
            if not content or len(delta) > 1:
                self._rest_of(delta, events)
        if reason := choice.get("finish_reason"):
            if chunk.get("error"):  # OpenRouter puts an empty delta beside it
                raise self.error(data)
            self.reason = reason
            self._usage = self._usage or choice.get("usage")  # Kimi puts it here

    def _rest_of(self, delta: dict[str, Any], events: list[Event]) -> None:
        if thought := reasoning_of(delta.get("reasoning_content"), delta.get("reasoning")):
            events.append(Reasoning(thought))
        if refusal := delta.get("refusal"):
            events.append(Text(text_of(refusal)))
        for piece in delta.get("tool_calls") or ():
            events.append(self._tool_piece(piece))

    def _tool_piece(self, piece: dict[str, Any]) -> ToolCallDelta:
        function = piece.get("function") or {}
        id, name, arguments = piece.get("id"), function.get("name"), function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        at = self._place(piece.get("index"), id, name)
        call = self._calls[at]
        call["id"] = call["id"] or id or ""
        call["name"] = call["name"] or name or ""
        if arguments:
            call["arguments"].append(arguments)
        return ToolCallDelta(at, call["id"], call["name"], arguments or "")

    def _place(self, index: object, id: object, name: object) -> int:
        # Proxies leave `index` out or send 0 for every call: another id begins another call.
        for at in reversed(range(len(self._calls))):
            known = self._calls[at]
            if id and known["id"] == id:
                return at
            if index is not None and known["index"] == index and not (id and name and known["id"]):
                return at
        if index is None and not id and not name and self._calls:
            return len(self._calls) - 1
        self._calls.append({"index": index, "id": id or "", "name": name or "", "arguments": []})
        return len(self._calls) - 1

    def end(self, events: list[Event]) -> None:
        """The tool calls, the usage and the finish."""
        if not self._head:
            msg = f"the stream of {self.codec.endpoint.provider} ended without an answer"
            raise BadReply(msg)
        if self._thinking is not None:
            _told(self._thinking.finish(), events)
        for call in self._calls:
            text = "".join(call["arguments"])
            events.append(tool_call(call["id"], call["name"], text))
        events.append(read_usage(self._usage))
        id, model = self._head.get("id"), self._head.get("model")
        reason = finish_reason(self.reason, bool(self._calls))
        events.append(Finish(reason, str(model or ""), str(id or "")))
        self.finished = True

    def error(self, data: bytes) -> CallError:
        """The error that *data*, an event or a chunk, is."""
        # The HTTP status was 200; vLLM and llama.cpp put the one they mean into `code`.
        response = Response(200, body=data)
        try:
            _, code, _ = self.codec.error_details(response)
        except BadReply:
            code = None
        if code and code.isdecimal() and 400 <= int(code) < 600:
            response = Response(int(code), body=data)
        return self.codec.parse_error(response)
