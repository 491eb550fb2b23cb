"""Where weights are found, and what is told where they are not."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from weight_files import gguf_bytes

from modelplug.errors import NoModel
from modelplug.types import ModelType, Weights
from modelplug_local import runtime
from modelplug_local.weights.gguf import read_head

GGUF = ["gguf"]


def gguf(path: Path, architecture: str = "qwen2", pooling: int | None = None) -> Path:
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
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + b"".join(pairs))
    return path


def safetensors(folder: Path, architecture: str = "Qwen2ForCausalLM") -> Path:
    folder.mkdir(parents=True)
    config = {"architectures": [architecture], "max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").touch()
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of MODELPLUG_MODEL_PATH; the cache is empty and there is no other."""
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setenv("MODELPLUG_MODEL_PATH", str(folder))
    monkeypatch.delenv("MODELPLUG_MODEL_CACHE_DIR", raising=False)
    monkeypatch.delenv("LAZYLLM_MODEL_CACHE_DIR", raising=False)
    monkeypatch.delenv("LAZYLLM_MODEL_PATH", raising=False)
    return folder


# Absolute paths


def test_a_file_is_found_by_its_path(tmp_path: Path) -> None:
    path = gguf(tmp_path / "my-q4_k_m.gguf")

    found = runtime.find(str(path), formats=GGUF)

    assert Weights("my", path, "gguf", ModelType.LLM, 2048) == found


def test_a_folder_is_found_by_its_path(tmp_path: Path) -> None:
    folder = safetensors(tmp_path / "m")

    found = runtime.find(str(folder), formats=["gguf", "safetensors"])

    assert Weights("m", folder, "safetensors", ModelType.LLM, 512) == found


def test_the_first_format_that_is_there_is_taken(tmp_path: Path) -> None:
    folder = safetensors(tmp_path / "m")
    path = gguf(folder / "m.gguf")

    assert path == runtime.find(str(folder), formats=["gguf", "safetensors"]).path
    assert folder == runtime.find(str(folder), formats=["safetensors", "gguf"]).path


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing", "there is no such file or folder"),
        ("notes.txt", "'notes.txt' is neither a GGUF nor an ONNX file"),
        ("empty", "'{root}/empty' holds no weights"),
        ("st", "it is there as safetensors, and the engines at hand take gguf"),
    ],
)
def test_a_path_without_weights_tells_why(root: Path, name: str, why: str) -> None:
    (root / "notes.txt").touch()
    (root / "empty").mkdir()
    safetensors(root / "st")

    with pytest.raises(NoModel) as caught:
        runtime.find(f"{root}/{name}", formats=GGUF)

    reason = why.format(root=root)
    assert (
        f"there are no weights at '{root}/{name}': {reason}; give a GGUF file or a model's folder"
        == str(caught.value)
    )


# Names


@pytest.mark.parametrize(
    ("at", "name"),
    [
        ("Qwen2-1.5B/model.gguf", "qwen2-1.5b"),
        ("Qwen2-1.5B.gguf", "qwen2-1.5b"),
        ("Qwen2-1.5B-Q4_K_M.gguf", "qwen2-1.5b"),
        ("Qwen2-1.5B-Q4_K_M.gguf", "qwen2-1.5b-q4_k_m"),
        ("qwen2-1.5b-fp16-00001-of-00001.gguf", "qwen2-1.5b-fp16"),
        ("Qwen/Qwen2-1.5B/model.gguf", "qwen/qwen2-1.5b"),
        ("Qwen/Qwen2-1.5B/model.gguf", "qwen2-1.5b"),
        ("Qwen2-1.5B/model.gguf", "Qwen/Qwen2-1.5B"),
    ],
)
def test_a_name_is_found_under_a_root(root: Path, at: str, name: str) -> None:
    path = gguf(root / at)

    found = runtime.find(name, formats=GGUF)

    assert (path, name) == (found.path, found.name)


