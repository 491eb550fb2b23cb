"""OpenAI for modelplug. What it offers is in modelplug.toml; its wire is the core's own."""

from modelplug.openai_wire import OpenAICompatible
from modelplug_openai.tuning import TunableChat

plugin = OpenAICompatible(chat=TunableChat)
