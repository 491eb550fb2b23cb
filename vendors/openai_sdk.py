"""Calls with OpenAI's SDK, which several vendors name as theirs, and what it reads."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import openai
from common import KEY, VendorSuite

from modelplug.testing import OPENAI, FaultServer

KITE = OPENAI / "inputs" / "kite.png"
SILENCE = OPENAI / "inputs" / "silence.wav"

ASKED = [{"role": "user", "content": "2+2?"}]
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


def data_url(file: Path, mime: str) -> str:
    """The bytes of *file* as a data URL."""
    return f"data:{mime};base64,{base64.b64encode(file.read_bytes()).decode()}"


class OpenAISuite(VendorSuite):
    """A vendor whose documentation calls its API with OpenAI's SDK."""

    def sdk(self, server: FaultServer) -> openai.OpenAI:
        """OpenAI's client."""
        return openai.OpenAI(
            api_key=KEY, base_url=self.origin(server) + self.base_path, max_retries=0, timeout=10
        )


def chat(sdk: openai.OpenAI, model: str, **options: Any) -> dict[str, Any]:
    """A chat in one piece."""
    reply = sdk.chat.completions.create(model=model, **({"messages": ASKED} | options))
    return completion(reply)


def completion(reply: Any) -> dict[str, Any]:
    """What a chat completion holds."""
    (choice,) = reply.choices
    found = {"text": choice.message.content or "", "usage": _usage(reply.usage)}
    if thought := getattr(choice.message, "reasoning_content", None):
        found["reasoning"] = thought
    if calls := choice.message.tool_calls:
        found["tool_calls"] = [
            _call(call.id, call.function.name, call.function.arguments) for call in calls
        ]
    return found


def stream(sdk: openai.OpenAI, model: str, **options: Any) -> dict[str, Any]:
    """A chat streamed, with usage, as the SDK itself adds it up."""
    with sdk.chat.completions.stream(
        model=model,
        stream_options={"include_usage": True},
        **({"messages": ASKED} | options),
    ) as events:
        return completion(events.get_final_completion())


def chunks(sdk: openai.OpenAI, model: str, **options: Any) -> dict[str, Any]:
    """A chat streamed, its chunks added up here: for fields that the SDK does not know."""
    text, thought, usage = "", "", None
    for chunk in sdk.chat.completions.create(
        model=model, stream=True, **({"messages": ASKED} | options)
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            thought += getattr(choice.delta, "reasoning_content", None) or ""
            # Kimi counts inside the last choice, where the SDK keeps what it does not know.
            usage = getattr(choice, "usage", None) or usage
    counted = _usage(openai.types.CompletionUsage.model_validate(usage, from_attributes=True))
    return {"text": text, "usage": counted} | ({"reasoning": thought} if thought else {})


def vectors(reply: Any) -> dict[str, Any]:
    """What an embedding reply holds, in the order of the inputs; the SDK leaves it as it came."""
    items = sorted(reply.data, key=lambda item: item.index)
    return {"value": [[round(x, 6) for x in item.embedding] for item in items]}


def look(sdk: openai.OpenAI, model: str, **options: Any) -> dict[str, Any]:
    """A chat with an image."""
    image = {"type": "image_url", "image_url": {"url": data_url(KITE, "image/png")}}
    parts = [{"type": "text", "text": "2+2?"}, image]
    return chat(sdk, model, messages=[{"role": "user", "content": parts}], **options)


def embed(sdk: openai.OpenAI, model: str, texts: Any, **options: Any) -> dict[str, Any]:
    """Embeddings of a list, or of one text."""
    found = vectors(sdk.embeddings.create(model=model, input=texts, **options))
    return {"value": found["value"][0]} if isinstance(texts, str) else found


def transcribe(sdk: openai.OpenAI, model: str, **options: Any) -> dict[str, Any]:
    """A transcription; left alone, the SDK calls a wav what Python does, audio/x-wav."""
    file = (SILENCE.name, SILENCE.read_bytes(), "audio/wav")
    return {"text": sdk.audio.transcriptions.create(model=model, file=file, **options).text}


def _usage(usage: Any) -> dict[str, int]:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "name": name, "arguments": json.loads(arguments)}
