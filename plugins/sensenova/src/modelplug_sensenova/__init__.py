"""SenseNova (商汤日日新) for modelplug. What it offers is in modelplug.toml."""

from __future__ import annotations

from typing import Any

from modelplug.errors import (
    AuthRefused,
    ContextTooLong,
    Filtered,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionRefused,
    ProviderFailed,
    QuotaExhausted,
    RateLimited,
)
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
            return _CHATS[service_of(endpoint)](endpoint, self.codes)
        return super().create_online(endpoint, type)


plugin = SenseNova(
    embed=NativeEmbed,
    text2image=PlanImages,
    image_editing=PlanImageEdit,
    codes={
        "1": ProviderFailed,  # cancelled, or it took too long
        "2": ProviderFailed,
        "3": InvalidRequest,
        "4": ProviderFailed,
        "5": NotFound,
        "6": InvalidRequest,
        "7": PermissionRefused,
        "8": RateLimited,
        "9": InvalidRequest,
        "11": InvalidRequest,
        "13": ProviderFailed,
        "14": Overloaded,
        "15": ProviderFailed,
        "16": AuthRefused,
        "17": ContextTooLong,
        "18": Filtered,
        "FREE_QUOTA_EXHAUSTED": QuotaExhausted,
        "permission_error": PermissionRefused,
        "rate_limit_error": RateLimited,
    },
)
