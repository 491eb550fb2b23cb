"""The providers whose own pages call them with OpenAI's SDK."""

from __future__ import annotations

from functools import partial
from typing import Any

from common import REPLIES, ROOT, Case, Told
from openai_sdk import OpenAISuite, chat, chunks, draw, embed, ppio_told, transcribe, usual_chats
from usual import ASKED, KITE, SILENCE, data_url

from modelplug.testing import OPENAI

OFF: Any = {"thinking": {"type": "disabled"}}
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
    """https://api-docs.deepseek.com."""

    source = "deepseek"
    base_path = ""
    replies = (ROOT / "plugins-contrib/deepseek/tests/replies", OPENAI)
    cases = (
        *usual_chats(
            "deepseek-v4-flash",
            "deepseek-v4-flash-vision-exp",
            replies={"tools": "tools-thought.json"},
            without=("schema",),
        ),
        Case(
            name="options",
            reply="no-thinking.json",
            model="deepseek-v4-flash",
            theirs=partial(chat, max_tokens=64, temperature=0.5, stop=["\n"], extra_body=OFF),
            ours=lambda m: m("2+2?", max_tokens=64, temperature=0.5, stop=["\n"], **OFF),
        ),
        Case(
            name="stream-keep-alive",
            reply="keep-alive.sse",
            model="deepseek-v4-flash",
            theirs=chunks,
            ours=lambda m: list(m.events("2+2?")),
        ),
        Case(
            name="blank-lines",
            reply="blank-lines.json",
            model="deepseek-v4-flash",
            theirs=chat,
            ours=lambda m: m("2+2?"),
        ),
        Case(
            name="tool-turns-thought",
            reply="chat.json",
            model="deepseek-v4-flash",
            theirs=partial(chat, messages=THOUGHT),
            ours=lambda m: m(THOUGHT),
        ),
    )


# https://platform.moonshot.ai/docs/guide/use-partial-mode-feature-of-kimi-api
PARTIAL = [*ASKED, {"role": "assistant", "content": "{", "partial": True}]


class TestKimi(OpenAISuite):
    """https://platform.moonshot.ai/docs."""

    source = "kimi"
    replies = (ROOT / "plugins/kimi/tests/replies", REPLIES, OPENAI)
    cases = (
        *usual_chats("kimi-k2.6", "kimi-k2.6", replies={"tools": "tools-thought.json"}),
        Case(
            name="options",
            reply="chat-short.json",
            model="kimi-k2.6",
            theirs=partial(
                chat,
                max_completion_tokens=64,
                stop=["\n"],
                prompt_cache_key="k",
                extra_body=OFF,
            ),
            ours=lambda m: m("2+2?", max_tokens=64, stop=["\n"], prompt_cache_key="k", **OFF),
        ),
        Case(
            name="partial",
            reply="chat.json",
            model="kimi-k2.6",
            theirs=partial(chat, messages=PARTIAL),
            ours=lambda m: m(PARTIAL),
        ),
    )
    explained = {
        ("tool-turns", "messages.2.reasoning_content"): (
            "a turn of a tool call without its reasoning is a 400 while the model thinks"
        ),
    }


SPLIT: Any = {"reasoning_split": True}


class TestMiniMax(OpenAISuite):
    """https://platform.minimax.io/docs."""

    source = "minimax"
    replies = (ROOT / "plugins-contrib/minimax/tests/replies", OPENAI)
    cases = (
        *usual_chats(
            "MiniMax-M3",
            "MiniMax-M3",
            replies={"stream": "reasoning-content.sse", "tools": "tools-thought.json"},
            without=("schema", "json-object"),
            extra_body=SPLIT,
        ),
        Case(
            name="options",
            reply="chat-short.json",
            model="MiniMax-M3",
            theirs=partial(chat, max_completion_tokens=64, temperature=0.5, extra_body=SPLIT | OFF),
            ours=lambda m: m("2+2?", max_tokens=64, temperature=0.5, **OFF),
        ),
    )


class TestPPIO(OpenAISuite):
    """https://ppio.com/docs."""

    source = "ppio"
    base_path = "/openai/v1"
    replies = (ROOT / "plugins-contrib/ppio/tests/replies", REPLIES, OPENAI)
    cases = (
        *usual_chats(
            "deepseek/deepseek-v3.2",
            "qwen/qwen2.5-vl-72b-instruct",
            replies={"stream": "stream.sse"},
        ),
        Case(
            name="options",
            reply="chat.json",
            model="deepseek/deepseek-v3.2",
            theirs=partial(chat, max_tokens=64, temperature=0.5),
            ours=lambda m: m("2+2?", max_tokens=64, temperature=0.5),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model="baai/bge-m3",
            theirs=partial(embed, texts=["a"], encoding_format="float"),
            ours=lambda m: m(["a"]),
        ),
    )

    def told(self, error: Exception) -> Told:
        """What the SDK reads from an error."""
        return ppio_told(super().told(error), error)


THINK = {"enable_thinking": True, "thinking_budget": 1024}
COSY = "FunAudioLLM/CosyVoice2-0.5B"


def speak(sdk: Any, model: str) -> dict[str, Any]:
    """Speech, of which the SDK gives the bytes; `stream` is SiliconFlow's own."""
    sound = sdk.audio.speech.create(
        model=model,
        input="hi",
        voice=f"{COSY}:alex",
        response_format="mp3",
        extra_body={"stream": False},
    )
    return {"media": [{"mime": "audio/mpeg", "size": len(sound.content)}]}


