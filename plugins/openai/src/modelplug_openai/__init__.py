"""OpenAI for modelplug. What it offers is in modelplug.toml; its wire is the core's own."""

from modelplug.openai_wire import OpenAICompatible, TunableChat

plugin = OpenAICompatible(chat=TunableChat)
