"""DeepSeek's chat completions: where they depart from OpenAI's, beyond what the manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplug.errors import Unsupported
from modelplug.openai_wire import OpenAIChat
from modelplug.types import ChatCall, Completion
from modelplug.wire import Flow, Response

# The code and the type of a 400 are invalid_request_error whatever is wrong (2026-11).
_TOO_LONG = "maximum context length"
_CODES = {"Content Exists Risk": "content_filter", "Model Not Exist": "model_not_found"}


class DeepSeekChat(OpenAIChat):
    """POST /chat/completions as DeepSeek reads it."""

    def payload(self, call: ChatCall) -> dict[str, Any]:
        """As OpenAI's. A forced tool call switches thinking off, or is Unsupported with it."""
        payload = super().payload(call)
        # While a model thinks, which it does by default, "required" or a name is a 400 (2026-11).
        if payload.get("tool_choice", "auto") not in ("auto", "none"):
            if _asks_to_think(call):
                msg = (
                    f"{self.endpoint.provider}'s {call.model} cannot be made to call a tool while "
                    "it thinks; leave out tool_choice, or thinking and reasoning_effort"
                )
                raise Unsupported(msg)
            payload["thinking"] = {"type": "disabled"}
        return payload

    def flow(self, call: ChatCall) -> Flow[Completion]:
        """The whole call; once more where JSON was asked for and nothing was said."""
        completion = yield from super().flow(call)
        # Its own page on JSON output warns that the content may come back empty (2026-11).
        if _wants_json(call) and completion.finish_reason == "stop" and not completion.text.strip():
            completion = yield from super().flow(call)
        return completion

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """Of a wrong request only the text tells what is wrong."""
        message, code, type_ = super().error_details(response)
        if _TOO_LONG in message:
            return message, "context_length_exceeded", type_
        return message, _CODES.get(message.strip(), code), type_


def _asks_to_think(call: ChatCall) -> bool:
    thinking = call.options.get("thinking")
    if isinstance(thinking, Mapping):
        return thinking.get("type") != "disabled"
    return "reasoning_effort" in call.options


def _wants_json(call: ChatCall) -> bool:
    form = call.options.get("response_format")
    return call.schema is not None or (
        isinstance(form, Mapping) and form.get("type") == "json_object"
    )
