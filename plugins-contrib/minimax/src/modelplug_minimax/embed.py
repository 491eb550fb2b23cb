"""Embeddings, on a wire of their own."""

from __future__ import annotations

from typing import Any

from modelplug.errors import BadReply
from modelplug.types import EmbedCall, Embeddings, Usage
from modelplug.wire import Request, Response
from modelplug_minimax.wire import MiniMaxCodec


class MiniMaxEmbed(MiniMaxCodec[EmbedCall, Embeddings]):
    """POST /embeddings with `texts`; `type` is "db" for what is kept, "query" for a question."""

    path = "/embeddings"
    options = frozenset({"type"})

    def build_request(self, call: EmbedCall) -> Request:
        """The request for *call*."""
        payload: dict[str, Any] = {"model": call.model, "texts": call.inputs, "type": "db"}
        return self.post(payload | dict(call.options))

    def parse_response(self, call: EmbedCall, response: Response) -> Embeddings:
        """The vectors, which come in the order of the texts."""
        raw = response.json()
        vectors = raw.get("vectors") if isinstance(raw, dict) else None
        if not isinstance(vectors, list) or not all(map(_is_vector, vectors)):
            msg = "the reply is no list of embeddings @ $.vectors"
            raise BadReply(msg)
        if len(vectors) != len(call.inputs):
            msg = f"{len(call.inputs)} texts were sent and {len(vectors)} vectors came @ $.vectors"
            raise BadReply(msg)
        told = raw.get("total_tokens")
        tokens = told if type(told) is int else None
        return Embeddings(vectors, call.model, Usage(tokens, total_tokens=tokens), raw=raw)


def _is_vector(vector: object) -> bool:
    # By its first number: looking at each costs more than parsing them all did.
    return isinstance(vector, list) and bool(vector) and type(vector[0]) in (float, int)
