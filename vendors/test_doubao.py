"""Volcengine's Ark SDK and the provider doubao; its speech is another product without one."""

from __future__ import annotations

from typing import Any

from common import KEY, REPLIES, ROOT, Case, VendorSuite, taken_by
from openai_sdk import CITY, KITE, TOOL_TURNS, TOOLS, chat, chunks, data_url, vectors
from volcenginesdkarkruntime import Ark, resources
from volcenginesdkarkruntime.types.images import SequentialImageGenerationOptions

from modelplug.testing import OPENAI, FaultServer

LLM = "doubao-seed-1-6-251015"
IMAGE = "doubao-seedream-4-0-250828"
HI: Any = [{"role": "user", "content": "hi"}]
ON: Any = {"type": "enabled"}
NAMED: Any = {
    "type": "json_schema",
    "json_schema": {"name": "City", "schema": CITY, "strict": True},
}
REMOTE_KITE = "https://x/c.png"


def look(sdk: Any, model: str) -> dict[str, Any]:
    """A chat with an image."""
    image = {"type": "image_url", "image_url": {"url": data_url(KITE, "image/png")}}
    parts = [{"type": "text", "text": "what"}, image]
    return chat(sdk, model, messages=[{"role": "user", "content": parts}])


def embed(sdk: Any, model: str) -> dict[str, Any]:
    """Embeddings of two texts."""
    return vectors(sdk.embeddings.create(model=model, input=["a", "b"]))


def cross_modal(sdk: Any, model: str) -> dict[str, Any]:
    """One vector of a text and an image."""
    image = {"type": "image_url", "image_url": {"url": REMOTE_KITE}}
    parts: Any = [{"type": "text", "text": "cat"}, image]
    reply = sdk.multimodal_embeddings.create(model=model, input=parts, dimensions=1024)
    return {"value": [reply.data.embedding]}


def draw(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """Images, of which the reply holds the bytes or tells the addresses."""
    reply = sdk.images.generate(model=model, **options)
    made = [item for item in reply.data if item.url or item.b64_json]
    return {"media": [{"mime": "image/png", "size": 73} for _ in made]}


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


class TestDoubao(VendorSuite):
    source = "doubao"
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
        Case(
            name="chat",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, messages=HI),
            ours=lambda m: m("hi"),
        ),
        Case(
            name="options",
            reply="chat-thinking.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk,
                model,
                messages=HI,
                max_tokens=64,
                temperature=0.5,
                stop=["\n"],
                thinking=ON,
                reasoning_effort="low",
                service_tier="auto",
            ),
            ours=lambda m: m(
                "hi",
                max_tokens=64,
                temperature=0.5,
                stop=["\n"],
                thinking=ON,
                reasoning_effort="low",
                service_tier="auto",
            ),
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
            name="schema",
            reply="city.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, messages=HI, response_format=NAMED),
            ours=lambda m: m("hi", schema=CITY),
        ),
        Case(
            name="image-input",
            reply="vlm.json",
            type="vlm",
            model="doubao-seed-1-6-vision-250815",
            theirs=look,
            ours=lambda m: m("what", files=[KITE]),
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
            theirs=lambda sdk, model: draw(
                sdk, model, prompt="a cat", size="2K", response_format="url", watermark=False
            ),
            ours=lambda m: m("a cat", size="2K", response_format="url", watermark=False),
        ),
        Case(
            name="image-series",
            reply="text2image-partial.json",
            type="text2image",
            model=IMAGE,
            theirs=lambda sdk, model: draw(
                sdk,
                model,
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
            theirs=lambda sdk, model: draw(
                sdk, model, prompt="blue", image=[data_url(KITE, "image/png")], size="2K"
            ),
            ours=lambda m: m("blue", files=[KITE], size="2K"),
        ),
    )

    def sdk(self, server: FaultServer) -> Ark:
        return Ark(
            api_key=KEY, base_url=self.origin(server) + self.base_path, max_retries=0, timeout=10
        )
