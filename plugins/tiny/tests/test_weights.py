"""The weights as files: what the manifest names exists, is consistent, and stays small."""

from __future__ import annotations

import json
import struct
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

import pytest

TESTS = Path(__file__).parent
PACKAGE = Path(str(files("modelplug_tiny")))
PYPROJECT = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))
MANIFEST = tomllib.loads((PACKAGE / "modelplug.toml").read_text(encoding="utf-8"))["weights"]
# The wheel is 8.5 MB; weights hardly compress, so the sum of the files bounds it.
LARGEST = 10_000_000
# GGUF's scalar types: type number to struct format.
SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
STRING, ARRAY = 8, 9


def read_scalar(file: BinaryIO, kind: str) -> Any:
    return struct.unpack(f"<{kind}", file.read(struct.calcsize(f"<{kind}")))[0]


def read_value(file: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return file.read(read_scalar(file, "Q")).decode()
    if kind == ARRAY:
        inner, count = read_scalar(file, "I"), read_scalar(file, "Q")
        return [read_value(file, inner) for _ in range(count)]
    return read_scalar(file, SCALARS[kind])


def read_gguf(path: Path) -> dict[str, Any]:
    """The metadata of a GGUF file."""
    with path.open("rb") as file:
        magic, version, _, count = struct.unpack("<4sIQQ", file.read(24))
        assert (magic, version) == (b"GGUF", 3)
        metadata = {}
        for _ in range(count):
            key = read_value(file, STRING)
            metadata[key] = read_value(file, read_scalar(file, "I"))
    return metadata


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MANIFEST)
def test_what_the_manifest_names_exists(name: str) -> None:
    entry = MANIFEST[name]

    assert (PACKAGE / entry["gguf"]).is_file()
    assert (PACKAGE / entry["safetensors"] / "model.safetensors").is_file()


def test_every_model_has_an_entry_point() -> None:
    entry_points = PYPROJECT["project"]["entry-points"]["modelplug.weights"]

    assert dict.fromkeys(MANIFEST, "modelplug_tiny") == entry_points


@pytest.mark.parametrize("name", MANIFEST)
def test_both_formats_are_of_one_shape(name: str) -> None:
    entry = MANIFEST[name]
    config = read_json(PACKAGE / entry["safetensors"] / "config.json")
    metadata = read_gguf(PACKAGE / entry["gguf"])
    arch = metadata["general.architecture"]

    assert entry["context"] == config["max_position_embeddings"]
    assert entry["context"] == metadata[f"{arch}.context_length"]
    assert config["hidden_size"] == metadata[f"{arch}.embedding_length"]
    assert config["num_hidden_layers"] == metadata[f"{arch}.block_count"]
    assert config["vocab_size"] == len(metadata["tokenizer.ggml.tokens"])


def test_the_chat_template_is_the_same_in_both_formats() -> None:
    folder = PACKAGE / MANIFEST["tiny"]["safetensors"]
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    metadata = read_gguf(PACKAGE / MANIFEST["tiny"]["gguf"])

    assert template == metadata["tokenizer.chat_template"]


def test_no_chat_token_is_longer_than_30_bytes() -> None:
    tokens = read_gguf(PACKAGE / MANIFEST["tiny"]["gguf"])["tokenizer.ggml.tokens"]

    assert max(map(len, tokens)) <= 30


@pytest.mark.parametrize(("name", "pooling"), [("tiny-embed", 1), ("tiny-rerank", 4)])
def test_llama_cpp_is_told_how_to_pool(name: str, pooling: int) -> None:
    metadata = read_gguf(PACKAGE / MANIFEST[name]["gguf"])

    assert pooling == metadata["bert.pooling_type"]


def test_pairs_are_laid_out_as_bert_does() -> None:
    metadata = read_gguf(PACKAGE / MANIFEST["tiny-rerank"]["gguf"])
    marks = [metadata[f"tokenizer.ggml.add_{mark}_token"] for mark in ("bos", "eos", "sep")]

    assert marks == [True, True, False]


def test_the_embedder_pools_by_mean_and_normalises() -> None:
    folder = PACKAGE / MANIFEST["tiny-embed"]["safetensors"]
    modules = [module["type"].rsplit(".", 1)[-1] for module in read_json(folder / "modules.json")]

    assert modules == ["Transformer", "Pooling", "Normalize"]


def test_the_weights_stay_small() -> None:
    sizes = [path.stat().st_size for path in PACKAGE.rglob("*") if path.is_file()]

    assert sum(sizes) < LARGEST


@pytest.mark.parametrize(
    ("name", "keys", "least"),
    [
        ("probes.json", {"messages", "tools", "answer", "tool_calls"}, 20),
        ("related.json", {"anchor", "related", "unrelated"}, 40),
        ("rerank.json", {"query", "documents", "relevant"}, 30),
    ],
)
def test_the_lists_are_complete(name: str, keys: set[str], least: int) -> None:
    rows = read_json(TESTS / name)

    assert least <= len(rows)
    assert all(keys == set(row) for row in rows)
