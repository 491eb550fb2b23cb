"""Embeddings of texts, many at once, and of images, one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from modelplug.errors import BadReply
from modelplug.types import EmbedCall, Embeddings, Usage
from modelplug.wire import Flow, Request, Response, Together
from modelplug_gemini.contents import inline
from modelplug_gemini.wire import GeminiCodec, read_usage

_NAMES = {"dimensions": "outputDimensionality", "task_type": "taskType"}


class GeminiEmbed(GeminiCodec[EmbedCall, Embeddings]):
    """POST :batchEmbedContents."""

    options = frozenset({"dimensions", "task_type", "title"})

    def item(self, call: EmbedCall, given: Any) -> dict[str, Any]:
        """The request for one input."""
        part = {"text": given} if isinstance(given, str) else inline(given)
        options = {_NAMES.get(name, name): value for name, value in call.options.items()}
        return {"model": self.resource, "content": {"parts": [part]}, **options}

    def build_request(self, call: EmbedCall) -> Request:
        """The request for *call*."""
        items = [self.item(call, given) for given in call.inputs]
        return self.post("batchEmbedContents", {"requests": items})

    def items(self, raw: Mapping[str, Any]) -> list[Any]:
        """The embeddings in a reply."""
        return list(raw["embeddings"])

    def parse_response(self, call: EmbedCall, response: Response) -> Embeddings:
        """The vectors, in the order of the inputs."""
        raw = response.json()
        try:
            vectors = [[float(number) for number in item["values"]] for item in self.items(raw)]
            usage = read_usage(raw.get("usageMetadata"))
        except (TypeError, KeyError, ValueError, AttributeError) as exc:
            msg = f"the reply is no list of embeddings: {exc} @ $.embeddings"
            raise BadReply(msg) from exc
        if len(vectors) != len(call.inputs) or not all(vectors):
            msg = f"{len(call.inputs)} inputs were sent and {len(vectors)} vectors came"
            raise BadReply(msg)
        if "dimensions" in call.options:  # the server cuts vectors and leaves them short
            vectors = [_normalised(vector) for vector in vectors]
        if usage.total_tokens is None:
            usage = evolve(usage, total_tokens=usage.input_tokens)
        return Embeddings(vectors, call.model, usage, raw=raw)


def _normalised(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    return [number / length for number in vector] if length else vector


class GeminiCrossModalEmbed(GeminiEmbed):
    """POST :embedContent, once for each input: all parts of one content make one vector."""

    def flow(self, call: EmbedCall) -> Flow[Embeddings]:
        """The vectors of all inputs, asked for side by side."""
        if len(call.inputs) == 1:
            only = yield from self._one(call)
            return only
        flows = [self._one(evolve(call, inputs=[given])) for given in call.inputs]
        found: list[Embeddings] = yield Together(flows)
        counts = [each.usage.input_tokens for each in found if each.usage.input_tokens is not None]
        usage = Usage(sum(counts), total_tokens=sum(counts)) if counts else Usage()
        return Embeddings([each.vectors[0] for each in found], call.model, usage)

    def _one(self, call: EmbedCall) -> Flow[Embeddings]:
        (given,) = call.inputs
        media = given if isinstance(given, str) else (yield from self.local_copy(given))
        vector = yield from super().flow(evolve(call, inputs=[media]))
        return vector

    def build_request(self, call: EmbedCall) -> Request:
        """The request for the one input of *call*."""
        return self.post("embedContent", self.item(call, call.inputs[0]))

    def items(self, raw: Mapping[str, Any]) -> list[Any]:
        """The one embedding in a reply."""
        return [raw["embedding"]]
