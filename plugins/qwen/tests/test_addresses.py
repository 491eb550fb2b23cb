"""One host, three prefixes, several regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import modelplug
from modelplug.types import ChatCall, RerankCall

HOST = "https://dashscope.aliyuncs.com"
CHAT = ChatCall("qwen-plus", [{"role": "user", "content": "hi"}])
RANK = RerankCall("gte-rerank-v2", "q", ["a"])


@pytest.mark.parametrize(
    "base",
    [
        HOST,
        HOST + "/compatible-mode/v1",
        HOST + "/compatible-mode/v1/chat/completions",
        HOST + "/compatible-api/v1",
        HOST + "/api/v1",
        HOST + "/apps/anthropic",
    ],
)
def test_a_base_url_may_end_in_any_of_the_prefixes(base: str, codec: Callable[..., Any]) -> None:
    chat = codec("llm", url=base).build_request(CHAT)
    rank = codec("rerank", url=base).build_request(RANK)

    assert HOST + "/compatible-mode/v1/chat/completions" == chat.url
    assert HOST + "/api/v1/services/rerank/text-rerank/text-rerank" == rank.url


def test_a_path_of_a_gateway_is_kept(codec: Callable[..., Any]) -> None:
    request = codec("llm", url="https://gw.invalid/dash/api/v1").build_request(CHAT)

    assert "https://gw.invalid/dash/compatible-mode/v1/chat/completions" == request.url


def test_each_of_several_base_urls_is_cut_back(codec: Callable[..., Any]) -> None:
    urls = [HOST + "/api/v1", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"]

    assert (HOST, "https://dashscope-intl.aliyuncs.com") == codec(
        "llm", url=urls
    ).endpoint.urls.items


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("cn", HOST),
        ("intl", "https://dashscope-intl.aliyuncs.com"),
        ("us", "https://dashscope-us.aliyuncs.com"),
    ],
)
def test_a_region_is_a_host(region: str, host: str) -> None:
    assert host == modelplug.OnlineModule(source="qwen", region=region, api_key="k").url


def test_the_variables_of_the_vendors_sdk_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "k")
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", "https://dashscope-us.aliyuncs.com/api/v1")

    model = modelplug.OnlineModule(source="qwen")

    assert "https://dashscope-us.aliyuncs.com" == model.url
    assert "k" == model.api_key.reveal()


@pytest.mark.parametrize(
    ("model", "type"),
    [
        ("text-embedding-v3", "embed"),
        ("qwen2.5-vl-embedding", "cross_modal_embed"),
        ("qwen3-vl-embedding", "cross_modal_embed"),
        ("tongyi-embedding-vision-plus", "cross_modal_embed"),
        ("gte-rerank-v2", "rerank"),
        ("qwen3-vl-rerank", "rerank"),
        ("qwen-audio-turbo", "stt"),
        ("qwen3-asr-flash", "stt"),
        ("paraformer-v2", "stt"),
        ("qwen-tts", "tts"),
        ("qwen3-tts-instruct-flash", "tts"),
        ("cosyvoice-v3", "tts"),
        ("qwen-image-plus", "text2image"),
        ("wan2.2-t2i-flash", "text2image"),
        ("wanx2.1-t2i-turbo", "text2image"),
        ("z-image-turbo", "text2image"),
        ("qwen-image-edit-plus", "image_editing"),
        ("wanx2.1-imageedit", "image_editing"),
        ("wan2.5-i2i-preview", "image_editing"),
        ("qwen-vl-max", "vlm"),
        ("qwen2.5-vl-72b-instruct", "vlm"),
        ("qwen-vl-ocr", "vlm"),
        ("qvq-max", "vlm"),
        ("qwen-omni-turbo", "vlm"),
        ("qwen3.5-plus", "vlm"),
        ("qwen-max", "llm"),
        ("qwen3-coder-plus", "llm"),
        ("qwq-plus", "llm"),
        ("deepseek-v3", "llm"),
    ],
)
def test_the_name_tells_the_type(model: str, type: str) -> None:
    assert type == modelplug.OnlineModule(model, source="qwen", api_key="k").type


def test_the_ids_of_hubs_are_not_claimed() -> None:
    from modelplug.plugins import installed

    hub = ["Qwen/Qwen3-8B", "BAAI/bge-reranker-v2-m3", "text-embedding-3-small", "glm-4"]

    assert [None] * 4 == [installed().provider("qwen").type_of(name) for name in hub]
