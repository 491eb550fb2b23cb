"""Zhipu's stream of chunks, and the boxes in the text of its older thinking vision models."""

from __future__ import annotations

import re
from typing import Any

from modelplug.errors import ProviderFailed
from modelplug.openai_wire import ChatDecoder, OpenAICodec
from modelplug.types import Event, Finish, Reasoning, Text

BROKEN_OFF = "network_error"
"""The finish reason of an answer that broke off inside the provider."""

# glm-4.1v and glm-4.5v write <answer><|begin_of_box|>4<|end_of_box|></answer> (2026-11).
_TAGS = ("<|begin_of_box|>", "<|end_of_box|>", "<answer>", "</answer>")
_BOXES = re.compile("|".join(map(re.escape, _TAGS)))
_LONGEST = max(map(len, _TAGS))


def without_boxes(text: str) -> str:
    """*text* without the tags of boxes; what is in them stays."""
    return _BOXES.sub("", text)


class GLMDecoder(ChatDecoder):
    """As OpenAI's, with two differences: boxes are taken off, and one finish is an error."""

    def __init__(self, codec: OpenAICodec[Any, Any]) -> None:
        super().__init__(codec)
        self._boxes = codec.endpoint.quirks.think_tags
        self._held = ""

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        """Append to *events* what *chunk* completes."""
        found: list[Event] = []
        try:
            super().feed(chunk, found)
        finally:
            self._tell(found, events)

    def finish(self, events: list[Event]) -> None:
        """The end of the body."""
        found: list[Event] = []
        try:
            super().finish(found)
        finally:
            self._tell(found, events)

    def _tell(self, found: list[Event], events: list[Event]) -> None:
        last = found[-1] if found else None
        if type(last) is Finish and last.reason == BROKEN_OFF:
            # Nor is its usage told, so that a stream that gave nothing out can be begun again.
            self._tell([event for event in found if type(event) in (Text, Reasoning)], events)
            self._let_go(events)
            msg = "the answer broke off inside the provider"
            raise ProviderFailed(msg, status=200, code=BROKEN_OFF)
        for event in found:
            if not self._boxes or type(event) is Reasoning:
                events.append(event)
            elif type(event) is Text:
                self._unbox(event.text, events)
            else:
                self._let_go(events)
                events.append(event)

    def _unbox(self, piece: str, events: list[Event]) -> None:
        text = without_boxes(self._held + piece)
        # Tags may be cut anywhere: what may be the beginning of one is held back.
        longest = min(len(text), _LONGEST - 1)
        keep = next((n for n in range(longest, 0, -1) if _begins_a_tag(text[-n:])), 0)
        self._held = text[len(text) - keep :]
        if text := text[: len(text) - keep]:
            events.append(Text(text))

    def _let_go(self, events: list[Event]) -> None:
        held, self._held = self._held, ""
        if held:
            events.append(Text(held))


def _begins_a_tag(end: str) -> bool:
    return any(tag.startswith(end) for tag in _TAGS)
