"""SenseNova (商汤日日新) for modelplug. What it offers is in modelplug.toml."""

from __future__ import annotations

from typing import Any

from modelplug.hookspecs import hookimpl
from modelplug.openai_wire import OpenAICompatible
from modelplug.types import Endpoint, ModelType
from modelplug.wire import Codec
from modelplug_sensenova.chat import ClassicChat, PlanChat
from modelplug_sensenova.codec import Service, service_of
from modelplug_sensenova.images import PlanImageEdit, PlanImages
from modelplug_sensenova.native import NativeChat, NativeEmbed

_CHATS = {
    Service.PLAN: PlanChat,
    Service.CLASSIC: ClassicChat,
    Service.NATIVE: NativeChat,
}


class SenseNova(OpenAICompatible):
    """A provider whose chat is another wire at each of its three services."""

    @hookimpl
    def create_online(self, endpoint: Endpoint, type: ModelType) -> Codec[Any, Any] | None:
        """The codec for *type*, at the service that the endpoint is of."""
        if type.chats:
            return _CHATS[service_of(endpoint)](endpoint)
        return super().create_online(endpoint, type)


plugin = SenseNova(
    embed=NativeEmbed,
    text2image=PlanImages,
    image_editing=PlanImageEdit,
)
