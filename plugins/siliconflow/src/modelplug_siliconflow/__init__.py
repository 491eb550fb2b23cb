"""SiliconFlow (硅基流动) for modelplug. What it offers is in modelplug.toml."""

from __future__ import annotations

from modelplug.errors import (
    AuthRefused,
    ContextTooLong,
    NotFound,
    Overloaded,
    ProviderFailed,
    QuotaExhausted,
)
from modelplug.openai_wire import OpenAICompatible
from modelplug_siliconflow.chat import SiliconFlowChat
from modelplug_siliconflow.images import SiliconFlowImageEdit, SiliconFlowImages
from modelplug_siliconflow.speech import SiliconFlowSpeak, SiliconFlowTranscribe
from modelplug_siliconflow.vectors import (
    SiliconFlowCrossModalEmbed,
    SiliconFlowEmbed,
    SiliconFlowRerank,
)

plugin = OpenAICompatible(
    chat=SiliconFlowChat,
    embed=SiliconFlowEmbed,
    cross_modal_embed=SiliconFlowCrossModalEmbed,
    rerank=SiliconFlowRerank,
    stt=SiliconFlowTranscribe,
    tts=SiliconFlowSpeak,
    text2image=SiliconFlowImages,
    image_editing=SiliconFlowImageEdit,
    codes={
        "20012": NotFound,  # with status 400; a 404 is always a wrong path
        "20042": ContextTooLong,
        "30001": QuotaExhausted,  # with status 403
        "30003": NotFound,  # a model that is switched off, with status 403
        "30014": AuthRefused,
        "50501": ProviderFailed,
        "50505": Overloaded,
        "50508": Overloaded,
        "50603": ProviderFailed,
        # Words for the limits that a 429 names: those of a day do not mend by waiting.
        "IPD": QuotaExhausted,
        "RPD": QuotaExhausted,
        "TPD": QuotaExhausted,
    },
)
