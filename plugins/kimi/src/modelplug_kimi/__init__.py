"""Kimi (Moonshot AI) for modelplug. What it offers is in modelplug.toml; here is its chat."""

from modelplug.errors import Overloaded, ProviderFailed, QuotaExhausted, RateLimited
from modelplug.openai_wire import OpenAICompatible
from modelplug_kimi.chat import KimiChat

plugin = OpenAICompatible(
    chat=KimiChat,
    codes={
        "exceeded_current_quota_error": QuotaExhausted,
        "rate_limit_reached_error": RateLimited,
        "engine_overloaded_error": Overloaded,
        "server_unavailable": Overloaded,
        "unexpected_output": ProviderFailed,
    },
)
