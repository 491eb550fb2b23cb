"""Which files of a repository each format needs, and what files tell about a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from weight_files import gguf_bytes

from modelplug.errors import NoModel
from modelplug.types import ModelType
from modelplug_local.weights.describe import describe
from modelplug_local.weights.formats import FORMATS, Parts, present, quantizations


def files_of(format: str, names: list[str], variant: str = "") -> set[str]:
    parts = FORMATS[format](names, variant)
    assert parts is not None
    assert () == tuple(parts.missing)
    return set(parts.files)


# Listings as the hubs have them, shortened.

QUANTIZATIONS = [
    "m-fp16-00001-of-00002.gguf",
    "m-fp16-00002-of-00002.gguf",
    "m-q2_k.gguf",
    "m-q4_k_m-00001-of-00002.gguf",
    "m-q4_k_m-00002-of-00002.gguf",
    "m-q8_0.gguf",
    "README.md",
    "LICENSE",
    ".gitattributes",
]
CHAT = [
    "config.json",
    "generation_config.json",
    "merges.txt",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
]
SENTENCES = [
    "1_Pooling/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "vocab.txt",
]
PIPELINE = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
]


def test_of_gguf_the_preferred_quantization_is_needed_with_all_its_parts() -> None:
    assert {
        "m-q4_k_m-00001-of-00002.gguf",
        "m-q4_k_m-00002-of-00002.gguf",
        "LICENSE",
    } == files_of("gguf", QUANTIZATIONS)


@pytest.mark.parametrize(
    ("variant", "files"),
    [
        ("q8_0", {"m-q8_0.gguf", "LICENSE"}),
        ("fp16", {"m-fp16-00001-of-00002.gguf", "m-fp16-00002-of-00002.gguf", "LICENSE"}),
        ("m-q2_k", {"m-q2_k.gguf", "LICENSE"}),
    ],
)
def test_of_gguf_another_quantization_can_be_named(variant: str, files: set[str]) -> None:
    assert files == files_of("gguf", QUANTIZATIONS, variant)
    assert ["fp16", "q2_k", "q4_k_m", "q8_0"] == quantizations(QUANTIZATIONS)
    assert FORMATS["gguf"](QUANTIZATIONS, "q5_0") is None


def test_of_gguf_one_projector_is_needed_the_one_of_half_precision() -> None:
    names = ["m-Q4_K_M.gguf", "mmproj-m-bf16.gguf", "mmproj-m-f16.gguf", "mmproj-m-Q8_0.gguf"]

    assert {"m-Q4_K_M.gguf", "mmproj-m-f16.gguf"} == files_of("gguf", names)


def test_of_gguf_a_quantization_in_a_folder_of_its_own_is_found() -> None:
    names = [f"Q4_K_M/m-Q4_K_M-0000{n}-of-00002.gguf" for n in (1, 2)] + ["Q8_0/m-Q8_0.gguf"]

    assert set(names[:2]) == files_of("gguf", names)


def test_a_part_that_is_missing_is_named() -> None:
    assert Parts(
        "m-00001-of-00003.gguf",
        ("m-00001-of-00003.gguf", "m-00003-of-00003.gguf"),
        ["m-00002-of-00003.gguf"],
    ) == FORMATS["gguf"](["m-00001-of-00003.gguf", "m-00003-of-00003.gguf"], "")
    shards = FORMATS["safetensors"]([*CHAT[:3], *CHAT[4:]], "")
    assert shards is not None
    assert ["model-00001-of-00002.safetensors"] == shards.missing


@pytest.mark.parametrize(
    ("needed", "beside"),
    [
        (
            CHAT,
            [
                "README.md",
                "figures/a.png",
                "pytorch_model-00001-of-00002.bin",
                "pytorch_model.bin.index.json",
                "consolidated.safetensors",
                "original/consolidated.00.pth",
                "training_args.bin",
            ],
        ),
        (
            SENTENCES,
            [
                "pytorch_model.bin",
                "onnx/model.onnx",
                "onnx/config.json",
                "openvino/openvino_model.bin",
                "tf_model.h5",
                "rust_model.ot",
                "model.fp16.safetensors",
            ],
        ),
    ],
)
def test_of_safetensors_the_weights_are_needed_once(needed: list[str], beside: list[str]) -> None:
    assert set(needed) == files_of("safetensors", [*needed, *beside])


def test_where_there_are_no_safetensors_the_bin_is_needed() -> None:
    names = ["pytorch_model.bin" if name == "model.safetensors" else name for name in SENTENCES]

    assert set(names) == files_of("safetensors", [*names, "onnx/model.onnx"])


def test_of_a_clip_of_sentence_transformers_the_folder_of_its_module_is_needed() -> None:
    names = [
        "0_CLIPModel/config.json",
        "0_CLIPModel/model.safetensors",
        "0_CLIPModel/preprocessor_config.json",
        "modules.json",
    ]

    assert set(names) == files_of("safetensors", [*names, "0_CLIPModel/pytorch_model.bin"])


def test_of_ctranslate2_the_vocabulary_is_needed() -> None:
    names = ["config.json", "model.bin", "tokenizer.json", "vocabulary.txt"]

    assert set(names) == files_of("ctranslate2", [*names, "README.md"])
    assert ["ctranslate2"] == present(names)


def test_of_onnx_the_plain_one_is_needed_or_the_one_that_is_named() -> None:
    names = [
        "config.json",
        "tokenizer.json",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
        "onnx/model_int8.onnx",
        "model.safetensors",
    ]

    assert {*names[:4]} == files_of("onnx", names)
    assert {*names[:2], "onnx/model_int8.onnx"} == files_of("onnx", names, "int8")


def test_of_a_pipeline_each_component_is_needed_once() -> None:
    beside = [
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "text_encoder/pytorch_model.bin",
        "v1-5-pruned.safetensors",
        "v1-5-pruned-emaonly.ckpt",
    ]

    assert set(PIPELINE) == files_of("diffusers", [*PIPELINE, *beside])
    assert ["diffusers"] == present([*PIPELINE, *beside])


# What the files tell


def written(folder: Path, files: dict[str, Any]) -> Path:
    for name, value in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(value))
    return folder


@pytest.mark.parametrize(
    ("config", "type"),
    [
        ({"architectures": ["Qwen2ForCausalLM"]}, "llm"),
        ({"architectures": ["GPT2LMHeadModel"]}, "llm"),
        ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}, "llm"),
        ({"architectures": ["XForCausalLM"], "vision_config": {}}, "vlm"),
        ({"architectures": ["XForConditionalGeneration"], "vision_config": {}}, "vlm"),
        ({"architectures": ["XForConditionalGeneration"], "audio_config": {}}, "llm"),
        ({"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}, "stt"),
        ({"architectures": ["Wav2Vec2ForCTC"]}, "stt"),
        ({"architectures": ["VitsModel"], "model_type": "vits"}, "tts"),
        ({"architectures": ["CLIPModel"], "model_type": "clip"}, "cross_modal_embed"),
        (
            {"architectures": ["ChineseCLIPModel"], "model_type": "chinese_clip"},
            "cross_modal_embed",
        ),
        ({"architectures": ["SiglipModel"], "model_type": "siglip"}, "cross_modal_embed"),
        ({"architectures": ["BertModel"], "model_type": "bert"}, "embed"),
        ({"architectures": ["BertForMaskedLM"]}, "embed"),
        ({"architectures": ["XForSequenceClassification"], "id2label": {"0": "x"}}, "rerank"),
        ({"architectures": ["XForSequenceClassification"], "num_labels": 1}, "rerank"),
        ({"architectures": ["XForSequenceClassification"], "id2label": {"0": "a", "1": "b"}}, None),
        ({"architectures": ["BertForTokenClassification"]}, None),
        ({"architectures": ["ViTModel"], "model_type": "vit"}, None),
        ({}, None),
    ],
)
def test_a_config_tells_the_type(tmp_path: Path, config: dict[str, Any], type: str | None) -> None:
    folder = written(tmp_path, {"config.json": config})

    assert type == describe("safetensors", folder).type


@pytest.mark.parametrize(
    ("files", "type", "context"),
    [
        (
            {"modules.json": [{"type": "sentence_transformers.models.CLIPModel"}]},
            "cross_modal_embed",
            None,
        ),
        (
            {
                "modules.json": [{"type": "sentence_transformers.models.Transformer"}],
                "config.json": {
                    "architectures": ["Qwen3ForCausalLM"],
                    "max_position_embeddings": 32768,
                },
                "sentence_bert_config.json": {"max_seq_length": 256},
            },
            "embed",
            256,
        ),
        (
            {
                "config_sentence_transformers.json": {"model_type": "CrossEncoder"},
                "config.json": {
                    "architectures": ["Qwen3ForCausalLM"],
                    "max_position_embeddings": 512,
                },
            },
            "rerank",
            512,
        ),
        (
            # Two positions of RoBERTa are before the first token.
            {
                "config.json": {
                    "architectures": ["XLMRobertaForSequenceClassification"],
                    "model_type": "xlm-roberta",
                    "max_position_embeddings": 514,
                    "pad_token_id": 1,
                    "id2label": {"0": "LABEL_0"},
                }
            },
            "rerank",
            512,
        ),
        (
            {
                "config.json": {
                    "architectures": ["XForConditionalGeneration"],
                    "vision_config": {},
                    "text_config": {"max_position_embeddings": 4096},
                }
            },
            "vlm",
            4096,
        ),
    ],
)
def test_what_sentence_transformers_says_wins_over_the_architecture(
    tmp_path: Path, files: dict[str, Any], type: str, context: int | None
) -> None:
    told = describe("safetensors", written(tmp_path, files))

    assert (type, context) == (told.type, told.context)


@pytest.mark.parametrize(
    ("pipeline", "type"),
    [
        ("StableDiffusionPipeline", "text2image"),
        ("StableDiffusionXLPipeline", "text2image"),
        ("FluxPipeline", "text2image"),
        ("StableDiffusionImg2ImgPipeline", "image_editing"),
        ("QwenImageEditPipeline", "image_editing"),
        ("FluxKontextPipeline", "image_editing"),
        ("WanVideoPipeline", None),
    ],
)
def test_a_pipeline_tells_the_type(tmp_path: Path, pipeline: str, type: str | None) -> None:
    folder = written(tmp_path, {"model_index.json": {"_class_name": pipeline}})

    assert type == describe("diffusers", folder).type


def test_a_whisper_of_ctranslate2_is_told_by_its_config(tmp_path: Path) -> None:
    written(tmp_path, {"config.json": {"alignment_heads": [[1, 1]], "suppress_ids": []}})

    assert ModelType.STT == describe("ctranslate2", tmp_path).type


def test_the_head_of_a_gguf_tells_type_and_context(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(gguf_bytes("qwen3", 3))
    told = describe("gguf", tmp_path / "m.gguf")

    assert ("embed", 2048) == (told.type, told.context)


@pytest.mark.parametrize("text", ["[", "[]", "7", "\0"])
def test_a_damaged_config_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(NoModel, match="config.json' cannot be read: .*; fetch the model again"):
        describe("safetensors", tmp_path)
