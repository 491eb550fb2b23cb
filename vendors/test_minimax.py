"""OpenAI's SDK, which https://platform.minimax.io/docs calls with, and the provider minimax."""

from __future__ import annotations

from typing import Any

from common import ROOT, Case
from openai_sdk import KITE, TOOL_TURNS, TOOLS, OpenAISuite, chat, chunks, look

from modelplug.testing import OPENAI

LLM = "MiniMax-M3"
SPLIT: Any = {"reasoning_split": True}
OFF: Any = {"thinking": {"type": "disabled"}}


class TestMiniMax(OpenAISuite):
    source = "minimax"
    replies = (ROOT / "plugins-contrib/minimax/tests/replies", OPENAI)
    cases = (
        Case(
            name="chat",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, extra_body=SPLIT),
            ours=lambda m: m("2+2?"),
        ),
        Case(
            name="options",
            reply="chat-short.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk, model, max_completion_tokens=64, temperature=0.5, extra_body=SPLIT | OFF
            ),
            ours=lambda m: m("2+2?", max_tokens=64, temperature=0.5, **OFF),
        ),
        Case(
            name="stream",
            reply="reasoning-content.sse",
            model=LLM,
            theirs=lambda sdk, model: chunks(
                sdk, model, stream_options={"include_usage": True}, extra_body=SPLIT
            ),
            ours=lambda m: list(m.events("2+2?")),
        ),
        Case(
            name="tools",
            reply="tools-thought.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, tools=TOOLS, extra_body=SPLIT),
            ours=lambda m: m("2+2?", tools=TOOLS),
        ),
        Case(
            name="tool-turns",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, messages=TOOL_TURNS, extra_body=SPLIT),
            ours=lambda m: m(TOOL_TURNS),
        ),
        Case(
            name="image-input",
            reply="vlm.json",
            type="vlm",
            model=LLM,
            theirs=lambda sdk, model: look(sdk, model, extra_body=SPLIT),
            ours=lambda m: m("2+2?", files=[KITE]),
        ),
    )
