"""Embeddings, of texts and images, and rerank."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from modelplug.media import Media, Remote
from modelplug.openai_wire import OpenAIEmbed, OpenAIRerank, read_usage
from modelplug.types import EmbedCall, Ranking, RerankCall
from modelplug.wire import Response


class SiliconFlowCrossModalEmbed(OpenAIEmbed):
    """POST /embeddings with an object for each input, {"text"} or {"image"}."""

    def payload(self, call: EmbedCall) -> dict[str, Any]:
        """The request body; `encoding_format` is not documented for these models (2026-11)."""
        return {"model": call.model, "input": [_item(i) for i in call.inputs], **call.options}


def _item(given: str | Media | Remote) -> dict[str, str]:
    if isinstance(given, str):
        return {"text": given}
    return {"image": given.address}


class SiliconFlowRerank(OpenAIRerank):
    """POST /rerank."""

    options = OpenAIRerank.options | {"instruction", "max_chunks_per_doc", "overlap_tokens"}

    def parse_response(self, call: RerankCall, response: Response) -> Ranking:
        """(index, score), best first; the usage is in `tokens`, in newer replies in `meta`."""
        ranking = super().parse_response(call, response)
        for holder in (ranking.raw, ranking.raw.get("meta")):
            if isinstance(holder, dict) and isinstance(tokens := holder.get("tokens"), dict):
                asked, answered = tokens.get("input_tokens"), tokens.get("output_tokens")
                told = {"prompt_tokens": asked, "completion_tokens": answered}
                return evolve(ranking, usage=read_usage(told))
        return ranking
