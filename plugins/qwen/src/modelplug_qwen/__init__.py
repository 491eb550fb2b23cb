"""
Qwen for modelplug: Alibaba Cloud Model Studio, whose API is called DashScope.

Facts: https://help.aliyun.com/zh/model-studio and the vendor's SDK `dashscope` 2.0.2, read
2026-11. Chat and text embeddings go over its OpenAI-compatible routes, all else over its own.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from modelplug.hookspecs import hookimpl
from modelplug.openai_wire import OpenAICompatible
from modelplug.types import Endpoint, ModelType
from modelplug.wire import Codec
from modelplug_qwen.chat import QwenChat
from modelplug_qwen.dashscope import host_of
from modelplug_qwen.images import QwenImageEdit, QwenImages
from modelplug_qwen.speak import QwenSpeak
from modelplug_qwen.transcribe import QwenTranscribe
from modelplug_qwen.vectors import QwenCrossModalEmbed, QwenEmbed, QwenRerank


class Qwen(OpenAICompatible):
    """DashScope. Its routes lie under several prefixes, so a base URL is cut back to the host."""

    @hookimpl
    def create_online(self, endpoint: Endpoint, type: ModelType) -> Codec[Any, Any] | None:
        """The codec for *type*."""
        hosts = [host_of(url) for url in endpoint.urls.items]
        return super().create_online(evolve(endpoint, url=hosts), type)


plugin = Qwen(
    chat=QwenChat,
    embed=QwenEmbed,
    cross_modal_embed=QwenCrossModalEmbed,
    rerank=QwenRerank,
    stt=QwenTranscribe,
    tts=QwenSpeak,
    text2image=QwenImages,
    image_editing=QwenImageEdit,
)
