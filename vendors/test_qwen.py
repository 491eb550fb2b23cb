"""
The provider qwen, beside DashScope's SDK and, on its compatible routes, beside OpenAI's.

https://help.aliyun.com/zh/model-studio shows calls with both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dashscope
import openai
from common import KEY, REPLIES, ROOT, Case, VendorSuite
from dashscope.aigc.chat_completion import Completions
from openai_sdk import (
    ASKED,
    KITE,
    SILENCE,
    TOOL_TURNS,
    TOOLS,
    OpenAISuite,
    chat,
    chunks,
    completion,
    data_url,
    embed,
    look,
)

from modelplug.testing import OPENAI, FaultServer

OWN = ROOT / "plugins/qwen/tests/replies"
LLM = "qwen-plus"
HI: Any = [{"role": "user", "content": "hi"}]
JSON_ASKED: Any = [{"role": "system", "content": "Answer in JSON."}, *ASKED]
REMOTE_KITE = "https://x.invalid/c.png"
RECORDING = "https://x.invalid/a.wav"
PICTURE = {"mime": "image/png", "size": 70}


def transcribe(sdk: openai.OpenAI, model: str) -> dict[str, Any]:
    """A short recording, by chat."""
    data = data_url(SILENCE, "audio/wav")
    sound = {"type": "input_audio", "input_audio": {"data": data}}
    asked: Any = {"asr_options": {"language": "en", "enable_itn": False}}
    messages: Any = [{"role": "user", "content": [sound]}]
    return chat(sdk, model, messages=messages, extra_body=asked)


class TestQwenCompatible(OpenAISuite):
    source = "qwen"
    base_path = "/compatible-mode/v1"
    replies = (OWN, OPENAI)
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
            reply="thinking.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk,
                model,
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
            name="stream",
            reply="thinking.sse",
            model=LLM,
            theirs=lambda sdk, model: chunks(
                sdk,
                model,
                stream_options={"include_usage": True},
                extra_body={"enable_thinking": True},
            ),
            ours=lambda m: list(m.events("2+2?", enable_thinking=True)),
        ),
        Case(
            name="tools",
            reply="tools.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk, model, tools=TOOLS, tool_choice="auto", parallel_tool_calls=True
            ),
            ours=lambda m: m("2+2?", tools=TOOLS, tool_choice="auto", parallel_tool_calls=True),
        ),
        Case(
            name="tool-turns",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, messages=TOOL_TURNS),
            ours=lambda m: m(TOOL_TURNS),
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
            reply="vision.json",
            type="vlm",
            model="qwen3-vl-plus",
            theirs=look,
            ours=lambda m: m("2+2?", files=[KITE]),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model="text-embedding-v4",
            theirs=lambda sdk, model: embed(
                sdk, model, ["a", "b"], dimensions=1024, encoding_format="float"
            ),
            ours=lambda m: m(["a", "b"], dimensions=1024),
        ),
        Case(
            name="stt",
            reply="stt.json",
            type="stt",
            model="qwen3-asr-flash",
            theirs=transcribe,
            ours=lambda m: m(SILENCE, language="en", enable_itn=False),
        ),
    )


def compatible_chat(sdk: Any, model: str) -> dict[str, Any]:
    """A chat, as DashScope's own SDK makes it on the compatible route."""
    return completion(Completions.create(model=model, messages=HI, temperature=0.5, api_key=KEY))


def native_embed(sdk: Any, model: str) -> dict[str, Any]:
    """Embeddings of texts on the native route."""
    reply = sdk.TextEmbedding.call(
        model=model,
        input=["a", "b"],
        text_type="query",
        output_type="dense&sparse",
        dimension=512,
        api_key=KEY,
    )
    items = sorted(_output(reply)["embeddings"], key=lambda item: int(item["text_index"]))
    return {"value": [item["embedding"] for item in items]}


def cross_modal(sdk: Any, model: str) -> dict[str, Any]:
    """Embeddings of a text and an image."""
    contents = [{"text": "cat"}, {"image": REMOTE_KITE}]
    reply = sdk.MultiModalEmbedding.call(model=model, input=contents, dimension=1024, api_key=KEY)
    return {"value": [item["embedding"] for item in _output(reply)["embeddings"]]}


def rerank(sdk: Any, model: str) -> dict[str, Any]:
    """A ranking."""
    reply = sdk.TextReRank.call(
        model=model,
        query="q",
        documents=["a", "b"],
        top_n=2,
        return_documents=True,
        api_key=KEY,
    )
    return {"value": [[item.index, item.relevance_score] for item in _output(reply).results]}


def speak(sdk: Any, model: str) -> dict[str, Any]:
    """Speech, of which the reply tells the address."""
    reply = sdk.MultiModalConversation.call(
        model=model, text="hi", voice="Cherry", language_type="Auto", api_key=KEY
    )
    return _made([_output(reply).audio["url"]], {"mime": "audio/wav", "size": 204})


def draw(sdk: Any, model: str, *images: str, **options: Any) -> dict[str, Any]:
    """Images on the newer route."""
    text = "make it blue" if images else "a cat"
    content = [*({"image": image} for image in images), {"text": text}]
    reply = sdk.MultiModalConversation.call(
        model=model, messages=[{"role": "user", "content": content}], api_key=KEY, **options
    )
    (choice,) = _output(reply).choices
    urls = [part["image"] for part in choice.message.content]
    return _made(urls, {"mime": "image/png", "size": 73})


