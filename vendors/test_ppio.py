"""OpenAI's SDK, which https://ppio.com/docs calls with, and the provider ppio."""

from __future__ import annotations

from typing import Any

from common import REPLIES, ROOT, Case
from openai_sdk import CITY, KITE, TOOL_TURNS, TOOLS, OpenAISuite, chat, chunks, embed, look

from modelplug.testing import OPENAI

LLM = "deepseek/deepseek-v3.2"
HI: Any = [{"role": "user", "content": "hi"}]
NAMED: Any = {
    "type": "json_schema",
    "json_schema": {"name": "City", "schema": CITY, "strict": True},
}


class TestPPIO(OpenAISuite):
    source = "ppio"
    base_path = "/openai/v1"
    replies = (ROOT / "plugins-contrib/ppio/tests/replies", REPLIES, OPENAI)
    cases = (
        Case(
            name="chat",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, messages=HI, max_tokens=64, temperature=0.5),
            ours=lambda m: m("hi", max_tokens=64, temperature=0.5),
        ),
        Case(
            name="stream",
            reply="stream.sse",
            model=LLM,
            theirs=lambda sdk, model: chunks(sdk, model, stream_options={"include_usage": True}),
            ours=lambda m: list(m.events("2+2?")),
        ),
        Case(
            name="tools",
            reply="tools.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, tools=TOOLS),
            ours=lambda m: m("2+2?", tools=TOOLS),
        ),
        Case(
            name="tool-turns",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, messages=TOOL_TURNS),
            ours=lambda m: m(TOOL_TURNS),
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
            model="qwen/qwen2.5-vl-72b-instruct",
            theirs=look,
            ours=lambda m: m("2+2?", files=[KITE]),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model="baai/bge-m3",
            theirs=lambda sdk, model: embed(sdk, model, ["a"], encoding_format="float"),
            ours=lambda m: m(["a"]),
        ),
    )
