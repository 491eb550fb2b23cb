"""A provider that keeps the contract."""

from modelplug.openai_wire import OpenAICompatible

plugin = OpenAICompatible()
