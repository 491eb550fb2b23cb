"""Anthropic for modelplug: the Messages wire, with which other vendors serve models as well."""

from __future__ import annotations

from typing import Any

from modelplug.hookspecs import hookimpl
from modelplug.types import Endpoint, ModelType
from modelplug.wire import Codec
from modelplug_anthropic.chat import AnthropicChat

__all__ = ["AnthropicChat", "plugin"]


class Anthropic:
    """The plugin object."""

    @hookimpl
    def create_online(self, endpoint: Endpoint, type: ModelType) -> Codec[Any, Any] | None:
        """The codec for chat; there are no models of other types."""
        return AnthropicChat(endpoint) if type.chats else None


plugin = Anthropic()
