"""MiniMax for modelplug. What it offers is in modelplug.toml."""

from __future__ import annotations

from modelplug.errors import (
    AuthRefused,
    ConcurrencyLimited,
    ContextTooLong,
    Filtered,
    InvalidRequest,
    PermissionRefused,
    ProviderFailed,
    QuotaExhausted,
    RateLimited,
)
from modelplug.openai_wire import OpenAICompatible
from modelplug_minimax.chat import MiniMaxChat
from modelplug_minimax.embed import MiniMaxEmbed
from modelplug_minimax.images import MiniMaxImages
from modelplug_minimax.speech import MiniMaxSpeak

plugin = OpenAICompatible(
    chat=MiniMaxChat,
    embed=MiniMaxEmbed,
    tts=MiniMaxSpeak,
    text2image=MiniMaxImages,
    codes={
        "1000": ProviderFailed,
        "1001": ProviderFailed,  # it took too long
        "1002": RateLimited,
        "1004": AuthRefused,
        "1008": QuotaExhausted,
        "1013": ProviderFailed,
        "1024": ProviderFailed,
        "1026": Filtered,  # what was sent
        "1027": Filtered,  # what was answered
        "1033": ProviderFailed,
        "1039": ContextTooLong,  # "token limit"; see modelplug.toml
        "1041": ConcurrencyLimited,
        "1042": InvalidRequest,  # too many invisible characters
        "2013 context": ContextTooLong,
        "2013 other": InvalidRequest,
        "2037": InvalidRequest,
        "2039": InvalidRequest,
        "2042": PermissionRefused,
        "2045": RateLimited,
        "2048": InvalidRequest,
        "2049": AuthRefused,
        "2056": QuotaExhausted,  # of a plan, until its window ends
        "20132": InvalidRequest,
    },
)
