"""DeepSeek for modelplug. What it offers is in modelplug.toml; here is its chat."""

from modelplug.openai_wire import OpenAICompatible
from modelplug_deepseek.chat import DeepSeekChat

plugin = OpenAICompatible(chat=DeepSeekChat)
