"""PPIO (派欧云) for modelplug. What it offers is in modelplug.toml."""

from __future__ import annotations

from modelplug.errors import (
    AuthRefused,
    Filtered,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionRefused,
    ProviderFailed,
    QuotaExhausted,
    RateLimited,
)
from modelplug.openai_wire import OpenAICompatible
from modelplug_ppio.chat import PPIOChat, PPIOEmbed, PPIORerank
from modelplug_ppio.images import PPIOImageEdit, PPIOImages
from modelplug_ppio.speech import PPIOSpeak, PPIOTranscribe

plugin = OpenAICompatible(
    chat=PPIOChat,
    embed=PPIOEmbed,
    rerank=PPIORerank,
    stt=PPIOTranscribe,
    tts=PPIOSpeak,
    text2image=PPIOImages,
    image_editing=PPIOImageEdit,
    codes={
        # A 403 may be a missing key, an empty balance or a lack of rights: the reason tells.
        "FAILED_TO_AUTH": AuthRefused,
        "INVALID_API_KEY": AuthRefused,
        "MISSING_API_KEY": AuthRefused,
        "BILLING_AUTH_FAILED": AuthRefused,
        "NOT_ENOUGH_BALANCE": QuotaExhausted,
        "BILLING_BALANCE_NOT_ENOUGH": QuotaExhausted,
        "ACCESS_DENY": PermissionRefused,
        "API_NOT_ALLOWED": PermissionRefused,
        "NEED_REAL_NAME_VERIFY": PermissionRefused,
        "MODEL_NOT_FOUND": NotFound,
        "API_NOT_FOUND": NotFound,
        "TASK_NOT_FOUND": NotFound,
        "INVALID_REQUEST_BODY": InvalidRequest,
        "IMAGE_FILE_EXCEEDS_MAX_SIZE": InvalidRequest,
        "INVALID_IMAGE_FORMAT": InvalidRequest,
        "ILLEGAL_PROMPT": Filtered,
        "ILLEGAL_IMAGE_CONTENT": Filtered,
        "RATE_LIMIT_EXCEEDED": RateLimited,
        "TOKEN_LIMIT_EXCEEDED": RateLimited,
        "CREATE_TASK_FAILED": ProviderFailed,
        "GET_RESULT_FAILED": ProviderFailed,
        "TASK_FAILED": ProviderFailed,
        "SERVICE_NOT_AVAILABLE": Overloaded,
        # MiniMax's own, in the base_resp of its speech models under HTTP 200.
        "1000": ProviderFailed,
        "1001": ProviderFailed,
        "1002": RateLimited,
        "1004": AuthRefused,
        "1008": QuotaExhausted,
        "1013": ProviderFailed,
        "1024": ProviderFailed,
        "1026": Filtered,
        "1027": Filtered,
        "1033": ProviderFailed,
        "2013": InvalidRequest,
    },
)
