"""Chat: OpenAI's wire with a thinking switch that most models refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from modelplug.errors import InvalidRequest
from modelplug.openai_wire import OpenAIChat
from modelplug.types import ChatCall, Completion
from modelplug.wire import EventFlow, Flow


class SiliconFlowChat(OpenAIChat):
    """POST /chat/completions."""

    options = OpenAIChat.options | {"enable_thinking", "min_p", "thinking_budget", "top_k"}

    def turn(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """One message; OpenAI's `input_audio` is not understood and becomes `audio_url`."""
        message = super().turn(message)
        content = message.get("content")
        if not isinstance(content, list):
            return message
        return {**message, "content": [_part(part) for part in content]}

    def flow(self, call: ChatCall) -> Flow[Completion]:
        """The whole call, once more if the model has no thinking to switch off."""
        try:
            result = yield from super().flow(call)
        except InvalidRequest as error:
            result = yield from super().flow(_without_switch(call, error))
        return result

    def stream(self, call: ChatCall) -> EventFlow:
        """The whole call, streamed, with the same second try."""
        try:
            yield from super().stream(call)
        except InvalidRequest as error:
            yield from super().stream(_without_switch(call, error))


def _without_switch(call: ChatCall, error: InvalidRequest) -> ChatCall:
    """
    *call* without `enable_thinking=False`, or *error* if that is not what was refused.

    Models that cannot think answer 400, code 20015, to the switch in either position
    (2026-11). Off is what such a model is; on is a wish that it cannot meet.
    """
    refused = type(error) is InvalidRequest and error.status == 400 and error.code == "20015"
    if not refused or call.options.get("enable_thinking") is not False:
        raise error
    kept = {name: value for name, value in call.options.items() if name != "enable_thinking"}
    return evolve(call, options=kept)


def _part(part: Any) -> Any:
    match part:
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(format)}}:
            url = f"data:audio/{format};base64,{data}"
            return {"type": "audio_url", "audio_url": {"url": url}}
    return part
