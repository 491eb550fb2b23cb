"""Chat in OpenAI's form: the Token Plan, and the classic models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplug.openai_wire import OpenAIChat
from modelplug.types import ChatCall, Completion
from modelplug_sensenova.codec import SenseNovaCodec


class PlanChat(SenseNovaCodec[ChatCall, Completion], OpenAIChat):
    """POST /chat/completions. A field that is not listed is answered with 400, code 3."""

    options = frozenset(
        "frequency_penalty max_tokens min_p n parallel_tool_calls presence_penalty "
        "reasoning_effort repetition_penalty response_format seed stop temperature thinking "
        "tool_choice top_k top_p".split()
    )

    def turn(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """One message; the role `developer`, OpenAI's newer word, is refused."""
        message = super().turn(message)
        return {**message, "role": "system"} if message.get("role") == "developer" else message


class ClassicChat(PlanChat):
    """POST /chat/completions, with images in a form of its own."""

    options = PlanChat.options | {"max_new_tokens"}

    def turn(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """One message, its images as the classic models take them."""
        message = super().turn(message)
        content = message.get("content")
        if not isinstance(content, list):
            return message
        return {**message, "content": [_part(part) for part in content]}


def _part(part: Any) -> Any:
    """`image_url` is the bare URL here, and what is sent along is base64 without a prefix."""
    if not isinstance(part, Mapping) or part.get("type") != "image_url":
        return part
    image = part["image_url"]
    url = image["url"] if isinstance(image, Mapping) else image
    if not url.startswith("data:"):
        return {"type": "image_url", "image_url": url}
    return {"type": "image_base64", "image_base64": url.partition(",")[2]}
