"""PPIO (派欧云) for modelplug. What it offers is in modelplug.toml."""

from __future__ import annotations

from modelplug.openai_wire import OpenAICompatible
from modelplug_ppio.chat import PPIOChat, PPIOEmbed, PPIORerank
from modelplug_ppio.images import PPIOImageEdit, PPIOImages
from modelplug_ppio.speech import PPIOSpeak, PPIOTranscribe

plugin = OpenAICompatible(
    chat=PPIOChat,
    embed=PPIOEmbed,
    rerank=PPIORerank,
    stt=PPIOTranscribe,
    tts=PPIOSpeak,
    text2image=PPIOImages,
    image_editing=PPIOImageEdit,
)
