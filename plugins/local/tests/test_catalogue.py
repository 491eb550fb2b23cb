"""The catalogue: names to repositories; the user's file and plugins before the built-in one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from weight_files import gguf_bytes

from modelplug.errors import ConfigError
from modelplug_local import runtime
from modelplug_local.weights import catalogue
from modelplug_local.weights.formats import FORMATS
from modelplug_local.weights.hubs import HUBS, REPOSITORY


@pytest.mark.parametrize(
    ("name", "hub", "format", "repository"),
    [
        ("qwen2-1.5b", "modelscope", "gguf", "Qwen/Qwen2-1.5B-Instruct-GGUF"),
        ("qwen2-1.5b", "huggingface", "safetensors", "Qwen/Qwen2-1.5B-Instruct"),
        ("bge-large-zh-v1.5", "modelscope", "safetensors", "AI-ModelScope/bge-large-zh-v1.5"),
        ("bge-large-zh-v1.5", "huggingface", "safetensors", "BAAI/bge-large-zh-v1.5"),
        ("bge-reranker-large", "modelscope", "safetensors", "Xorbits/bge-reranker-large"),
        ("QWEN3-0.6B", "modelscope", "gguf", "Qwen/Qwen3-0.6B-GGUF"),
        ("deepseek-r1-distill-qwen-1.5b", "huggingface", "gguf",
         "unsloth/DeepSeek-R1-Distill-Qwen-1.5B-GGUF"),
        ("whisper-small", "modelscope", "ctranslate2", "Systran/faster-whisper-small"),
        ("bge-large-zh-v1.5", "modelscope", "gguf", None),
        ("nothing", "modelscope", "gguf", None),
    ],
)  # fmt: skip
def test_a_name_is_a_repository_on_each_hub_in_each_format(
    name: str, hub: str, format: str, repository: str | None
) -> None:
    assert repository == catalogue.repository(name, hub, format)


def test_every_entry_names_formats_and_hubs_that_exist() -> None:
    for name, entry in catalogue.catalogue().names.items():
        assert set(entry.family.repositories) <= set(FORMATS), name
        for format_ in entry.family.repositories:
            for hub, repository in entry.repositories(format_).items():
                assert hub in {"any", *HUBS}
                assert REPOSITORY.fullmatch(repository), repository


def test_no_name_is_in_two_families() -> None:
    names = [
        name.replace("{}", size).casefold()
        for family in {
            id(e.family): e.family for e in catalogue.catalogue().names.values()
        }.values()
        for size in family.sizes
        for name in family.names
    ]

    assert sorted(set(names)) == sorted(names)


def test_the_users_file_comes_first_and_is_read_anew(home: Path) -> None:
    before = catalogue.repository("qwen2-1.5b", "modelscope", "gguf")
    home.mkdir()
    own = home / "catalogue.toml"
    own.write_text(
        '[mine]\nnames = ["Qwen2-1.5B", "ours"]\ntype = "llm"\n'
        'repositories.gguf.any = "us/ours-GGUF"\n'
    )

    assert "Qwen/Qwen2-1.5B-Instruct-GGUF" == before
    assert "us/ours-GGUF" == catalogue.repository("qwen2-1.5b", "modelscope", "gguf")
    assert "us/ours-GGUF" == catalogue.repository("OURS", "huggingface", "gguf")
    own.unlink()
    assert before == catalogue.repository("qwen2-1.5b", "modelscope", "gguf")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[", "is not TOML: "),
        ('[x]\nnames = ["a"]\ntype = "llm"\nrepository = 1\n', r"\[x\].*repository"),
        ('[x]\nnames = ["a"]\ntype = "lm"\n', "'lm' is not a model type"),
    ],
)
def test_a_mistake_in_the_users_file_is_told(home: Path, text: str, why: str) -> None:
    home.mkdir()
    (home / "catalogue.toml").write_text(text)

    with pytest.raises(ConfigError, match=f"catalogue.toml.*{why}|{why}"):
        catalogue.repository("a", "modelscope", "gguf")


def test_a_reranker_with_the_files_of_a_chat_model_is_a_reranker(cache: Path) -> None:
    folder = cache / "Qwen" / "Qwen3-Reranker-0.6B"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"]}')
    (folder / "model.safetensors").touch()

    assert "rerank" == runtime.find("qwen3-reranker-0.6b", formats=["safetensors"]).type
    assert "llm" == runtime.find(str(folder), formats=["safetensors"]).type


def test_what_would_be_fetched_is_told_from_the_disk_alone(cache: Path) -> None:
    seen = runtime.look("qwen2-1.5b", formats=["gguf", "safetensors"])

    assert seen.weights is None
    assert seen.download is not None
    assert ("modelscope", "Qwen/Qwen2-1.5B-Instruct-GGUF", ["*q4_k_m*.gguf"], None) == (
        seen.download.hub,
        seen.download.repository,
        seen.download.files,
        seen.download.size,
    )
    assert not cache.exists()


def test_where_nobody_chose_a_hub_the_one_that_has_it_is_taken(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = runtime.look("bge-large-zh-v1.5", formats=["gguf"])
    assert seen.download is not None
    assert "huggingface" == seen.download.hub

    monkeypatch.setenv("MODELPLUG_MODEL_SOURCE", "modelscope")
    assert runtime.look("bge-large-zh-v1.5", formats=["gguf"]).download is None


def test_a_tuned_model_is_found_by_its_name_and_version(home: Path) -> None:
    versions = home / "models" / "tuned" / "mine"
    for version in ("1", "2"):
        (versions / version).mkdir(parents=True)
        (versions / version / "model.gguf").write_bytes(gguf_bytes())
    (versions / "current").write_text("2\n")

    found = runtime.find("tuned/mine", formats=["gguf"])

    assert ("tuned/mine", versions / "2" / "model.gguf") == (found.name, found.path)
    assert versions / "1" / "model.gguf" == runtime.find("tuned/mine@1", formats=["gguf"]).path


@pytest.mark.parametrize("name", ["tuned/mine", "tuned/mine@9", "tuned/other", "tuned/../tuned"])
def test_a_tuned_model_that_is_not_there_is_not_asked_of_a_hub(home: Path, name: str) -> None:
    (home / "models" / "tuned" / "mine").mkdir(parents=True)

    seen = runtime.look(name, formats=["gguf"])

    assert (None, None) == (seen.weights, seen.download)
    assert os.environ["MODELPLUG_HOME"] == str(home)
