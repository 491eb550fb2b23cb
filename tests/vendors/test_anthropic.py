"""Anthropic's SDK and the provider anthropic."""

from __future__ import annotations

import base64
from dataclasses import replace
from functools import partial
from typing import Any

import anthropic
from blocking import AsyncClient
from common import KEY, REPLIES, ROOT, Case, ErrorSuite, Told, taken_by
from openai_sdk import stainless_told
from usual import ASKED, CITY, KITE, TOOLS, usual

from modelplug.testing import FaultServer

LLM = "claude-sonnet-5-5"
MOST = 8192
THINK: Any = {"type": "enabled", "budget_tokens": 1024}

WEATHER, CLOCK = (
    {
        "name": tool["function"]["name"],
        "description": tool["function"]["description"],
        "input_schema": tool["function"]["parameters"],
    }
    for tool in TOOLS
)
TURNS: Any = [
    {"role": "user", "content": "Zürich?"},
    {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "call_a", "name": "weather", "input": {"city": "Zürich"}}
        ],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "call_a", "content": "rain"}],
    },
]


def message(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """A message in one piece."""
    given = {"messages": ASKED, "max_tokens": MOST} | options
    return content(sdk.messages.create(model=model, **given))


def stream(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """A message streamed, as the SDK itself adds it up."""
    given = {"messages": ASKED, "max_tokens": MOST} | options
    with sdk.messages.stream(model=model, **given) as events:
        return content(events.get_final_message())


def look(sdk: Any, model: str) -> dict[str, Any]:
    """A message with an image."""
    data = base64.b64encode(KITE.read_bytes()).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    parts = [{"type": "text", "text": "2+2?"}, {"type": "image", "source": source}]
    return message(sdk, model, messages=[{"role": "user", "content": parts}])


def content(reply: Any) -> dict[str, Any]:
    """What a message holds."""
    found: dict[str, Any] = {
        "text": "".join(block.text for block in reply.content if block.type == "text"),
        "reasoning": "".join(block.thinking for block in reply.content if block.type == "thinking"),
        "usage": {
            "input_tokens": reply.usage.input_tokens,
            "output_tokens": reply.usage.output_tokens,
        },
        "id": reply.id,
        "model": reply.model,
    }
    calls = [
        {"id": block.id, "name": block.name, "arguments": block.input}
        for block in reply.content
        if block.type == "tool_use"
    ]
    return found | ({"tool_calls": calls} if calls else {})


_VERSION = "2023-06-01 is still served, and the only one that takes temperature, top_k and top_p"
_OPENAI = "OpenAI's name, which is translated"
_OLDER = "models up to 4.6 take it, with the older version of the API"
_KEY = "x-api-key is documented as well; the SDK changed to a bearer key with version 2.0"


_CLASSES = {
    402: "PaymentRequiredError",
    408: "RequestTimeoutError",
    413: "ContentTooLargeError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
    529: "OverloadedError",
}


class TestAnthropic(AsyncClient, ErrorSuite):
    source = "anthropic"
    package = "anthropic"
    base_path = ""
    host = "api.anthropic.com"  # other hosts get the key in two headers
    id_header = "request-id"
    replies = (ROOT / "plugins-contrib/anthropic/tests/replies", REPLIES)
    knows = {"llm": taken_by(anthropic.resources.Messages.create)}
    unknown = {
        **{
            ("llm", name): _OPENAI
            for name in ("reasoning_effort", "response_format", "stop", "user")
        },
        **{("llm", name): _OLDER for name in ("temperature", "top_k", "top_p")},
        ("llm", "parallel_tool_calls"): _OPENAI,
        ("llm", "betas"): "the SDK has it on its beta methods alone",
    }
    cases = (
        *usual(
            {
                "chat": message,
                "stream": stream,
                "tools": partial(message, tools=[WEATHER, CLOCK]),
                "tool-turns": partial(
                    message, system="Be brief.", messages=TURNS, tools=[WEATHER, CLOCK]
                ),
                "image-input": look,
                "schema": partial(
                    message,
                    output_config={"format": {"type": "json_schema", "schema": CITY}},
                ),
            },
            LLM,
            LLM,
            {"image-input": "image.json", "schema": "message-city.json"},
        ),
        Case(
            name="options",
            reply="options.json",
            model=LLM,
            theirs=lambda sdk, model: message(
                sdk,
                model,
                max_tokens=2000,
                stop_sequences=["END"],
                metadata={"user_id": "u1"},
                thinking=THINK,
                service_tier="auto",
                output_config={"effort": "low"},
            ),
            ours=lambda m: m(
                "2+2?",
                max_tokens=2000,
                stop="END",
                user="u1",
                thinking=THINK,
                service_tier="auto",
                reasoning_effort="low",
            ),
        ),
        Case(
            name="tools-required",
            reply="tools.json",
            model=LLM,
            theirs=lambda sdk, model: message(
                sdk,
                model,
                tools=[WEATHER, CLOCK],
                tool_choice={"type": "any", "disable_parallel_tool_use": True},
            ),
            ours=lambda m: m(
                "2+2?", tools=TOOLS, tool_choice="required", parallel_tool_calls=False
            ),
        ),
        Case(
            name="tools-stream",
            reply="tools.sse",
            model=LLM,
            theirs=lambda sdk, model: stream(sdk, model, tools=[WEATHER, CLOCK]),
            ours=lambda m: list(m.events("2+2?", tools=TOOLS)),
        ),
    )

    explained = {
        (case.name, name): why
        for case in cases
        for name, why in (
            ("header anthropic-version", _VERSION),
            ("header authorization", _KEY),
            ("header x-api-key", _KEY),
        )
    }

    def told(self, error: Any) -> Told:
        told = stainless_told(error, anthropic._exceptions, more=_CLASSES)
        inner = error.body.get("error") if isinstance(error.body, dict) else None
        if not isinstance(inner, dict):
            return told
        return replace(told, code=inner.get("type"), message=inner.get("message"))

    def sdk(self, server: FaultServer) -> anthropic.Anthropic:
        return anthropic.Anthropic(
            api_key=KEY, base_url=self.origin(server), max_retries=0, timeout=10
        )

    def async_sdk(self, server: FaultServer) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(
            api_key=KEY, base_url=self.origin(server), max_retries=0, timeout=10
        )
