"""GGUF files made here: heads with nothing behind them, a vision encoder, a LoRA, a split one."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter


def gguf(values: dict[str, object], tensors: dict[str, list[int]]) -> bytes:
    """A GGUF file with random tensors; each shape has the fastest dimension first."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    def pair(key: str, value: object) -> bytes:
        match value:
            case bool():
                return text(key) + struct.pack("<I?", 7, value)
            case int():
                return text(key) + struct.pack("<II", 4, value)
            case float():
                return text(key) + struct.pack("<If", 6, value)
            case str():
                return text(key) + struct.pack("<I", 8) + text(value)
        assert isinstance(value, list)
        return text(key) + struct.pack(f"<IIQ{len(value)}f", 9, 6, len(value), *value)

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    head += b"".join(pair(key, value) for key, value in values.items())
    dice, data = random.Random(2), b""
    for name, shape in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", 0, len(data))
        count = math.prod(shape)
        data += struct.pack(f"<{count}f", *(dice.gauss(0, 0.05) for _ in range(count)))
        data += bytes(-len(data) % 32)
    return head + bytes(-len(head) % 32) + data


def made_projector() -> bytes:
    """A vision encoder of one layer that fits tiny: 16 tokens for an image, and no sense."""
    width, hidden, patch, image = 32, 64, 8, 32
    vision = "clip.vision"
    values: dict[str, object] = {
        "general.architecture": "clip",
        "clip.has_vision_encoder": True,
        "clip.projector_type": "mlp",
        "clip.use_gelu": True,
        f"{vision}.image_size": image,
        f"{vision}.patch_size": patch,
        f"{vision}.embedding_length": width,
        f"{vision}.feed_forward_length": hidden,
        f"{vision}.projection_dim": 128,
        f"{vision}.block_count": 1,
        f"{vision}.attention.head_count": 2,
        f"{vision}.attention.layer_norm_epsilon": 1e-5,
        f"{vision}.image_mean": [0.5, 0.5, 0.5],
        f"{vision}.image_std": [0.5, 0.5, 0.5],
    }
    tensors = {
        "v.patch_embd.weight": [patch, patch, 3, width],
        "v.class_embd": [width],
        "v.position_embd.weight": [width, (image // patch) ** 2 + 1],
    }
    layers = {"mm.0": (width, hidden), "mm.2": (hidden, 128)}
    layers |= {f"v.blk.0.attn_{name}": (width, width) for name in ("q", "k", "v", "out")}
    layers |= {"v.blk.0.ffn_up": (width, hidden), "v.blk.0.ffn_down": (hidden, width)}
    for name, (inside, outside) in layers.items():
        tensors |= {f"{name}.weight": [inside, outside], f"{name}.bias": [outside]}
    for name in ("v.pre_ln", "v.blk.0.ln1", "v.blk.0.ln2"):
        tensors |= {f"{name}.weight": [width], f"{name}.bias": [width]}
    return gguf(values, tensors)


def made_adapter(rank: int = 4) -> bytes:
    """A LoRA for the values of tiny's first layer: a strong push into a random direction."""
    values: dict[str, object] = {
        "general.type": "adapter",
        "general.architecture": "qwen2",
        "adapter.type": "lora",
        "adapter.lora.alpha": 4000.0,
    }
    hidden, kept = 128, 64
    tensors = {"lora_a": [hidden, rank], "lora_b": [rank, kept]}
    return gguf(values, {f"blk.0.attn_v.weight.{name}": it for name, it in tensors.items()})


def split(whole: Path, path: Path, tensors: int) -> list[Path]:
    """*whole* in parts of so many *tensors*, named after *path* as llama.cpp's gguf-split does."""
    reader = GGUFReader(whole)
    architecture = reader.fields["general.architecture"].contents()
    writer = GGUFWriter(path, architecture, split_max_tensors=tensors)
    for name, field in reader.fields.items():
        kind = field.types[0] if field.types else None
        if name.startswith("GGUF.") or name == "general.architecture" or kind is None:
            continue
        of = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=of)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(path.parent.glob(f"{path.stem}-*-of-*.gguf"))
