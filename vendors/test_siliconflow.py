"""OpenAI's SDK, which https://docs.siliconflow.cn calls with, and the provider siliconflow."""

from __future__ import annotations

from typing import Any

from common import ROOT, Case
from openai_sdk import (
    KITE,
    SILENCE,
    TOOL_TURNS,
    TOOLS,
    OpenAISuite,
    chat,
    chunks,
    embed,
    look,
    transcribe,
)

from modelplug.testing import OPENAI

LLM = "Qwen/Qwen3-8B"
TTS = "FunAudioLLM/CosyVoice2-0.5B"
HI: Any = [{"role": "user", "content": "hi"}]
THINK = {"enable_thinking": True, "thinking_budget": 1024}


def speak(sdk: Any, model: str) -> dict[str, Any]:
    """Speech, of which the SDK gives the bytes; `stream` is SiliconFlow's own."""
    sound = sdk.audio.speech.create(
        model=model,
        input="hi",
        voice=f"{TTS}:alex",
        response_format="mp3",
        extra_body={"stream": False},
    )
    return {"media": [{"mime": "audio/mpeg", "size": len(sound.content)}]}


def draw(sdk: Any, model: str) -> dict[str, Any]:
    """Images, of which the reply in the SDK's form tells the addresses."""
    sizes = {"image_size": "1024x1024", "batch_size": 2}
    reply = sdk.images.generate(model=model, prompt="cat", extra_body=sizes)
    return {"media": [{"mime": "image/png", "size": 70} for item in reply.data if item.url]}


class TestSiliconFlow(OpenAISuite):
    source = "siliconflow"
    replies = (ROOT / "plugins/siliconflow/tests/replies", OPENAI)
    cases = (
        Case(
            name="chat",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, messages=HI),
            ours=lambda m: m("hi"),
        ),
        Case(
            name="options",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk, model, messages=HI, max_tokens=64, temperature=0.5, extra_body=THINK
            ),
            ours=lambda m: m("hi", max_tokens=64, temperature=0.5, **THINK),
        ),
        Case(
            name="stream",
            reply="chat.sse",
            model=LLM,
            theirs=lambda sdk, model: chunks(
                sdk, model, messages=HI, stream_options={"include_usage": True}
            ),
            ours=lambda m: list(m.events("hi")),
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
            name="image-input",
            reply="vlm.json",
            type="vlm",
            model="Qwen/Qwen3-VL-30B-A3B-Instruct",
            theirs=look,
            ours=lambda m: m("2+2?", files=[KITE]),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model="BAAI/bge-m3",
            theirs=lambda sdk, model: embed(sdk, model, ["a", "b"]),
            ours=lambda m: m(["a", "b"]),
        ),
        Case(
            name="stt",
            reply="stt.json",
            type="stt",
            model="FunAudioLLM/SenseVoiceSmall",
            theirs=transcribe,
            ours=lambda m: m(SILENCE),
        ),
        Case(
            name="tts",
            reply="tts.mp3",
            type="tts",
            model=TTS,
            theirs=speak,
            ours=lambda m: m("hi", voice="alex", response_format="mp3"),
        ),
        Case(
            name="text2image",
            reply="text2image-data.json",
            type="text2image",
            model="Kwai-Kolors/Kolors",
            theirs=draw,
            ours=lambda m: m("cat", size="1024x1024", n=2),
        ),
    )
