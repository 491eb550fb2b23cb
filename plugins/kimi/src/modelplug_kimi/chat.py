"""Moonshot's chat completions: where they depart from OpenAI's, beyond what the manifest says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve

from modelplug.errors import CallError, Unsupported
from modelplug.openai_wire import OpenAIChat
from modelplug.types import ChatCall, Endpoint
from modelplug.wire import Response

_TOO_LONG = re.compile("exceeded model token limit|Input token length too long")
_WAIT = re.compile(r"try again after (\d+) second")


class KimiChat(OpenAIChat):
    """POST /chat/completions as Moonshot reads it."""

    def __init__(self, endpoint: Endpoint) -> None:
        # The address is written with and without /v1, LazyLLM's default among them (2026-11).
        urls = [url if urlsplit(url).path else f"{url}/v1" for url in endpoint.urls.items]
        super().__init__(evolve(endpoint, url=urls))

    def payload(self, call: ChatCall) -> dict[str, Any]:
        """As OpenAI's, with the turns made fit; Unsupported for a forced tool call."""
        payload = super().payload(call)
        thinking = call.options.get("thinking")
        thinks = not isinstance(thinking, Mapping) or thinking.get("type") != "disabled"
        # While a model thinks, "required" or a name is a 400 or is ignored in silence (2026-11).
        if thinks and payload.get("tool_choice", "auto") not in ("auto", "none"):
            msg = (
                f"{self.endpoint.provider}'s {call.model} cannot be made to call a tool while it "
                "thinks; leave tool_choice out and ask for the call in words"
            )
            raise Unsupported(msg)
        payload["messages"] = [
            _with_reasoning(message) if thinks else message
            for message in payload["messages"]
            if not _says_nothing(message)
        ]
        return payload

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """The type alone tells errors apart, but for an input that is too long."""
        message, code, type_ = super().error_details(response)
        if response.status == 400 and _TOO_LONG.search(message):
            # The type is invalid_request_error and there is no code: only the text tells (2026-11).
            code = "context_length_exceeded"
        if response.status == 401:
            message += (
                "; a key of api.moonshot.cn is none of api.moonshot.ai: see region='cn' and 'intl'"
            )
        return message, code, type_

    def parse_error(self, response: Response) -> CallError:
        """Of a rate limit it is the text that says how many seconds to wait."""
        error = super().parse_error(response)
        if error.retry_after is None and (told := _WAIT.search(str(error))):
            error.retry_after = float(told[1])
        return error


def _says_nothing(message: Mapping[str, Any]) -> bool:
    # 400 "the message at position N with role 'assistant' must not be empty" (2026-11).
    filled = message.get("content") or message.get("tool_calls") or message.get("partial")
    return message.get("role") == "assistant" and not filled


def _with_reasoning(message: Mapping[str, Any]) -> Mapping[str, Any]:
    # A tool call whose reasoning was lost, or is another model's, is a 400; a space passes.
    if message.get("tool_calls") and not message.get("reasoning_content"):
        return {**message, "reasoning_content": " "}
    return message
