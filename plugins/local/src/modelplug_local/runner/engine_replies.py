"""What engines of ours reply with, whatever computed it; arrays are numpy's, of float32."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

Reply = dict[str, Any]


def embeddings(model: str, vectors: Iterable[Any], encoding: str, tokens: int) -> Reply:
    """*vectors*, in order, as OpenAI has it; *encoding* is float or base64."""
    data = [
        {"object": "embedding", "index": at, "embedding": _written(vector, encoding)}
        for at, vector in enumerate(vectors)
    ]
    return {"object": "list", "model": model, "data": data, "usage": _usage(tokens)}


def _written(vector: Any, encoding: str) -> list[float] | str:
    if encoding == "float":
        floats: list[float] = vector.tolist()
        return floats
    return base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode()


def ranking(
    model: str,
    scores: Sequence[Any],
    documents: Sequence[str],
    top: int,
    tokens: int,
    *,
    shown: bool,
) -> Reply:
    """The *top* best of *documents*, with their texts if they are to be *shown*, as Jina has it."""
    best = sorted(range(len(scores)), key=lambda at: -scores[at])[:top]
    results = [
        {"index": at, "relevance_score": float(scores[at])}
        | ({"document": {"text": documents[at]}} if shown else {})
        for at in best
    ]
    return {"model": model, "results": results, "usage": _usage(tokens)}


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": tokens, "total_tokens": tokens}
