"""OpenAI's SDK, which https://api-docs.deepseek.com calls with, and the provider deepseek."""

from __future__ import annotations

from common import ROOT, Case
from openai_sdk import ASKED, KITE, TOOL_TURNS, TOOLS, OpenAISuite, chat, chunks, look

from modelplug.testing import OPENAI

LLM = "deepseek-v4-flash"
VLM = "deepseek-v4-flash-vision-exp"
JSON_ASKED = [{"role": "system", "content": "Answer in JSON."}, *ASKED]
OFF = {"thinking": {"type": "disabled"}}
THOUGHT = [
    {"role": "user", "content": "use f"},
    {
        "role": "assistant",
        "content": "",
        "reasoning_content": "need f",
        "tool_calls": [
            {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_0", "content": "4"},
]


class TestDeepSeek(OpenAISuite):
    source = "deepseek"
    base_path = ""
    replies = (ROOT / "plugins-contrib/deepseek/tests/replies", OPENAI)
    cases = (
        Case(name="chat", reply="chat.json", model=LLM, theirs=chat, ours=lambda m: m("2+2?")),
        Case(
            name="options",
            reply="no-thinking.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk, model, max_tokens=64, temperature=0.5, stop=["\n"], extra_body=OFF
            ),
            ours=lambda m: m("2+2?", max_tokens=64, temperature=0.5, stop=["\n"], **OFF),
        ),
        Case(
            name="stream",
            reply="chat.sse",
            model=LLM,
            theirs=lambda sdk, model: chunks(sdk, model, stream_options={"include_usage": True}),
            ours=lambda m: list(m.events("2+2?")),
        ),
        Case(
            name="stream-keep-alive",
            reply="keep-alive.sse",
            model=LLM,
            theirs=lambda sdk, model: chunks(sdk, model, stream_options={"include_usage": True}),
            ours=lambda m: list(m.events("2+2?")),
        ),
        Case(
            name="blank-lines",
            reply="blank-lines.json",
            model=LLM,
            theirs=chat,
            ours=lambda m: m("2+2?"),
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
            name="tool-turns-thought",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, messages=THOUGHT),
            ours=lambda m: m(THOUGHT),
        ),
        Case(
            name="json-object",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk, model, messages=JSON_ASKED, response_format={"type": "json_object"}
            ),
            ours=lambda m: m(JSON_ASKED, response_format={"type": "json_object"}),
        ),
        Case(
            name="image-input",
            reply="vlm.json",
            type="vlm",
            model=VLM,
            theirs=look,
            ours=lambda m: m("2+2?", files=[KITE]),
        ),
    )
