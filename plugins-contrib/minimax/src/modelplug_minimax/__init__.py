"""MiniMax for modelplug. What it offers is in modelplug.toml."""

from __future__ import annotations

from modelplug.openai_wire import OpenAICompatible
from modelplug_minimax.chat import MiniMaxChat
from modelplug_minimax.embed import MiniMaxEmbed
from modelplug_minimax.images import MiniMaxImages
from modelplug_minimax.speech import MiniMaxSpeak

plugin = OpenAICompatible(
    chat=MiniMaxChat,
    embed=MiniMaxEmbed,
    tts=MiniMaxSpeak,
    text2image=MiniMaxImages,
)
