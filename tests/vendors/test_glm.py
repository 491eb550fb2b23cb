"""Zhipu's SDK and the provider glm."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import zai
from common import KEY, ROOT, Case, ErrorSuite, Told, taken_by
from usual import ASKED, KITE, SILENCE, TOOL_TURNS, TOOLS, data_url, usual
from zai import api_resource
from zai.api_resource.audio.transcriptions import Transcriptions

from modelplug.testing import OPENAI, FaultServer

LLM = "glm-5.2"
OFF: Any = {"type": "disabled"}
CHOSEN = {"size": "1568x1056", "quality": "standard", "user_id": "user-123456"}


def chat(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """A chat in one piece."""
    reply = sdk.chat.completions.create(model=model, **({"messages": ASKED} | options))
    message = reply.choices[0].message
    found = {"text": message.content or "", "usage": _usage(reply.usage)}
    if calls := message.tool_calls:
        found["tool_calls"] = [_call(call) for call in calls]
    thought = getattr(message, "reasoning_content", None)
    return found | ({"reasoning": thought} if thought else {})


def stream(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """A chat streamed, its chunks added up here."""
    given = {"messages": ASKED} | options
    text, thought, usage = "", "", None
    calls: list[Any] = []
    for chunk in sdk.chat.completions.create(model=model, stream=True, **given):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            thought += choice.delta.reasoning_content or ""
            calls += choice.delta.tool_calls or ()
    found: dict[str, Any] = {"text": text, "reasoning": thought, "usage": _usage(usage)}
    return found | ({"tool_calls": [_call(call) for call in calls]} if calls else {})


def look(sdk: Any, model: str) -> dict[str, Any]:
    """A chat with an image."""
    image = {"type": "image_url", "image_url": {"url": data_url(KITE, "image/png")}}
    parts = [{"type": "text", "text": "2+2?"}, image]
    return chat(sdk, model, messages=[{"role": "user", "content": parts}])


def embed(sdk: Any, model: str) -> dict[str, Any]:
    """Embeddings of two texts."""
    reply = sdk.embeddings.create(model=model, input=["a", "b"], dimensions=256)
    return {"value": [item.embedding for item in reply.data]}


def transcribe(sdk: Any, model: str) -> dict[str, Any]:
    """A transcription, of which the SDK has no class with a text."""
    reply = sdk.audio.transcriptions.create(
        model=model,
        file=(SILENCE.name, SILENCE.read_bytes(), "audio/wav"),
        prompt="a greeting",
        hotwords=["你好"],
    )
    return {"model": reply.model}


def speak(sdk: Any, model: str) -> dict[str, Any]:
    """Speech."""
    sound = sdk.audio.speech(
        model=model, input="你好", voice="tongtong", response_format="wav", speed=1.2, volume=0.5
    )
    return {"media": [{"mime": "audio/wav", "size": len(sound.content)}]}


def draw(sdk: Any, model: str) -> dict[str, Any]:
    """An image, of which the reply tells the address."""
    reply = sdk.images.generations(model=model, prompt="a red kite", **CHOSEN)
    return {"media": [{"mime": "image/png", "size": 73} for item in reply.data if item.url]}


def _usage(usage: Any) -> dict[str, int]:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _call(call: Any) -> dict[str, Any]:
    arguments = json.loads(call.function.arguments)
    return {"id": call.id, "name": call.function.name, "arguments": arguments}


class TestGLM(ErrorSuite):
    source = "glm"
    package = "zai-sdk"
    base_path = "/api/paas/v4"
    sends_nulls = True
    of_the_sdk = ("source_type", "x-request-sdk", "x-source-channel", "zai-sdk-ver")
    replies = (ROOT / "plugins/glm/tests/replies", OPENAI)
    knows = {
        "llm": taken_by(api_resource.Completions.create),
        "embed": taken_by(api_resource.Embeddings.create),
        "stt": taken_by(Transcriptions.create),
        "tts": taken_by(api_resource.Audio.speech),
        "text2image": taken_by(api_resource.Images.generations),
    }
    unknown = {}
    cases = (
        *usual(
            {
                "chat": chat,
                "stream": stream,
                "tools": partial(chat, tools=TOOLS),
                "tool-turns": partial(chat, messages=TOOL_TURNS, tools=TOOLS),
                "image-input": look,
            },
            LLM,
            "glm-4.6v",
            {"stream": "stream-short.sse", "tools": "tools-whole.json"},
        ),
        Case(
            name="options",
            reply="chat-short.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk, model, max_tokens=64, temperature=0.6, top_p=0.9, stop=["\n"], thinking=OFF
            ),
            ours=lambda m: m(
                "2+2?", max_tokens=64, temperature=0.6, top_p=0.9, stop="\n", thinking=OFF
            ),
        ),
        Case(
            name="tools-stream",
            reply="tools-whole.sse",
            model=LLM,
            theirs=lambda sdk, model: stream(sdk, model, tools=TOOLS, tool_stream=True),
            ours=lambda m: list(m.events("2+2?", tools=TOOLS, tool_stream=True)),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model="embedding-3",
            theirs=embed,
            ours=lambda m: m(["a", "b"], dimensions=256),
        ),
        Case(
            name="stt",
            reply="stt.json",
            type="stt",
            model="glm-asr-2512",
            theirs=transcribe,
            ours=lambda m: m(SILENCE, prompt="a greeting", hotwords=["你好"]),
        ),
        Case(
            name="tts",
            reply="tts.wav",
            type="tts",
            model="glm-tts",
            theirs=speak,
            ours=lambda m: m("你好", speed=1.2, volume=0.5),
        ),
        Case(
            name="text2image",
            reply="text2image.json",
            type="text2image",
            model="cogview-4-250304",
            theirs=draw,
            ours=lambda m: m("a red kite", **CHOSEN),
        ),
    )

    explained = {
        ("tts", "stream"): "the SDK says what is the default",
        ("image-input", "messages.0.content.1.image_url.url"): (
            "the SDK cuts the head off a data URL, which models from 4.5v on take as it is"
        ),
    }

    def told(self, error: Any) -> Told:
        named = {
            400: zai.core.APIRequestFailedError,
            401: zai.core.APIAuthenticationError,
            429: zai.core.APIReachLimitError,
            500: zai.core.APIInternalError,
            503: zai.core.APIServerFlowExceedError,
        }
        assert named.get(error.status_code, zai.core.APIStatusError) is type(error)
        # The SDK reads no more: the reply is in its text as it came.
        _, _, text = str(error).partition("with error text ")
        body = json.loads(text).get("error") if text.startswith("{") else None
        if not isinstance(body, dict):
            return Told(status=error.status_code)
        return Told(status=error.status_code, code=body.get("code"), message=body.get("message"))

    def sdk(self, server: FaultServer) -> zai.ZhipuAiClient:
        return zai.ZhipuAiClient(
            api_key=KEY, base_url=self.origin(server) + self.base_path, max_retries=0, timeout=10
        )