def test_roots_are_looked_through_in_order_and_the_cache_after_them(
    root: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, theirs = tmp_path / "second", tmp_path / "theirs"
    monkeypatch.setenv("MODELPLUG_MODEL_PATH", f"{root}:{second}")
    monkeypatch.setenv("LAZYLLM_MODEL_PATH", str(theirs))
    found = []
    for folder in (home / "models", theirs, second, root):
        path = gguf(folder / "m.gguf")
        found.append(path == runtime.find("m", formats=GGUF).path)

    assert [True] * 4 == found


def test_a_split_gguf_is_as_large_as_all_its_parts(tmp_path: Path) -> None:
    head = gguf_bytes()
    for part in (1, 2, 3):
        (tmp_path / f"m-q8_0-0000{part}-of-00003.gguf").write_bytes(head + bytes(part))
    (tmp_path / "other-q8_0-00001-of-00003.gguf").write_bytes(bytes(100))

    found = runtime.find(str(tmp_path / "m-q8_0-00001-of-00003.gguf"), formats=["gguf"])

    assert 3 * len(head) + 1 + 2 + 3 == found.size
    assert [f"m-q8_0-0000{part}-of-00003.gguf" for part in (1, 2, 3)] == [
        path.name for path in found.files
    ]


def test_of_several_quantizations_the_usual_one_is_taken(root: Path) -> None:
    for quantization in ("Q2_K", "F16", "Q8_0", "Q4_K_M"):
        gguf(root / "m" / f"m-{quantization}.gguf")
    gguf(root / "m" / "m-Q4_K_M-00002-of-00002.gguf")

    assert "m-Q4_K_M.gguf" == runtime.find("m", formats=GGUF).path.name


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "..", "/..", "a/b/c", ""])
def test_no_name_leads_out_of_a_root(root: Path, name: str) -> None:
    gguf(root.parent / "outside" / "m.gguf")
    gguf(root.parent / "m.gguf")
    (root / "a").mkdir()

    with pytest.raises(NoModel):
        runtime.find(name, formats=GGUF)


def test_every_place_that_was_looked_at_is_told(root: Path, home: Path) -> None:
    with pytest.raises(NoModel) as caught:
        runtime.find("qwen9", formats=GGUF, source="modelscope")

    text = str(caught.value)
    assert text.startswith("no weights of 'qwen9' were found (installed plugins: they ship ")
    assert text.endswith(
        f"; '{root}' (MODELPLUG_MODEL_PATH): not there; '{home}/models' (cache, default): there "
        f"is no such folder; modelscope: the catalogue names no repository of it); give the name "
        f"of a repository (org/name), put them into a folder of that name under a root of "
        f"MODELPLUG_MODEL_PATH, or give their absolute path"
    )


# What a model does


@pytest.mark.parametrize(
    ("architecture", "pooling", "type"),
    [
        ("qwen2", None, "llm"),
        ("qwen2", 0, "llm"),
        ("qwen3", 3, "embed"),
        ("qwen3", 4, "rerank"),
        ("nomic-bert", None, "embed"),
        ("bert", 4, "rerank"),
    ],
)
def test_a_gguf_tells_what_it_does(
    tmp_path: Path, architecture: str, pooling: int | None, type: str
) -> None:
    path = gguf(tmp_path / "m.gguf", architecture, pooling)

    assert type == runtime.find(str(path), formats=GGUF).type


def test_a_projector_beside_a_gguf_makes_it_see(tmp_path: Path) -> None:
    gguf(tmp_path / "mmproj-m.gguf", "clip")
    path = gguf(tmp_path / "m.gguf")

    found = runtime.find(str(tmp_path), formats=GGUF)

    assert (path, ModelType.VLM) == (found.path, found.type)


@pytest.mark.parametrize(
    ("architecture", "type"),
    [
        ("Qwen2ForCausalLM", "llm"),
        ("Qwen2VLForConditionalGeneration", "vlm"),
        ("BertForSequenceClassification", "rerank"),
        ("BertModel", "embed"),
    ],
)
def test_a_config_tells_what_it_does(tmp_path: Path, architecture: str, type: str) -> None:
    folder = safetensors(tmp_path / "m", architecture)

    assert type == runtime.find(str(folder), formats=["safetensors"]).type


def test_what_the_caller_says_it_does_wins(tmp_path: Path) -> None:
    path = gguf(tmp_path / "m.gguf")

    assert "embed" == runtime.find(str(path), formats=GGUF, type=ModelType.EMBED).type


def test_a_config_that_does_not_tell_is_not_guessed(tmp_path: Path) -> None:
    folder = safetensors(tmp_path / "m", "Unheard")

    with pytest.raises(NoModel, match=r"'Unheard'\); pass type="):
        runtime.find(str(folder), formats=["safetensors"])


def test_a_damaged_config_is_named(tmp_path: Path) -> None:
    folder = safetensors(tmp_path / "m")
    (folder / "config.json").write_text("[")

    with pytest.raises(NoModel, match="config.json' cannot be read: .*; fetch the model again"):
        runtime.find(str(folder), formats=["safetensors"])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PK\3\4....", "it begins with b'PK\\\\x03\\\\x04'"),
        (b"", "cannot mmap an empty file"),
        (b"GGUF\1\0\0\0", "its version is 1"),
        (b"GGUF\3\0\0\0" + b"\0" * 8 + b"\1" + b"\0" * 7, "unpack_from requires a buffer"),
    ],
)
def test_a_file_that_is_not_gguf_is_named(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(data)

    with pytest.raises(NoModel, match=f"m.gguf' is damaged or is not GGUF .*{why}.*fetch it again"):
        read_head(path)


def test_a_head_that_promises_too_much_is_damaged(tmp_path: Path) -> None:
    path = gguf(tmp_path / "m.gguf")
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(NoModel, match="is damaged"):
        read_head(path)
