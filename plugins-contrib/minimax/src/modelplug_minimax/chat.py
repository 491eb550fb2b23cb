"""MiniMax's chat completions: reasoning in a field of its own, and a stream that says it twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from modelplug.openai_wire import ChatDecoder, OpenAIChat
from modelplug.openai_wire.message import text_of
from modelplug.types import ChatCall, Completion, Event
from modelplug.wire import Decoder
from modelplug_minimax.wire import MiniMaxCodec, refusal


class MiniMaxChat(MiniMaxCodec[ChatCall, Completion], OpenAIChat):
    """POST /chat/completions."""

    options = OpenAIChat.options | {"reasoning_split", "thinking"}

    def payload(self, call: ChatCall) -> dict[str, Any]:
        """As OpenAI's, with one system message."""
        payload = super().payload(call)
        payload.setdefault("reasoning_split", True)
        if "minimax-m2" in call.model.lower() and payload.get("temperature") == 0:
            payload["temperature"] = 0.01  # 0 is an error there; this is its nearest (2026-11)
        split = payload["reasoning_split"]
        messages = [_with_reasoning(message, split) for message in payload["messages"]]
        payload["messages"] = _with_one_system_message(messages)
        return payload

    def read(self, call: ChatCall, raw: Any) -> Completion:
        """The first choice, with the reasoning of `reasoning_details`."""
        completion = super().read(call, raw)
        if completion.reasoning:
            return completion
        message = raw["choices"][0]["message"]
        return evolve(completion, reasoning=_text_of_details(message.get("reasoning_details")))

    def decoder(self, call: ChatCall) -> Decoder:
        """A decoder of chunks."""
        return MiniMaxDecoder(self)


class MiniMaxDecoder(ChatDecoder):
    """
    As OpenAI's, with reasoning in `reasoning_details` and errors in `base_resp`.

    Each chunk has a further piece of reasoning, or with some models all of it so far: the
    second chunk shows which (other clients read both, 2026-11).
    """

    def __init__(self, codec: MiniMaxChat) -> None:
        super().__init__(codec)
        self._thought = ""
        self._repeats: bool | None = None

    def chunk(self, chunk: dict[str, Any], data: bytes, events: list[Event]) -> None:
        """A chunk with its reasoning where OpenAI's wire has it; or the error that it is."""
        if refusal(chunk):
            raise self.error(data)
        if choices := chunk.get("choices"):
            choices[0] = self._plain(choices[0])
        super().chunk(chunk, data, events)

    def _plain(self, choice: dict[str, Any]) -> dict[str, Any]:
        name = "delta" if "delta" in choice else "message"
        part = choice.get(name) or {}
        details = _text_of_details(part.get("reasoning_details"))
        thought = details or text_of(part.get("reasoning_content"))
        if not thought:
            return choice
        return {**choice, name: {**part, "reasoning_content": self._new_in(thought)}}

    def _new_in(self, thought: str) -> str:
        known = self._thought
        if self._repeats is None and known and thought != known:
            self._repeats = thought.startswith(known)
        if self._repeats is False:
            return thought
        new = thought.removeprefix(known)
        self._thought = thought if new != thought else known + thought
        return new


def _text_of_details(details: object) -> str:
    """The text of `reasoning_details`, a list or here and there a single one."""
    items = details if isinstance(details, list) else [details]
    return "".join(text_of(item.get("text")) for item in items if isinstance(item, dict))


def _with_reasoning(message: Mapping[str, Any], split: bool) -> Mapping[str, Any]:
    """A turn that called tools as the server gave it: it wants its reasoning back."""
    thought = message.get("reasoning_content")
    if not thought:
        return message
    turn = {name: value for name, value in message.items() if name != "reasoning_content"}
    if split:
        return {**turn, "reasoning_details": [{"type": "reasoning.text", "text": thought}]}
    return {**turn, "content": f"<think>\n{thought}\n</think>\n\n{text_of(turn.get('content'))}"}


def _with_one_system_message(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    # Only the first message may be the system's (2026-11).
    told = [text_of(m.get("content")) for m in messages if m.get("role") == "system"]
    others = [m for m in messages if m.get("role") != "system"]
    return [{"role": "system", "content": "\n\n".join(told)}, *others] if told else others
