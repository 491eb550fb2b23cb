"""Chat, over the OpenAI-compatible route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplug.openai_wire import OpenAIChat
from modelplug.types import ChatCall, Completion
from modelplug_qwen.dashscope import DashScope
from modelplug_qwen.tuning import QwenTuning


class QwenChat(DashScope[ChatCall, Completion], OpenAIChat):
    """POST /compatible-mode/v1/chat/completions. `reasoning` in `does`: it thinks unasked."""

    path = "/compatible-mode/v1/chat/completions"
    tuning = QwenTuning
    options = OpenAIChat.options | frozenset(
        "asr_options enable_code_interpreter enable_search enable_thinking preserve_thinking "
        "repetition_penalty search_options thinking_budget top_k translation_options "
        "vl_high_resolution_images".split()
    )

    def must_stream(self, call: ChatCall) -> bool:
        """
        Also a model that is told not to think where it does not stream, when the caller wants
        it to: "enable_thinking must be set to false for non-streaming calls" (400, 2026-11).
        """
        told_not_to = "enable_thinking" in self.endpoint.quirks.unless_streaming
        return super().must_stream(call) or (
            told_not_to and bool(call.options.get("enable_thinking"))
        )

    def payload(self, call: ChatCall) -> dict[str, Any]:
        """The request body; JSON mode is refused while a model thinks, so thinking is off then."""
        payload = super().payload(call)
        form = payload.get("response_format") or {}
        if form.get("type", "text") != "text" and self.endpoint.does >= {
            "json-object",
            "reasoning",
        }:
            payload.setdefault("enable_thinking", False)
        return payload

    def turn(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """A list of one text as that text: text models refuse lists (400, 2026-11)."""
        turn = super().turn(message)
        match turn.get("content"):
            # Not with cache_control or another field beside it.
            case [{"type": "text", "text": str(text), **rest}] if not rest:
                return {**turn, "content": text}
        return turn
