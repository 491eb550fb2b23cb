"""Kimi (Moonshot AI) for modelplug. What it offers is in modelplug.toml; here is its chat."""

from modelplug.openai_wire import OpenAICompatible
from modelplug_kimi.chat import KimiChat

plugin = OpenAICompatible(
    chat=KimiChat,
)
