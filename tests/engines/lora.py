"""A LoRA adapter for plugins/tiny, written in a moment: on the output of each layer's attention."""

from __future__ import annotations

import json
import random
from array import array
from pathlib import Path

RANK = 8


def write_adapter(folder: Path, weights: Path, strength: float) -> Path:
    """An adapter that changes the model by *strength*; with 0.0, not at all."""
    config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    dice = random.Random(3)  # noqa: S311 - the same adapter each time
    tensors: dict[str, tuple[list[int], array[float]]] = {}
    for layer in range(layers):
        name = f"base_model.model.model.layers.{layer}.self_attn.o_proj"
        down = array("f", (dice.gauss(0, 1) for _ in range(RANK * width)))
        up = array("f", (strength * dice.gauss(0, 1) for _ in range(width * RANK)))
        tensors[f"{name}.lora_A.weight"] = ([RANK, width], down)
        tensors[f"{name}.lora_B.weight"] = ([width, RANK], up)
    head: dict[str, object] = {}
    body = b""
    for name, (shape, values) in tensors.items():
        data = values.tobytes()
        head[name] = {
            "dtype": "F32",
            "shape": shape,
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(head).encode()
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(
        len(text).to_bytes(8, "little") + text + body
    )
    adapter = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(weights),
        "r": RANK,
        "lora_alpha": RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["o_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    return folder
