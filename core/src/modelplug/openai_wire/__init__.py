"""
The wire that OpenAI made and most others speak: chat, embeddings, rerank (Jina's form).

Facts: https://platform.openai.com/docs/api-reference, and the deviations that compatible
servers were seen with (vLLM, llama.cpp, Ollama, TEI, infinity, gateways), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplug.errors import Refused
from modelplug.hookspecs import hookimpl
from modelplug.openai_wire.base import CODES, OpenAICodec, read_usage
from modelplug.openai_wire.chat import OpenAIChat
from modelplug.openai_wire.chat_stream import ChatDecoder
from modelplug.openai_wire.vectors import OpenAIEmbed, OpenAIRerank
from modelplug.types import Endpoint, ModelType
from modelplug.wire import Codec

__all__ = [
    "CODES",
    "ChatDecoder",
    "OpenAIChat",
    "OpenAICodec",
    "OpenAICompatible",
    "OpenAIEmbed",
    "OpenAIRerank",
    "read_usage",
]


class OpenAICompatible:
    """
    A provider on the OpenAI wire: the plugin object itself.

    Each type has a codec class, which a provider may replace by its own; `codes` adds its
    error codes. Whether it offers the type at all is said by its manifest.
    """

    def __init__(
        self,
        *,
        chat: type[Codec[Any, Any]] = OpenAIChat,
        embed: type[Codec[Any, Any]] = OpenAIEmbed,
        rerank: type[Codec[Any, Any]] = OpenAIRerank,
        codes: Mapping[str, type[Refused]] | None = None,
    ) -> None:
        self.codes = {**CODES, **(codes or {})}
        self.codecs: dict[ModelType, type[Codec[Any, Any]]] = {
            ModelType.LLM: chat,
            ModelType.VLM: chat,
            ModelType.EMBED: embed,
            ModelType.RERANK: rerank,
        }

    @hookimpl
    def create_online(self, endpoint: Endpoint, type: ModelType) -> Codec[Any, Any] | None:
        """The codec for *type*."""
        codec = self.codecs.get(type)
        return codec(endpoint, self.codes) if codec else None
