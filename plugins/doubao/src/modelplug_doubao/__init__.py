"""Doubao (豆包) for modelplug: Volcengine Ark and its speech. Its types are in modelplug.toml."""

from __future__ import annotations

from modelplug.errors import (
    AuthRefused,
    ConcurrencyLimited,
    ContextTooLong,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionRefused,
    ProviderFailed,
    QuotaExhausted,
)
from modelplug.openai_wire import OpenAICompatible
from modelplug_doubao.ark import ArkChat, ArkEmbed
from modelplug_doubao.cross_modal import ArkCrossModalEmbed
from modelplug_doubao.images import ArkImageEdit, ArkImages
from modelplug_doubao.speak import SpeechSpeak
from modelplug_doubao.transcribe import SpeechTranscribe

plugin = OpenAICompatible(
    chat=ArkChat,
    embed=ArkEmbed,
    cross_modal_embed=ArkCrossModalEmbed,
    stt=SpeechTranscribe,
    tts=SpeechSpeak,
    text2image=ArkImages,
    image_editing=ArkImageEdit,
    codes={
        "AccountOverdueError": QuotaExhausted,  # with status 403
        "AuthenticationError": AuthRefused,
        "InflightBatchsizeExceeded": ConcurrencyLimited,
        "InvalidEndpoint.ClosedEndpoint": NotFound,  # with status 400
        "InvalidSubscription": PermissionRefused,  # the coding plan's, with status 400
        "OperationDenied.ServiceOverdue": QuotaExhausted,
        "OutofContextError": ContextTooLong,
        "RequestBurstTooFast": Overloaded,  # with status 429, as the next
        "ServerOverloaded": Overloaded,
        "SetLimitExceeded": QuotaExhausted,
        # Speech: the first three digits of a code tell whose fault it is.
        "450": InvalidRequest,
        "45000030": PermissionRefused,  # the resource was not granted
        "550": ProviderFailed,
        "55000031": Overloaded,
    },
)