def draw_as_task(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """Images on the older route, as a task."""
    reply = sdk.ImageSynthesis.call(model=model, api_key=KEY, **options)
    return _made([item.url for item in _output(reply).results], PICTURE)


def transcribe_as_task(sdk: Any, model: str) -> dict[str, Any]:
    """A recording at a URL, of which the reply tells where its text is."""
    task = sdk.audio.asr.Transcription.async_call(
        model=model, file_urls=[RECORDING], language_hints=["en"], api_key=KEY
    )
    reply = sdk.audio.asr.Transcription.wait(task=task, api_key=KEY)
    assert [RECORDING] == [part["file_url"] for part in _output(reply)["results"]]
    return {"type": "stt"}  # the SDK leaves the text to be fetched


def _output(reply: Any) -> Any:
    assert 200 == reply.status_code, reply
    return reply.output


def _made(urls: list[str], each: Mapping[str, Any]) -> dict[str, Any]:
    return {"media": [each for url in urls if url]}


_UPLOAD = "the SDK tells the type in a field of its own, modelplug with the file as well"


class TestDashScope(VendorSuite):
    source = "qwen"
    base_path = ""
    replies = (OWN, REPLIES)
    of_the_sdk = ("x-dashscope-sdk-client", "x-dashscope-sdk-session-id")
    cases = (
        Case(
            name="compatible-chat",
            reply="chat.json",
            model=LLM,
            theirs=compatible_chat,
            ours=lambda m: m("hi", temperature=0.5),
        ),
        Case(
            name="embed",
            reply="embed-native.json",
            type="embed",
            model="text-embedding-v4",
            theirs=native_embed,
            ours=lambda m: m(
                ["a", "b"], text_type="query", output_type="dense&sparse", dimensions=512
            ),
        ),
        Case(
            name="cross-modal-embed",
            reply="cross-modal.json",
            type="cross_modal_embed",
            model="qwen3-vl-embedding",
            theirs=cross_modal,
            ours=lambda m: m(["cat"], files=[REMOTE_KITE], dimensions=1024),
        ),
        Case(
            name="rerank",
            reply="rerank.json",
            type="rerank",
            model="qwen3-rerank",
            theirs=rerank,
            ours=lambda m: m("q", documents=["a", "b"], top_n=2, return_documents=True),
        ),
        Case(
            name="tts",
            reply="tts.json",
            type="tts",
            model="qwen3-tts-flash",
            theirs=speak,
            ours=lambda m: m("hi", language_type="Auto"),
        ),
        Case(
            name="text2image",
            reply="text2image.json",
            type="text2image",
            model="qwen-image-plus",
            theirs=lambda sdk, model: draw(
                sdk, model, size="1328*1328", n=1, negative_prompt="dogs", watermark=False
            ),
            ours=lambda m: m(
                "a cat", size="1328x1328", n=1, negative_prompt="dogs", watermark=False
            ),
        ),
        Case(
            name="image-editing",
            reply="image-editing.json",
            type="image_editing",
            model="qwen-image-edit-plus",
            theirs=lambda sdk, model: draw(sdk, model, REMOTE_KITE, n=2),
            ours=lambda m: m("make it blue", files=[REMOTE_KITE], n=2),
        ),
        Case(
            name="text2image-task",
            reply="wan-task.json",
            type="text2image",
            model="wan2.2-t2i-flash",
            theirs=lambda sdk, model: draw_as_task(
                sdk, model, prompt="cat", negative_prompt="dogs", n=1, size="1024*1024"
            ),
            ours=lambda m: m("cat", negative_prompt="dogs", n=1, size="1024x1024"),
        ),
        Case(
            name="image-editing-task",
            reply="wan-task.json",
            type="image_editing",
            model="wan2.5-i2i-preview",
            theirs=lambda sdk, model: draw_as_task(
                sdk, model, prompt="make it blue", images=[REMOTE_KITE], n=1
            ),
            ours=lambda m: m("make it blue", files=[REMOTE_KITE], n=1),
        ),
        Case(
            name="image-editing-upload",
            reply="wan-upload.json",
            type="image_editing",
            model="wan2.5-i2i-preview",
            theirs=lambda sdk, model: draw_as_task(
                sdk, model, prompt="make it blue", images=[f"file://{KITE}"], n=1
            ),
            ours=lambda m: m("make it blue", files=[KITE], n=1),
        ),
        Case(
            name="stt-task",
            reply="recording.json",
            type="stt",
            model="paraformer-v2",
            theirs=transcribe_as_task,
            ours=lambda m: m(RECORDING, language_hints=["en"]),
        ),
    )

    explained = {
        ("tts", "parameters"): "the SDK sends an empty object for what was not given",
        ("image-editing-upload", "2: part file"): _UPLOAD,
    }

    def sdk(self, server: FaultServer) -> Any:
        dashscope.base_http_api_url = f"{server.origin}/api/v1"
        dashscope.base_compatible_api_url = f"{server.origin}/compatible-mode/v1"
        return dashscope
