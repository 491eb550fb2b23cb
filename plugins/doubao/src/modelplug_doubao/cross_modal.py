"""Embeddings of texts and images: all parts of one request become one vector."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from modelplug.media import Media, Remote
from modelplug.openai_wire import OpenAIEmbed
from modelplug.types import EmbedCall, Embeddings, Usage
from modelplug.wire import Flow, Together


class ArkCrossModalEmbed(OpenAIEmbed):
    """
    POST /embeddings/multimodal.

    Each input is a request of its own; with `fused=True` all of them are one, and give one
    vector for the whole.
    """

    path = "/embeddings/multimodal"
    options = OpenAIEmbed.options | {"fused", "instructions", "sparse_embedding"}

    def flow(self, call: EmbedCall) -> Flow[Embeddings]:
        """The vectors, from as many requests as there are to be vectors."""
        options = dict(call.options)
        fused = options.pop("fused", False)
        if fused or len(call.inputs) == 1:
            one = yield from super().flow(evolve(call, options=options))
            return one
        calls = [evolve(call, inputs=[each], options=options) for each in call.inputs]
        parts: list[Embeddings] = yield Together([self.flow(each) for each in calls])
        counts = [part.usage.total_tokens or 0 for part in parts]
        usage = Usage(input_tokens=sum(counts), total_tokens=sum(counts))
        return Embeddings([part.vectors[0] for part in parts], parts[0].model, usage)

    def payload(self, call: EmbedCall) -> dict[str, Any]:
        """The request body; a part without its `type` is refused."""
        return {
            "model": call.model,
            "input": [_part(each) for each in call.inputs],
            "encoding_format": "float",
            **call.options,
        }

    def read(self, call: EmbedCall, raw: Any) -> Embeddings:
        """The vector; `data` is one object, and a list of one is read alike."""
        whole = evolve(call, inputs=call.inputs[:1])
        data = raw.get("data") if isinstance(raw, dict) else None
        return super().read(whole, {**raw, "data": [data]} if isinstance(data, dict) else raw)


def _part(given: str | Media | Remote) -> dict[str, Any]:
    if isinstance(given, str):
        return {"type": "text", "text": given}
    return {"type": "image_url", "image_url": {"url": given.address}}
