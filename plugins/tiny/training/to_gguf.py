"""
Write a trained folder as GGUF: `python to_gguf.py FOLDER OUT.gguf [q8_0|f16|f32]`.

It knows the three shapes made here: Qwen2 chat, BERT embedder, BERT reranker. llama.cpp's
own converter refuses a home-made BPE (it knows pre-tokenizers by a hash) and leaves the
pooler out of BERT rerankers, so this one is written with `gguf.GGUFWriter` alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors import safe_open

Json = dict[str, Any]
FILE_TYPES = {
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "f32": gguf.LlamaFileType.ALL_F32,
}
# The reranker's head: llama.cpp computes cls_out(tanh(cls(first token))), as BERT does.
RERANK_TENSORS = {
    "bert.pooler.dense.weight": "cls.weight",
    "bert.pooler.dense.bias": "cls.bias",
    "classifier.weight": "cls.output.weight",
    "classifier.bias": "cls.output.bias",
}
# llama.cpp adds the first row of this one as it is; in f16 the process aborts ("binary_op:
# unsupported types", xllamacpp 2026.10).
ALWAYS_FLOAT32 = "token_types.weight"
# Positions are looked up rather than multiplied, and the head is one row.
NEVER_QUANTIZED = ("position_embd.weight", "cls.output.weight")


def read_json(path: Path) -> Json:
    loaded: Json = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def add_shape(writer: gguf.GGUFWriter, config: Json) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])


def add_chat(writer: gguf.GGUFWriter, folder: Path, config: Json) -> None:
    rope = config.get("rope_parameters") or config
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    tokenizer = read_json(folder / "tokenizer.json")
    tokens = [f"[PAD{index}]" for index in range(config["vocab_size"])]
    types = [gguf.TokenType.UNUSED] * len(tokens)
    for token, index in tokenizer["model"]["vocab"].items():
        tokens[index], types[index] = token, gguf.TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        # CONTROL tokens are not printed, and <tool_call> has to be.
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], types[added["id"]] = added["content"], kind
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))


def add_bert(
    writer: gguf.GGUFWriter, folder: Path, config: Json, pooling: gguf.PoolingType
) -> None:
    writer.add_causal_attention(False)
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_pooling_type(pooling)
    writer.add_token_type_count(config["type_vocab_size"])
    tokenizer = read_json(folder / "tokenizer.json")
    special = {added["content"]: added["id"] for added in tokenizer["added_tokens"]}
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].__getitem__)
    tokens, types = [], []
    for token in vocabulary:
        # llama.cpp marks the start of a word where WordPiece marks its continuation.
        if token in special:
            tokens.append(token)
        else:
            tokens.append(token[2:] if token.startswith("##") else f"\u2581{token}")
        types.append(gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_bos_token_id(special["[CLS]"])
    writer.add_eos_token_id(special["[SEP]"])
    writer.add_sep_token_id(special["[SEP]"])
    writer.add_unk_token_id(special["[UNK]"])
    writer.add_pad_token_id(special["[PAD]"])
    writer.add_mask_token_id(special["[MASK]"])
    # With these three llama.cpp's server lays a pair out as BERT does, [CLS] q [SEP] d [SEP];
    # its defaults leave out the last [SEP] (server-common.cpp, format_prompt_rerank, 2026-11).
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    writer.add_add_sep_token(False)
    if pooling == gguf.PoolingType.RANK:
        writer.add_classifier_output_labels(["score"])


def add_tensors(
    writer: gguf.GGUFWriter, folder: Path, names: gguf.TensorNameMap, kind: str
) -> None:
    with safe_open(folder / "model.safetensors", "np") as tensors:
        for key in tensors.keys():  # noqa: SIM118  (safe_open is not iterable)
            name = RERANK_TENSORS.get(key) or names.get_name(
                key.removeprefix("bert."), try_suffixes=(".weight", ".bias")
            )
            if name is None:
                if key.startswith("pooler."):  # made by BertModel, never used by an embedder
                    continue
                msg = f"no GGUF name for the tensor {key!r}"
                raise SystemExit(msg)
            tensor = tensors.get_tensor(key).astype(np.float32)
            if tensor.ndim == 1 or kind == "f32" or name == ALWAYS_FLOAT32:
                writer.add_tensor(name, tensor)
            elif kind == "f16" or name in NEVER_QUANTIZED:
                writer.add_tensor(name, tensor.astype(np.float16))
            else:
                block = gguf.GGMLQuantizationType.Q8_0
                writer.add_tensor(name, gguf.quants.quantize(tensor, block), raw_dtype=block)


def convert(folder: Path, out: Path, kind: str) -> None:
    config = read_json(folder / "config.json")
    shape = config["architectures"][0]
    chat = shape == "Qwen2ForCausalLM"
    arch = gguf.MODEL_ARCH.QWEN2 if chat else gguf.MODEL_ARCH.BERT
    writer = gguf.GGUFWriter(out, gguf.MODEL_ARCH_NAMES[arch])
    writer.add_name(folder.name)
    writer.add_license("apache-2.0")
    writer.add_file_type(FILE_TYPES[kind])
    add_shape(writer, config)
    if chat:
        add_chat(writer, folder, config)
    elif shape == "BertForSequenceClassification":
        add_bert(writer, folder, config, gguf.PoolingType.RANK)
    else:
        add_bert(writer, folder, config, gguf.PoolingType.MEAN)
    add_tensors(writer, folder, gguf.get_tensor_name_map(arch, config["num_hidden_layers"]), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{out}: {out.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("kind", choices=list(FILE_TYPES), nargs="?", default="q8_0")
    given = parser.parse_args()
    convert(given.folder, given.out, given.kind)


if __name__ == "__main__":
    main()
