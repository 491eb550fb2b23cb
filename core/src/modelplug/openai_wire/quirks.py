"""Quirks of chat servers, most of them about models that think; see `modelplug.types.Quirks`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplug.errors import Unsupported
from modelplug.types import ChatCall, Endpoint

_SAYS_NOTHING = frozenset({"role", "name", "reasoning_content", "native"})


def says_nothing(message: Mapping[str, Any]) -> bool:
    """Whether *message* is a turn of the assistant's without text, tool calls or a beginning."""
    said = (value for key, value in message.items() if key not in _SAYS_NOTHING)
    return message.get("role") == "assistant" and not any(said)


def with_reasoning(message: Mapping[str, Any], lost: str) -> Mapping[str, Any]:
    """A turn that called tools with *lost* for the reasoning that it has not."""
    if message.get("tool_calls") and not message.get("reasoning_content"):
        return {**message, "reasoning_content": lost}
    return message


def thinks(options: Mapping[str, Any], *, unasked: bool = True) -> bool:
    """Whether *options* let a model think; *unasked*, what it does where they are silent."""
    thinking = options.get("thinking")
    if isinstance(thinking, Mapping):
        return bool(thinking.get("type") != "disabled")
    return unasked or "reasoning_effort" in options


def choose_tool(endpoint: Endpoint, options: Mapping[str, Any], payload: dict[str, Any]) -> None:
    """`tool_choice` of *payload* as the server takes it; Unsupported for what it would refuse."""
    takes, choice = endpoint.quirks.tool_choice, payload.get("tool_choice", "auto")
    who, forced = f"{endpoint.provider}'s {endpoint.model}", choice not in ("auto", "none")
    if takes == "auto":
        if forced:
            msg = f"{who} cannot be made to call a tool; leave tool_choice out and ask in words"
            raise Unsupported(msg)
        for name in ("tool_choice", "tools") if choice == "none" else ("tool_choice",):
            payload.pop(name, None)
    elif forced and takes != "any":
        if thinks(options, unasked=takes == "unless-thinking"):
            msg = (
                f"{who} cannot be made to call a tool while it thinks; leave tool_choice out, or "
                "switch thinking off"
            )
            raise Unsupported(msg)
        if takes == "instead-of-thinking":
            payload["thinking"] = {"type": "disabled"}


def wants_json(call: ChatCall) -> bool:
    """Whether *call* is to be answered with JSON."""
    form = call.options.get("response_format")
    told = isinstance(form, Mapping) and form.get("type") in ("json_object", "json_schema")
    return told or call.schema is not None
