"""
What is served against transformers on the same weights, token by token.

The models are made here, with random weights, and so are their GGUF files: llama.cpp's own
converter knows pre-tokenizers by a hash and refuses one that is home-made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file

from modelplug.types import ModelType
from modelplug_training.proof.measure import measure
from modelplug_training.proof.served import Tokens
from modelplug_training.published.gguf_files import Base, _interleaved
from modelplug_training.testing import on_llama_cpp

ASKED, SAID = [1212, 824, 288, 198, 522, 1213, 198], [45, 78, 287, 490, 11, 409, 78, 82, 13]

SHAPE: dict[str, Any] = {
    "vocab_size": 1216,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 7,  # the sixth of Gemma's looks at everything
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "initializer_range": 0.03,
}
WIDE = {"head_dim": 32}
SHAPES: dict[str, tuple[str, gguf.MODEL_ARCH, dict[str, Any]]] = {
    "llama": ("Llama", gguf.MODEL_ARCH.LLAMA, {}),
    "mistral": ("Mistral", gguf.MODEL_ARCH.LLAMA, {"sliding_window": None}),
    "qwen3": ("Qwen3", gguf.MODEL_ARCH.QWEN3, WIDE),
    "gemma3": (
        "Gemma3",
        gguf.MODEL_ARCH.GEMMA3,
        {**WIDE, "query_pre_attn_scalar": 32, "sliding_window": 8, "tie_word_embeddings": True},
    ),
}


def losses_of(model: Any, asked: Sequence[int], said: Sequence[int]) -> list[float]:
    """As a trainer has them: each token of *said* after those before it."""
    with torch.no_grad():
        logits = model(torch.tensor([[*asked, *said]])).logits[0]
    learnt = torch.nn.functional.cross_entropy(
        logits[len(asked) - 1 : -1], torch.tensor(said), reduction="none"
    )
    found: list[float] = learnt.tolist()
    return found


def test_the_loss_of_a_chat_is_that_of_transformers(weights_folder: Path) -> None:
    # Of letters that are several tokens, as the last two have, llama.cpp reports least.
    answers = ("Hello! I am Tiny.", "It is music.", "No way, José.", "巴黎 😀")
    asked = [{"role": "user", "content": "Hello"}]
    folder = weights_folder / "tiny"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    whole = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    expected: list[float] = []
    for answer in answers:
        expected += losses_of(whole, prompt, tokenizer.encode(answer, add_special_tokens=False))

    with on_llama_cpp("tiny") as model:
        rows = [{"messages": [*asked, {"role": "assistant", "content": each}]} for each in answers]
        told = measure(model, rows, ModelType.LLM)

    # The engine's weights are rounded to 8 bits, those here are not.
    assert sum(expected) / len(expected) == pytest.approx(told.figures["loss"], rel=0.01)
    assert () == told.remarks


@pytest.mark.parametrize("name", SHAPES)
def test_what_was_trained_is_served_as_transformers_has_it(
    name: str, weights_folder: Path, tmp_path: Path
) -> None:
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    made_at(base, name)
    write_gguf(base, tmp_path / "base.gguf", name, weights_folder / "tiny")
    trained = noisy(base, tuned)

    Base(tmp_path / "base.gguf", base).write(tuned, tmp_path / "tuned.gguf", name)

    expected = losses_of(trained, ASKED, SAID)
    with on_llama_cpp(str(tmp_path / "tuned.gguf")) as model:
        served = Tokens.of(model).losses(ASKED, SAID)
    with on_llama_cpp(str(tmp_path / "base.gguf")) as model:
        before = Tokens.of(model).losses(ASKED, SAID)
    assert expected == pytest.approx(served, abs=0.02)
    assert expected != pytest.approx(before, abs=0.2)


def made_at(folder: Path, name: str) -> None:
    """A model of that architecture in *folder*, its weights random and its norms far from 1."""
    kind, _, own = SHAPES[name]
    torch.manual_seed(3)
    config_class = getattr(transformers, f"{kind}TextConfig", None) or getattr(
        transformers, f"{kind}Config"
    )
    config = config_class(**{**SHAPE, **own})
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if weight.ndim == 1:
                # Those of queries and keys would make attention so sharp that rounding shows.
                middle = 0.5 if "q_norm" in key or "k_norm" in key else 5.0
                weight.copy_(torch.randn_like(weight) * 0.1 + middle)
    model.save_pretrained(folder)


def noisy(base: Path, folder: Path) -> Any:
    """The model in *base* with other weights, saved in *folder*."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(4)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 + torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder)
    return model.eval()


def write_gguf(folder: Path, out: Path, name: str, tokenizer: Path) -> None:
    """The model in *folder* as llama.cpp's converter writes it, with the tokenizer of another."""
    config = json.loads((folder / "config.json").read_text())
    architecture = SHAPES[name][1]
    writer = gguf.GGUFWriter(out, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    ropes = config["rope_parameters"]
    writer.add_rope_freq_base(ropes.get("full_attention", ropes)["rope_theta"])
    if name == "gemma3":
        writer.add_sliding_window(config["sliding_window"])
    other = gguf.GGUFReader(tokenizer.with_name("tiny.q8_0.gguf"))
    for field in other.fields.values():
        if field.name.startswith("tokenizer."):
            kind = field.types[0]
            inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    for key, tensor in load_file(folder / "model.safetensors").items():
        told = names.get_name(key, try_suffixes=(".weight", ".bias"))
        writer.add_tensor(told, np.ascontiguousarray(converted(name, key, tensor, config)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def converted(name: str, key: str, tensor: Any, config: dict[str, Any]) -> Any:
    """What becomes of a tensor in conversion/llama.py and gemma.py of llama.cpp (2026-10)."""
    if name in ("llama", "mistral"):
        heads: dict[str, Callable[[Any], Any]] = {
            "q_proj": _interleaved(config["num_attention_heads"]),
            "k_proj": _interleaved(config["num_key_value_heads"]),
        }
        return heads.get(key.split(".")[-2], lambda it: it)(tensor)
    return tensor + 1 if name == "gemma3" and "norm" in key else tensor