class TestSiliconFlow(OpenAISuite):
    """https://docs.siliconflow.cn."""

    source = "siliconflow"
    replies = (ROOT / "plugins/siliconflow/tests/replies", OPENAI)
    cases = (
        *usual_chats("Qwen/Qwen3-8B", "Qwen/Qwen3-VL-30B-A3B-Instruct", without=("schema",)),
        Case(
            name="options",
            reply="chat.json",
            model="Qwen/Qwen3-8B",
            theirs=partial(chat, max_tokens=64, temperature=0.5, extra_body=THINK),
            ours=lambda m: m("2+2?", max_tokens=64, temperature=0.5, **THINK),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model="BAAI/bge-m3",
            theirs=embed,
            ours=lambda m: m(["a", "b"]),
        ),
        Case(
            name="cross-modal-embed",
            reply="cross_modal_embed.json",
            type="cross_modal_embed",
            model="Qwen/Qwen3-VL-Embedding-8B",
            theirs=partial(embed, texts=[{"text": "cat"}, {"image": "https://x/c.png"}]),
            ours=lambda m: m(["cat"], files=["https://x/c.png"]),
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
            model=COSY,
            theirs=speak,
            ours=lambda m: m("hi", voice="alex", response_format="mp3"),
        ),
        Case(
            name="text2image",
            reply="text2image-data.json",
            type="text2image",
            model="Kwai-Kolors/Kolors",
            theirs=partial(
                draw,
                length=70,
                prompt="cat",
                extra_body={"image_size": "1024x1024", "batch_size": 2},
            ),
            ours=lambda m: m("cat", size="1024x1024", n=2),
        ),
        Case(
            name="image-editing",
            reply="image_editing.json",
            type="image_editing",
            model="Qwen/Qwen-Image-Edit-2509",
            theirs=partial(
                draw, length=70, prompt="blue", extra_body={"image": data_url(KITE, "image/png")}
            ),
            ours=lambda m: m("blue", files=[KITE]),
        ),
    )
    explained = {
        ("cross-modal-embed", "encoding_format"): (
            "the SDK asks for base64 unless told; it is not documented for models that see"
        ),
    }


LITE = "sensenova-6.8-flash-lite"


class TestSenseNova(OpenAISuite):
    """The Token Plan, https://platform.sensenova.cn/docs."""

    source = "sensenova"
    replies = (ROOT / "plugins/sensenova/tests/replies/plan", OPENAI)
    cases = (
        *usual_chats(LITE, LITE, without=("schema",)),
        Case(
            name="options",
            reply="chat-none.json",
            model=LITE,
            theirs=partial(
                chat,
                max_tokens=64,
                temperature=0.5,
                seed=7,
                reasoning_effort="none",
                extra_body={"top_k": 3},
            ),
            ours=lambda m: m(
                "2+2?", max_tokens=64, temperature=0.5, seed=7, reasoning_effort="none", top_k=3
            ),
        ),
        Case(
            name="text2image",
            reply="text2image.json",
            type="text2image",
            model="sensenova-u1.5-lite",
            theirs=partial(
                draw,
                prompt="a red kite",
                response_format="b64_json",
                output_format="png",
                extra_body={"size": "2048x2048", "watermark": False, "prompt_extend": True},
            ),
            ours=lambda m: m(
                "a red kite",
                size="2048x2048",
                response_format="b64_json",
                output_format="png",
                watermark=False,
                prompt_extend=True,
            ),
        ),
    )


def transcribe_by_chat(sdk: Any, model: str) -> dict[str, Any]:
    """A short recording, by chat."""
    sound = {"type": "input_audio", "input_audio": {"data": data_url(SILENCE, "audio/wav")}}
    asked: Any = {"asr_options": {"language": "en", "enable_itn": False}}
    messages: Any = [{"role": "user", "content": [sound]}]
    return chat(sdk, model, messages=messages, extra_body=asked)


class TestQwenCompatible(OpenAISuite):
    """The compatible routes, https://help.aliyun.com/zh/model-studio."""

    source = "qwen"
    base_path = "/compatible-mode/v1"
    replies = (ROOT / "plugins/qwen/tests/replies", OPENAI)
    cases = (
        *usual_chats(
            "qwen-plus",
            "qwen3-vl-plus",
            replies={"image-input": "vision.json"},
            without=("schema",),
        ),
        Case(
            name="options",
            reply="thinking.json",
            model="qwen-plus",
            theirs=partial(
                chat,
                max_tokens=64,
                temperature=0.5,
                seed=7,
                extra_body={"enable_thinking": True, "top_k": 3, "enable_search": True},
            ),
            ours=lambda m: m(
                "2+2?",
                max_tokens=64,
                temperature=0.5,
                seed=7,
                enable_thinking=True,
                top_k=3,
                enable_search=True,
            ),
        ),
        Case(
            name="stream-thinking",
            reply="thinking.sse",
            model="qwen-plus",
            theirs=partial(chunks, extra_body={"enable_thinking": True}),
            ours=lambda m: list(m.events("2+2?", enable_thinking=True)),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model="text-embedding-v4",
            theirs=partial(embed, dimensions=1024, encoding_format="float"),
            ours=lambda m: m(["a", "b"], dimensions=1024),
        ),
        Case(
            name="stt",
            reply="stt.json",
            type="stt",
            model="qwen3-asr-flash",
            theirs=transcribe_by_chat,
            ours=lambda m: m(SILENCE, language="en", enable_itn=False),
        ),
    )
    unlike = {
        (f"error-{name}.json", "code"): (
            "a word of several errors; modelplug's is the one that is meant, by its text"
        )
        for name in (
            "400-context-native",
            "400-context",
            "400-model",
            "500-context",
            "429-free-tier",
        )
    }
