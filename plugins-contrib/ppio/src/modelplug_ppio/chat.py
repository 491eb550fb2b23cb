"""Text: chat, embeddings and rerank, on OpenAI's wire with PPIO's errors."""

from __future__ import annotations

from modelplug.openai_wire import OpenAIChat, OpenAIEmbed, OpenAIRerank
from modelplug.types import ChatCall, Completion, EmbedCall, Embeddings, Ranking, RerankCall
from modelplug_ppio.wire import PPIOCodec


class PPIOChat(PPIOCodec[ChatCall, Completion], OpenAIChat):
    """POST /chat/completions."""

    options = OpenAIChat.options | {
        "enable_thinking",
        "min_p",
        "repetition_penalty",
        "separate_reasoning",
        "top_k",
    }


class PPIOEmbed(PPIOCodec[EmbedCall, Embeddings], OpenAIEmbed):
    """POST /embeddings."""


class PPIORerank(PPIOCodec[RerankCall, Ranking], OpenAIRerank):
    """POST /rerank."""
