"""Doubao (豆包) for modelplug: Volcengine Ark and its speech. Its types are in modelplug.toml."""

from __future__ import annotations

from modelplug.openai_wire import OpenAICompatible
from modelplug_doubao.chat import ArkChat
from modelplug_doubao.cross_modal import ArkCrossModalEmbed
from modelplug_doubao.images import ArkImageEdit, ArkImages
from modelplug_doubao.speak import SpeechSpeak
from modelplug_doubao.transcribe import SpeechTranscribe

plugin = OpenAICompatible(
    chat=ArkChat,
    cross_modal_embed=ArkCrossModalEmbed,
    stt=SpeechTranscribe,
    tts=SpeechSpeak,
    text2image=ArkImages,
    image_editing=ArkImageEdit,
)
