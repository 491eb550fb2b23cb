"""
The provider sensenova, beside OpenAI's SDK and, for the classic models, beside the vendor's own.

The Token Plan is what https://platform.sensenova.cn/docs calls with OpenAI's; the older SDK
signs its requests with a key of two parts.
"""

from __future__ import annotations

from typing import Any

import jwt
import sensenova
from common import KEY, ROOT, Case, VendorSuite
from openai_sdk import ASKED, KITE, TOOL_TURNS, TOOLS, OpenAISuite, chat, chunks, look

from modelplug.testing import OPENAI, FaultServer

REPLIES = ROOT / "plugins/sensenova/tests/replies"
LLM = "sensenova-6.8-flash-lite"


class TestSenseNova(OpenAISuite):
    source = "sensenova"
    replies = (REPLIES / "plan", OPENAI)
    cases = (
        Case(
            name="chat",
            reply="chat.json",
            model=LLM,
            theirs=lambda sdk, model: chat(sdk, model, max_tokens=64),
            ours=lambda m: m("2+2?", max_tokens=64),
        ),
        Case(
            name="options",
            reply="chat-none.json",
            model=LLM,
            theirs=lambda sdk, model: chat(
                sdk,
                model,
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
            name="stream",
            reply="chat.sse",
            model=LLM,
            theirs=lambda sdk, model: chunks(sdk, model, stream_options={"include_usage": True}),
            ours=lambda m: list(m.events("2+2?")),
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
            name="image-input",
            reply="vlm.json",
            type="vlm",
            model=LLM,
            theirs=look,
            ours=lambda m: m("2+2?", files=[KITE]),
        ),
    )


def native_chat(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """A chat in one piece."""
    reply = sdk.ChatCompletion.create(model=model, messages=ASKED, **options)
    (choice,) = reply["data"]["choices"]
    return {"text": choice["message"], "usage": _usage(reply["data"]["usage"])}


def native_stream(sdk: Any, model: str) -> dict[str, Any]:
    """A chat streamed; the usage of each chunk is the sum so far."""
    chunks = list(sdk.ChatCompletion.create(model=model, messages=ASKED, stream=True))
    text = "".join(choice["delta"] for chunk in chunks for choice in chunk["data"]["choices"])
    return {"text": text, "usage": _usage(chunks[-1]["data"]["usage"])}


def native_embed(sdk: Any, model: str) -> dict[str, Any]:
    """Embeddings of two texts."""
    reply = sdk.Embedding.create(model=model, input=["a", "b"])
    items = sorted(reply["embeddings"], key=lambda item: int(item["index"]))
    return {"value": [item["embedding"] for item in items]}


def _usage(usage: Any) -> dict[str, int]:
    return {
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "total_tokens": usage["total_tokens"],
    }


class TestSenseNovaNative(VendorSuite):
    source = "sensenova"
    base_path = "/v1/llm"
    replies = (REPLIES / "native",)
    key = f"id:{KEY}"
    of_the_sdk = ("x-sensenova-client-user-agent",)
    cases = (
        Case(
            name="chat",
            reply="chat.json",
            model="nova-ptc-xl-v1",
            theirs=lambda sdk, model: native_chat(sdk, model, max_new_tokens=64, temperature=0.5),
            ours=lambda m: m("2+2?", max_tokens=64, temperature=0.5),
        ),
        Case(
            name="stream",
            reply="stream.sse",
            model="nova-ptc-xl-v1",
            theirs=native_stream,
            ours=lambda m: list(m.events("2+2?")),
        ),
        Case(
            name="embed",
            reply="embed.json",
            type="embed",
            model="nova-embedding-stable",
            theirs=native_embed,
            ours=lambda m: m(["a", "b"]),
        ),
    )

    def read_by_server(self, name: str, value: object) -> tuple[str, object]:
        if name != "header authorization":
            return name, value
        # The token is of the second; what it says is whose it is and for how long.
        token = str(value).removeprefix("Bearer ")
        claims = jwt.decode(token, KEY, algorithms=["HS256"])
        return name, (
            jwt.get_unverified_header(token),
            claims["iss"],
            claims["exp"] - claims["nbf"],
        )

    def sdk(self, server: FaultServer) -> Any:
        sensenova.access_key_id, sensenova.secret_access_key = "id", KEY
        sensenova.api_base = f"{self.origin(server)}/v1"
        return sensenova
