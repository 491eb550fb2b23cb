"""
The wire that OpenAI made and most others speak; rerank has Jina's form.

Facts: https://platform.openai.com/docs/api-reference, and the deviations that compatible
servers were seen with (vLLM, llama.cpp, Ollama, TEI, infinity, gateways), read 2026-11.
"""

from __future__ import annotations

from typing import Any

from modelplug.hookspecs import hookimpl
from modelplug.openai_wire.audio import OpenAISpeak, OpenAITranscribe
from modelplug.openai_wire.base import OpenAICodec, read_usage
from modelplug.openai_wire.chat import OpenAIChat
from modelplug.openai_wire.chat_stream import ChatDecoder
from modelplug.openai_wire.images import OpenAIImageEdit, OpenAIImages, image_of_base64
from modelplug.openai_wire.tuning import OpenAITuning, TunableChat
from modelplug.openai_wire.vectors import CrossModalEmbed, OpenAIEmbed, OpenAIRerank
from modelplug.types import Endpoint, ModelType
from modelplug.wire import Codec

AnyCodecClass = type[Codec[Any, Any]]

__all__ = [
    "ChatDecoder",
    "CrossModalEmbed",
    "OpenAIChat",
    "OpenAICodec",
    "OpenAICompatible",
    "OpenAIEmbed",
    "OpenAIImageEdit",
    "OpenAIImages",
    "OpenAIRerank",
    "OpenAISpeak",
    "OpenAITranscribe",
    "OpenAITuning",
    "TunableChat",
    "image_of_base64",
    "read_usage",
]


class OpenAICompatible:
    """
    A provider on the OpenAI wire: the plugin object itself.

    Each type has a codec class, which a provider may replace by its own. Whether it offers
    the type at all is said by its manifest.
    """

    def __init__(
        self,
        *,
        chat: AnyCodecClass = OpenAIChat,
        embed: AnyCodecClass = OpenAIEmbed,
        cross_modal_embed: AnyCodecClass | None = None,
        rerank: AnyCodecClass = OpenAIRerank,
        stt: AnyCodecClass = OpenAITranscribe,
        tts: AnyCodecClass = OpenAISpeak,
        text2image: AnyCodecClass = OpenAIImages,
        image_editing: AnyCodecClass = OpenAIImageEdit,
    ) -> None:
        self.codecs = {
            ModelType.LLM: chat,
            ModelType.VLM: chat,
            ModelType.EMBED: embed,
            ModelType.CROSS_MODAL_EMBED: cross_modal_embed,
            ModelType.RERANK: rerank,
            ModelType.STT: stt,
            ModelType.TTS: tts,
            ModelType.TEXT2IMAGE: text2image,
            ModelType.IMAGE_EDITING: image_editing,
        }

    @hookimpl
    def create_online(self, endpoint: Endpoint, type: ModelType) -> Codec[Any, Any] | None:
        """The codec for *type*."""
        codec = self.codecs[type]
        return codec(endpoint) if codec else None
