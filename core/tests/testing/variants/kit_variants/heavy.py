"""Loads an HTTP client when it is imported."""

import httpx

from modelplug.openai_wire import OpenAICompatible

plugin = OpenAICompatible()
TIMEOUT = httpx.Timeout(10.0)
