"""Zhipu's images: always one, and always at a URL."""

from __future__ import annotations

from typing import Any

from modelplug.openai_wire import OpenAIImages
from modelplug.types import ImageCall


class GLMImages(OpenAIImages):
    """POST /images/generations."""

    options = frozenset("quality request_id size user_id watermark_enabled".split())

    def payload(self, call: ImageCall) -> dict[str, Any]:
        """As OpenAI's, the size with an x: the vendor's own pages write it with a ×."""
        payload = super().payload(call)
        if isinstance(size := payload.get("size"), str):
            payload["size"] = size.replace("×", "x")
        return payload
