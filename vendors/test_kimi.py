"""OpenAI's SDK, which https://platform.moonshot.ai/docs calls with, and the provider kimi."""

from __future__ import annotations

from typing import Any

from common import REPLIES, ROOT, Case
from openai_sdk import CITY, KITE, TOOL_TURNS, TOOLS, OpenAISuite, chat, chunks, look

from modelplug.testing import OPENAI

LLM = "kimi-k2.6"
OFF = {"thinking": {"type": "disabled"}}
NAMED: Any = {
    "type": "json_schema",
    "json_schema": {"name": "City", "schema": CITY, "strict": True},
}
# https://platform.moonshot.ai/docs/guide/use-partial-mode-feature-of-kimi-api
PARTIAL = [
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "{", "partial": True},
]


class TestKimi(OpenAISuite):
    source = "kimi"
    replies = (ROOT / "plugins/kimi/tests/replies", REPLIES, OPENAI)
    cases = (
        Case(name="chat", reply="chat.json", model=LLM, theirs=chat, ours=lambda m: m("2+2?")),
        Case(
            name="options",
            reply="chat-short.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk,
                model,
                max_completion_tokens=64,
                stop=["\n"],
                prompt_cache_key="k",
                extra_body=OFF,
            ),
            ours=lambda m: m("2+2?", max_tokens=64, stop=["\n"], prompt_cache_key="k", **OFF),
        ),
        Case(
            name="stream",
            reply="chat.sse",
            model=LLM,
            theirs=lambda sdk, model: chunks(sdk, model, stream_options={"include_usage": True}),
            ours=lambda m: list(m.events("2+2?")),
        ),
        Case(
            name="tools",
            reply="tools-thought.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, tools=TOOLS, tool_choice="auto"),
            ours=lambda m: m("2+2?", tools=TOOLS, tool_choice="auto"),
        ),
        Case(
            name="tool-turns",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, messages=TOOL_TURNS),
            ours=lambda m: m(TOOL_TURNS),
        ),
        Case(
            name="partial",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, messages=PARTIAL),
            ours=lambda m: m(PARTIAL),
        ),
        Case(
            name="schema",
            reply="city.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, response_format=NAMED),
            ours=lambda m: m("2+2?", schema=CITY),
        ),
        Case(
            name="image-input",
            reply="vlm.json",
            type="vlm",
            model=LLM,
            theirs=look,
            ours=lambda m: m("2+2?", files=[KITE]),
        ),
    )
    explained = {
        ("tool-turns", "messages.2.reasoning_content"): (
            "a turn of a tool call without its reasoning is a 400 while the model thinks"
        ),
    }
