"""Zhipu's chat completions: where they depart from OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from modelplug.errors import Unsupported
from modelplug.openai_wire import OpenAIChat
from modelplug.types import ChatCall, Completion
from modelplug.wire import Decoder, Response
from modelplug_glm.stream import BROKEN_OFF, GLMDecoder, without_boxes

_BROKEN_OFF = re.compile(rb'"finish_reason"\s*:\s*"%b"' % BROKEN_OFF.encode())


class GLMChat(OpenAIChat):
    """POST /chat/completions as Zhipu reads it."""

    # Fields that are not in its schema are ignored in silence, so seed or n would be no error
    # and no use (2026-11).
    options = frozenset(
        "do_sample max_tokens meta reasoning_effort request_id response_format stop temperature "
        "thinking tool_choice tool_stream top_p user_id watermark_enabled".split()
    )

    def payload(self, call: ChatCall) -> dict[str, Any]:
        """As OpenAI's; Unsupported where images must be at URLs."""
        payload = super().payload(call)
        if isinstance(payload.get("stop"), str):
            payload["stop"] = [payload["stop"]]
        if type(payload.get("temperature")) is float:
            payload["temperature"] = round(payload["temperature"], 2)  # all it takes
        thinking = call.options.get("thinking")
        if isinstance(thinking, Mapping) and thinking.get("clear_thinking") is False:
            # All past reasoning is wanted then, not only that of turns which called tools.
            payload["messages"][-len(call.messages) :] = call.messages
        if call.model.lower().startswith("glm-4v"):
            payload["messages"] = [self._old_images(message) for message in payload["messages"]]
        return payload

    def is_error(self, response: Response) -> bool:
        """A failure inside the provider is told by the finish reason of a 200."""
        broken = not response.streaming and _BROKEN_OFF.search(response.body)
        return bool(broken) or super().is_error(response)

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """As OpenAI's, and what a finish reason tells."""
        if _BROKEN_OFF.search(response.body):
            return "the answer broke off inside the provider", BROKEN_OFF, None
        return super().error_details(response)

    def parse_response(self, call: ChatCall, response: Response) -> Completion:
        """The first choice, without the boxes that some models put round their answer."""
        completion = super().parse_response(call, response)
        if not self.endpoint.quirks.think_tags:
            return completion
        return evolve(completion, text=without_boxes(completion.text))

    def decoder(self, call: ChatCall) -> Decoder:
        """A decoder of chunks."""
        return GLMDecoder(self)

    def _old_images(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        content = message.get("content")
        if not isinstance(content, list):
            return message
        return {**message, "content": [self._old_image(part) for part in content]}

    def _old_image(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, Mapping) else image
        if not isinstance(url, str) or not url.startswith("data:"):
            return part
        model = self.endpoint.model
        if model.lower() == "glm-4v-flash":
            msg = f"{self.endpoint.provider}'s {model} takes an image by its URL alone"
            raise Unsupported(msg)
        # The models before 4.5v read base64 and take no data URL (2026-11).
        return {**part, "image_url": {"url": url.partition(",")[2]}}
