"""The model's turn, from one reply or from the pieces of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from attrs import evolve

from modelplug.errors import BadReply
from modelplug.openai_wire.message import tool_call
from modelplug.types import (
    Completion,
    Event,
    Finish,
    Reasoning,
    Text,
    ToolCall,
    ToolCallDelta,
)
from modelplug_gemini.wire import read_usage

WIRE = "gemini"
"""Under this name a turn that must go back as it came is kept in `native`."""

BLOCKED = "content_filter"

_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",  # what one request may give is used up (google-genai 3.4, 2026-11)
    **dict.fromkeys(
        "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY "
        "IMAGE_PROHIBITED_CONTENT".split(),
        BLOCKED,
    ),
}
_FAILURES = frozenset(
    "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS "
    "MISSING_THOUGHT_SIGNATURE OTHER LANGUAGE NO_IMAGE".split()
)
"""Reasons for which an answer may be missing altogether; that is an error then."""


class Turn:
    """Takes replies in and gives events out; `parts` are all that came."""

    def __init__(self) -> None:
        self.parts: list[Mapping[str, Any]] = []
        self.calls: list[ToolCall] = []
        self.reason: str | None = None
        self.why = ""
        self._usage: object = None
        self._model = self._id = ""

    def add(self, raw: Any, events: list[Event]) -> None:
        """Append to *events* what *raw*, one reply, adds; BadReply where it is none."""
        try:
            self._model = str(raw.get("modelVersion") or self._model)
            self._id = str(raw.get("responseId") or self._id)
            self._usage = raw.get("usageMetadata") or self._usage  # a total so far: the last holds
            candidates = raw.get("candidates") or ()
            for part in self._candidate(candidates[0]) if candidates else ():
                self._part(part, events)
            if blocked := (raw.get("promptFeedback") or {}).get("blockReason"):
                self.reason, self.why = BLOCKED, f"the prompt was blocked: {blocked}"
        except (AttributeError, TypeError, KeyError) as exc:
            msg = f"the reply cannot be read: {str(raw)[:200]} @ $.candidates[0]"
            raise BadReply(msg) from exc

    def whole(self, raw: Any) -> Completion:
        """What *raw*, the only reply, says."""
        events: list[Event] = []
        self.add(raw, events)
        self.end(events)
        return evolve(Completion.of(events), raw=raw)

    def _candidate(self, candidate: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The parts of *candidate*, which may lack them: all tokens went into thoughts, say."""
        reason = candidate.get("finishReason")
        if reason:
            self.reason = _REASONS.get(reason, str(reason))
            self.why = f"{reason}. {candidate.get('finishMessage') or ''}".strip(" .")
        elif self.reason is None and "content" not in candidate:
            msg = "a candidate holds neither content nor the reason why @ $.candidates[0]"
            raise BadReply(msg)
        parts: Sequence[Mapping[str, Any]] = (candidate.get("content") or {}).get("parts") or ()
        return parts

    def _part(self, part: Mapping[str, Any], events: list[Event]) -> None:
        self.parts.append(part)
        text = part.get("text") or ""
        if not isinstance(text, str):
            msg = f"a text is {type(text).__name__}"
            raise TypeError(msg)
        if text:
            events.append(Reasoning(text) if part.get("thought") else Text(text))
        if call := part.get("functionCall"):
            at = len(self.calls)
            id = str(call.get("id") or "-".join(filter(None, ("call", self._id, str(at)))))
            made = tool_call(id, str(call["name"]), call.get("args") or {})
            self.calls.append(made)
            events.append(ToolCallDelta(at, id, made.name, made.arguments_text))

    def end(self, events: list[Event]) -> None:
        """Append the last events; BadReply where there was no answer."""
        if self.reason is None and not self.parts:
            msg = "the reply has no candidates @ $.candidates"
            raise BadReply(msg)
        said = self.calls or any(part.get("text") for part in self.parts if not part.get("thought"))
        if self.reason in _FAILURES and not said:
            msg = f"the answer ended before it began: {self.why}"
            raise BadReply(msg)
        events += [*self.calls, read_usage(self._usage)]
        reason = self.reason or "stop"
        if self.calls and reason == "stop":  # the server knows no word of its own for it
            reason = "tool_calls"
        events.append(Finish(reason, self._model, self._id, self._native()))

    def _native(self) -> dict[str, Any]:
        """The parts, where a turn of OpenAI's form could not hold all of them."""
        if all(_is_plain(part) for part in self.parts):
            return {}
        kept = [part for part in self.parts if not part.get("thought") or len(part) > 2]
        return {WIRE: _joined(kept)}


def _is_plain(part: Mapping[str, Any]) -> bool:
    return set(part) - {"thought"} in ({"text"}, {"functionCall"})


def _joined(parts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """*parts* with plain texts in a row made one; a signed text stays by itself."""
    joined: list[Mapping[str, Any]] = []
    for is_text, run in groupby(parts, lambda part: set(part) == {"text"}):
        group = list(run)
        if is_text:
            text = "".join(part["text"] or "" for part in group)
            group = [{"text": text}] if text else []
        joined += group
    return joined
