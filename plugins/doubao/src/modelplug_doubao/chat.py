"""Chat at Ark: OpenAI's wire, with applications and two limits of an answer."""

from __future__ import annotations

from typing import Any

from modelplug.errors import ConfigError
from modelplug.openai_wire import OpenAIChat
from modelplug.types import ChatCall, Endpoint


class ArkChat(OpenAIChat):
    """POST /chat/completions; an application, `bot-...`, has its own path."""

    options = OpenAIChat.options | {"max_completion_tokens", "repetition_penalty", "thinking"}

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        if endpoint.model.startswith("bot-"):
            self.path = "/bots/chat/completions"

    def payload(self, call: ChatCall) -> dict[str, Any]:
        """The request body. The two limits mean different things: with thoughts, or without."""
        payload = super().payload(call)
        if "max_tokens" in payload and "max_completion_tokens" in payload:
            msg = (
                "max_tokens= (the answer) and max_completion_tokens= (the answer and the "
                "thinking before it) exclude each other; give one"
            )
            raise ConfigError(msg)
        return payload
