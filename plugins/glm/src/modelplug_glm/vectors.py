"""Zhipu's embeddings and rerank."""

from __future__ import annotations

from typing import Any

from modelplug.openai_wire import OpenAIEmbed, OpenAIRerank
from modelplug.types import EmbedCall


class GLMEmbed(OpenAIEmbed):
    """POST /embeddings."""

    options = frozenset({"dimensions"})

    def payload(self, call: EmbedCall) -> dict[str, Any]:
        """As OpenAI's without `encoding_format`, which is not in the schema: always floats."""
        payload = super().payload(call)
        del payload["encoding_format"]
        return payload


class GLMRerank(OpenAIRerank):
    """POST /rerank."""

    options = frozenset("request_id return_documents return_raw_scores user_id".split())
