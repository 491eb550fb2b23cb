"""DashScope's SDK and the provider qwen; its compatible routes are in test_openai_wire.py."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import dashscope
from blocking import AsyncClient
from common import KEY, REPLIES, ROOT, Case, ErrorSuite, Told
from dashscope.aigc.chat_completion import Completions
from dashscope.aigc.image_synthesis import AioImageSynthesis
from openai_sdk import completion
from usual import ASKED, KITE

from modelplug.testing import FaultServer

LLM = "qwen-plus"
REMOTE_KITE = "https://x.invalid/c.png"
RECORDING = "https://x.invalid/a.wav"
PICTURE = {"mime": "image/png", "size": 70}


def compatible_chat(sdk: Any, model: str) -> dict[str, Any]:
    """A chat, as DashScope's own SDK makes it on the compatible route."""
    return completion(Completions.create(model=model, messages=ASKED, temperature=0.5, api_key=KEY))


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


class Failed(Exception):
    """What the SDK gives back as a reply, and leaves to its user to look at."""

    def __init__(self, reply: Any) -> None:
        super().__init__(str(reply))
        self.reply = reply


def _output(reply: Any) -> Any:
    if reply.status_code != 200:
        raise Failed(reply)
    return reply.output


def _made(urls: list[str], each: Mapping[str, Any]) -> dict[str, Any]:
    return {"media": [each for url in urls if url]}


_UPLOAD = "the SDK tells the type in a field of its own, modelplug with the file as well"


_MEANT = "a word of several errors; modelplug's is the one that is meant, by its text"


class TestDashScope(AsyncClient, ErrorSuite):
    source = "qwen"
    package = "dashscope"
    base_path = ""
    replies = (ROOT / "plugins/qwen/tests/replies", REPLIES)
    only_blocking = {
        **dict.fromkeys(("embed", "compatible-chat", "stt-task"), "the SDK has it but once"),
        **dict.fromkeys(
            ("text2image-task", "image-editing-task", "image-editing-upload"),
            "the SDK repeats the parameters in the query when it asks for the task",
        ),
    }
    id_header = ""
    of_the_sdk = ("x-dashscope-sdk-client", "x-dashscope-sdk-session-id")
    cases = (
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
            name="compatible-chat",
            reply="chat.json",
            model=LLM,
            theirs=compatible_chat,
            ours=lambda m: m("2+2?", temperature=0.5),
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

    unlike = {
        (f"error-{name}.json", "code"): _MEANT
        for name in ("400-context-native", "400-model", "500-context")
    }

    def told(self, error: Exception) -> Told:
        assert isinstance(error, Failed)
        reply = error.reply
        return Told(
            status=reply.status_code,
            code=reply.code,
            message=reply.message,
            request_id=reply.request_id,
        )

    def sdk(self, server: FaultServer) -> Any:
        dashscope.base_http_api_url = f"{server.origin}/api/v1"
        dashscope.base_compatible_api_url = f"{server.origin}/compatible-mode/v1"
        return dashscope

    def async_sdk(self, server: FaultServer) -> Any:
        sdk = self.sdk(server)
        return SimpleNamespace(
            MultiModalEmbedding=sdk.AioMultiModalEmbedding,
            TextReRank=sdk.AioTextReRank,
            MultiModalConversation=sdk.AioMultiModalConversation,
            ImageSynthesis=AioImageSynthesis,
        )
