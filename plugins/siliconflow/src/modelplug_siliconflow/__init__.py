"""SiliconFlow (硅基流动) for modelplug. What it offers is in modelplug.toml."""

from __future__ import annotations

from modelplug.openai_wire import OpenAICompatible
from modelplug_siliconflow.chat import SiliconFlowChat
from modelplug_siliconflow.images import SiliconFlowImageEdit, SiliconFlowImages
from modelplug_siliconflow.speech import SiliconFlowSpeak, SiliconFlowTranscribe
from modelplug_siliconflow.vectors import SiliconFlowCrossModalEmbed, SiliconFlowRerank

plugin = OpenAICompatible(
    chat=SiliconFlowChat,
    cross_modal_embed=SiliconFlowCrossModalEmbed,
    rerank=SiliconFlowRerank,
    stt=SiliconFlowTranscribe,
    tts=SiliconFlowSpeak,
    text2image=SiliconFlowImages,
    image_editing=SiliconFlowImageEdit,
)
