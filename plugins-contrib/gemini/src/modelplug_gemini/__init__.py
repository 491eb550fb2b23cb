"""Google Gemini for modelplug, over generateContent and embedContent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplug.hookspecs import hookimpl
from modelplug.types import Endpoint, ModelType
from modelplug.wire import Codec
from modelplug_gemini.chat import GeminiChat
from modelplug_gemini.images import GeminiImages
from modelplug_gemini.speech import GeminiSpeak, GeminiTranscribe
from modelplug_gemini.vectors import GeminiCrossModalEmbed, GeminiEmbed
from modelplug_gemini.wire import GeminiCodec

CODECS: Mapping[ModelType, type[GeminiCodec[Any, Any]]] = {
    ModelType.LLM: GeminiChat,
    ModelType.VLM: GeminiChat,
    ModelType.EMBED: GeminiEmbed,
    ModelType.CROSS_MODAL_EMBED: GeminiCrossModalEmbed,
    ModelType.STT: GeminiTranscribe,
    ModelType.TTS: GeminiSpeak,
    ModelType.TEXT2IMAGE: GeminiImages,
    ModelType.IMAGE_EDITING: GeminiImages,
}


class Gemini:
    """The plugin object."""

    @hookimpl
    def create_online(self, endpoint: Endpoint, type: ModelType) -> Codec[Any, Any] | None:
        """The codec for *type*."""
        codec = CODECS.get(type)
        return codec(endpoint) if codec else None


plugin = Gemini()
