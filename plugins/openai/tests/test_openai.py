"""OpenAI holds to the contract, and to what its own host alone wants."""

from __future__ import annotations

from typing import Any

import modelplug as mp
from modelplug.online import locate
from modelplug.plugins import installed
from modelplug.testing import OnlineContract
from modelplug.types import ChatCall, EmbedCall, ModelType


class TestOpenAI(OnlineContract):
    plugin = "openai"
    model = "gpt-5.4-mini"


def codec(type: ModelType, url: str) -> Any:
    """The codec that the plugin gives at *url*, with what the manifest says there."""
    module = mp.OnlineModule(source="openai", type=type, url=url, api_key="k")
    return module._online


def test_its_own_host_takes_max_completion_tokens() -> None:
    chat = codec(ModelType.LLM, "https://api.openai.com/v1")

    payload = chat.payload(ChatCall("m", [{"role": "user", "content": "q"}], {"max_tokens": 5}))

    assert 5 == payload["max_completion_tokens"]
    assert "max_tokens" not in payload


def test_another_host_takes_max_tokens() -> None:
    chat = codec(ModelType.LLM, "http://127.0.0.1:1/v1")

    payload = chat.payload(ChatCall("m", [{"role": "user", "content": "q"}], {"max_tokens": 5}))

    assert 5 == payload["max_tokens"]


def test_its_own_host_is_asked_for_vectors_in_base64() -> None:
    embed = codec(ModelType.EMBED, "https://api.openai.com/v1")

    assert "base64" == embed.payload(EmbedCall("m", ["a"]))["encoding_format"]


def test_another_host_is_asked_for_vectors_as_numbers() -> None:
    embed = codec(ModelType.EMBED, "http://127.0.0.1:1/v1")

    assert "float" == embed.payload(EmbedCall("m", ["a"]))["encoding_format"]


def test_the_type_is_told_by_the_name() -> None:
    types = {
        name: locate(installed(), "openai", model=name, env={}).type
        for name in ("text-embedding-3-large", "gpt-4o", "gpt-transcribe", "tts-1", "gpt-image-2")
    }

    assert {
        "text-embedding-3-large": "embed",
        "gpt-4o": "vlm",
        "gpt-transcribe": "stt",
        "tts-1": "tts",
        "gpt-image-2": "text2image",
    } == types
