"""Ark: OpenAI's wire with errors of its own, told by families of words."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from modelplug.errors import CallError, ConfigError
from modelplug.openai_wire import OpenAIChat, OpenAICodec, OpenAIEmbed
from modelplug.types import ChatCall, Completion, EmbedCall, Embeddings, Endpoint
from modelplug.wire import Response

C = TypeVar("C")
R = TypeVar("R")

_FILTERED = re.compile(
    r"(Input|Output)?(Text|Image|Video|Audio)?(SensitiveContentDetected|RiskDetection)(\..+)?"
)

_MENDS = {
    "ModelNotOpen": "; activate the model in the Ark console",
    "InvalidEndpointOrModel.ModelIDAccessDisabled": (
        "; this account calls models by endpoint alone: pass the id that begins with ep-"
    ),
    "InvalidEndpoint.ClosedEndpoint": "; start the endpoint in the Ark console, or pass another",
}


class ArkCodec(OpenAICodec[C, R]):
    """What the endpoints have in common: the errors."""

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """(message, code, type); the type is a word of the core's where a code is of a family."""
        message, code, type_ = super().error_details(response)
        return message, code, error_word(code or "", message) or type_

    def parse_error(self, response: Response) -> CallError:
        """The error, with what an operator can do where that is known."""
        error = super().parse_error(response)
        if mend := _MENDS.get(error.code or ""):
            error.args = (f"{error}{mend}",)
        return error


def error_word(code: str, message: str) -> str | None:
    """
    The word by which an error of a family is sorted.

    Ark gives one code, InvalidParameter, to any wrong value and to an input that is too long,
    and one, QuotaExceeded, to what is used up and to a full queue: only the text tells them
    apart (2026-11).
    """
    if _FILTERED.fullmatch(code):
        return "content_filter"
    text = message.lower()
    if code.startswith("InvalidParameter") and "token" in text and "exceed" in text:
        return "context_length_exceeded"
    if code == "QuotaExceeded" and "queued tasks" not in text:
        return "insufficient_quota"
    return None


class ArkChat(ArkCodec[ChatCall, Completion], OpenAIChat):
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


class ArkEmbed(ArkCodec[EmbedCall, Embeddings], OpenAIEmbed):
    """POST /embeddings."""
