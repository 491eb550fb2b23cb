"""GLM (Zhipu, Z.ai) for modelplug. What it offers is in modelplug.toml; each wire is a module."""

from modelplug.openai_wire import OpenAICompatible
from modelplug_glm.chat import GLMChat
from modelplug_glm.images import GLMImages
from modelplug_glm.speech import GLMSpeak, GLMTranscribe
from modelplug_glm.vectors import GLMEmbed, GLMRerank

plugin = OpenAICompatible(
    chat=GLMChat,
    embed=GLMEmbed,
    rerank=GLMRerank,
    stt=GLMTranscribe,
    tts=GLMSpeak,
    text2image=GLMImages,
)
