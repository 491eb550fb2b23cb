"""What every provider that chats is asked, and the calls of modelplug that ask it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common import Case

from modelplug.testing import OPENAI

KITE = OPENAI / "inputs" / "kite.png"
SILENCE = OPENAI / "inputs" / "silence.wav"

ASKED = [{"role": "user", "content": "2+2?"}]
JSON_ASKED = [{"role": "system", "content": "Answer in JSON."}, *ASKED]
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "clock",
            "description": "The time.",
            "parameters": {"type": "object", "properties": {}},
        },
    },
]
TOOL_TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Zürich?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_a",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Zürich"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_a", "content": "rain"},
]
CITY = {
    "title": "City",
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
    "additionalProperties": False,
}

Theirs = Callable[[Any, str], Mapping[str, Any]]

# By the name of the case: the recorded reply, and the call.
_ASKED_OF_OURS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "chat": ("chat.json", lambda m: m("2+2?")),
    "stream": ("chat.sse", lambda m: list(m.events("2+2?"))),
    "tools": ("tools.json", lambda m: m("2+2?", tools=TOOLS)),
    "tool-turns": ("chat.json", lambda m: m(TOOL_TURNS, tools=TOOLS)),
    "image-input": ("vlm.json", lambda m: m("2+2?", files=[KITE])),
    "schema": ("city.json", lambda m: m("2+2?", schema=CITY)),
    "json-object": (
        "chat.json",
        lambda m: m(JSON_ASKED, response_format={"type": "json_object"}),
    ),
}


def usual(
    theirs: Mapping[str, Theirs], llm: str, vlm: str, replies: Mapping[str, str] | None = None
) -> tuple[Case, ...]:
    """
    A case for each of *theirs*, by its name; *vlm* is the model that sees.

    *replies* are the recorded replies of those that have another than is usual.
    """
    found = {name: reply for name, (reply, _) in _ASKED_OF_OURS.items()} | (replies or {})
    return tuple(
        Case(
            name=name,
            reply=found[name],
            type="vlm" if name == "image-input" else "llm",
            model=vlm if name == "image-input" else llm,
            theirs=call,
            ours=_ASKED_OF_OURS[name][1],
        )
        for name, call in theirs.items()
    )


def data_url(file: Path, mime: str) -> str:
    """The bytes of *file* as a data URL."""
    return f"data:{mime};base64,{base64.b64encode(file.read_bytes()).decode()}"
