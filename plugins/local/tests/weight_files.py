"""Weights of a few kilobytes: real heads, no tensors."""

from __future__ import annotations

import json
import struct


def gguf_bytes(architecture: str = "qwen2", pooling: int | None = None) -> bytes:
    """A GGUF file's head: no tensor follows."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    words = b"".join(map(text, ["a", "bc", ""]))
    pairs = [
        text("general.architecture") + struct.pack("<I", 8) + text(architecture),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 3) + words,
        text("tokenizer.ggml.scores") + struct.pack("<IIQ3f", 9, 6, 3, 0, 1, 2),
        text("nested") + struct.pack("<IIQIQ2H", 9, 9, 1, 2, 2, 7, 7),
        text("general.flag") + struct.pack("<I?", 7, True),
        text(f"{architecture}.context_length") + struct.pack("<II", 4, 2048),
    ]
    if pooling is not None:
        pairs.append(text(f"{architecture}.pooling_type") + struct.pack("<II", 4, pooling))
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs)


def safetensors_bytes() -> dict[str, bytes]:
    """The files of a sentence-transformers model, by name."""

    def text(value: object) -> bytes:
        return json.dumps(value).encode()

    modules = ["Transformer", "Pooling"]
    return {
        "config.json": text({"architectures": ["BertModel"], "max_position_embeddings": 1024}),
        "model.safetensors": struct.pack("<Q", 2) + b"{}",
        "tokenizer.json": text({}),
        "vocab.txt": b"[PAD]\n",
        "sentence_bert_config.json": text({"max_seq_length": 512}),
        "config_sentence_transformers.json": text({"prompts": {"query": "q: "}}),
        "modules.json": text([{"type": f"sentence_transformers.models.{m}"} for m in modules]),
        "1_Pooling/config.json": text({"pooling_mode_cls_token": True}),
    }
