"""Volcengine's Ark SDK and the provider doubao; its speech is another product without one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from blocking import AsyncClient
from common import KEY, REPLIES, ROOT, Case, ErrorSuite, Told, taken_by
from openai_sdk import chat, draw, embed, stainless_told, usual_chats
from usual import KITE, data_url
from volcenginesdkarkruntime import Ark, AsyncArk, _exceptions, resources
from volcenginesdkarkruntime.types.images import SequentialImageGenerationOptions

from modelplug.testing import OPENAI, FaultServer

LLM = "doubao-seed-1-6-251015"
IMAGE = "doubao-seedream-4-0-250828"
ON: Any = {"type": "enabled"}
REMOTE_KITE = "https://x/c.png"


def cross_modal(sdk: Any, model: str) -> dict[str, Any]:
    """One vector of a text and an image."""
    image = {"type": "image_url", "image_url": {"url": REMOTE_KITE}}
    parts: Any = [{"type": "text", "text": "cat"}, image]
    reply = sdk.multimodal_embeddings.create(model=model, input=parts, dimensions=1024)
    return {"value": [reply.data.embedding]}


def _inner(method: Any) -> Any:
    """What the SDK's checks of the key are wrapped round, without telling."""
    while "kwargs" in taken_by(method):
        (method,) = (cell.cell_contents for cell in method.__closure__)
    return method


_OF_OPENAI = (
    "audio metadata modalities prediction prompt_cache_key safety_identifier seed store "
    "verbosity web_search_options".split()
)
_UNNAMED = "an option of OpenAI's wire, which Ark's own SDK does not name"
_REQUESTS = "so many requests are made of it"


class TestDoubao(AsyncClient, ErrorSuite):
    source = "doubao"
    package = "volcengine-ark-runtime"
    base_path = "/api/v3"
    sends_nulls = True
    of_the_sdk = ("x-client-request-id",)
    replies = (ROOT / "plugins/doubao/tests/replies", REPLIES, OPENAI)
    knows = {
        "llm": taken_by(_inner(resources.chat.completions.Completions.create)),
        "embed": taken_by(_inner(resources.Embeddings.create)),
        "cross_modal_embed": taken_by(_inner(resources.MultimodalEmbeddings.create)),
        "text2image": taken_by(_inner(resources.Images.generate)),
        "image_editing": taken_by(_inner(resources.Images.generate)),
    }
    unknown = {
        **{("llm", name): _UNNAMED for name in _OF_OPENAI},
        ("cross_modal_embed", "user"): _UNNAMED,
        ("cross_modal_embed", "fused"): "it says whether the inputs go in one request",
        ("text2image", "n"): _REQUESTS,
        ("image_editing", "n"): _REQUESTS,
    }
    cases = (
        *usual_chats(LLM, "doubao-seed-1-6-vision-250815"),
        Case(
            name="options",
            reply="chat-thinking.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk,
                model,
                max_tokens=64,
                temperature=0.5,
                stop=["\n"],
                thinking=ON,
                reasoning_effort="low",
                service_tier="auto",
            ),
            ours=lambda m: m(
                "2+2?",
                max_tokens=64,
                temperature=0.5,
                stop=["\n"],
                thinking=ON,
                reasoning_effort="low",
                service_tier="auto",
            ),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model="doubao-embedding-large-text-250515",
            theirs=embed,
            ours=lambda m: m(["a", "b"]),
        ),
        Case(
            name="cross-modal-embed",
            reply="cross_modal_embed.json",
            type="cross_modal_embed",
            model="doubao-embedding-vision-251215",
            theirs=cross_modal,
            ours=lambda m: m(["cat"], files=[REMOTE_KITE], fused=True, dimensions=1024),
        ),
        Case(
            name="text2image",
            reply="text2image.json",
            type="text2image",
            model=IMAGE,
            theirs=partial(draw, prompt="a cat", size="2K", response_format="url", watermark=False),
            ours=lambda m: m("a cat", size="2K", response_format="url", watermark=False),
        ),
        Case(
            name="image-series",
            reply="text2image-partial.json",
            type="text2image",
            model=IMAGE,
            theirs=partial(
                draw,
                prompt="cat",
                sequential_image_generation="auto",
                sequential_image_generation_options=SequentialImageGenerationOptions(max_images=2),
            ),
            ours=lambda m: m(
                "cat",
                sequential_image_generation="auto",
                sequential_image_generation_options={"max_images": 2},
            ),
        ),
        Case(
            name="image-editing",
            reply="image_editing.json",
            type="image_editing",
            model=IMAGE,
            theirs=partial(draw, prompt="blue", image=[data_url(KITE, "image/png")], size="2K"),
            ours=lambda m: m("blue", files=[KITE], size="2K"),
        ),
    )

    def told(self, error: Exception) -> Told:
        # The SDK's id of a request is one of its own, not the server's.
        return replace(stainless_told(error, _exceptions, "Ark"), request_id=None)

    def sdk(self, server: FaultServer) -> Ark:
        return Ark(
            api_key=KEY, base_url=self.origin(server) + self.base_path, max_retries=0, timeout=10
        )

    def async_sdk(self, server: FaultServer) -> AsyncArk:
        return AsyncArk(
            api_key=KEY, base_url=self.origin(server) + self.base_path, max_retries=0, timeout=10
        )
