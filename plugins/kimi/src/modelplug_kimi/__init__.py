"""Kimi (Moonshot AI) for modelplug: OpenAI's wire, with what modelplug.toml says of it."""

from modelplug.openai_wire import OpenAICompatible

plugin = OpenAICompatible()
