"""What llama.cpp will take, at least: a start is refused only where it surely could not do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelplug.errors import NoModel
from modelplug.types import Memory, Weights
from modelplug_local.weights.gguf import read_head

_BYTES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Of one value in the cache: quantized ones come in blocks of 32 with a scale of two bytes."""


def memory_of(
    weights: Weights,
    *,
    beside: Sequence[str],
    tokens: int,
    sequences: int,
    cache_type: str,
    on_gpu: bool,
) -> Memory | None:
    """
    The weights, what is loaded *beside* them, and the cache of *tokens* for each sequence.

    Buffers to compute in are not counted, nor what models other than plain transformers keep.
    None where the weights cannot be read: their loading tells why.
    """
    try:
        head = read_head(weights.path)
    except NoModel:
        return None
    parts = {"weights": weights.size}
    if extra := sum(Path(path).stat().st_size for path in beside if path):
        parts["adapters and helpers"] = extra
    if head.cached:
        kept = min(tokens, head.window or tokens) * sequences
        parts["context cache"] = round(kept * head.cached * _BYTES[cache_type])
    return Memory("any" if on_gpu else "cpu", parts)
