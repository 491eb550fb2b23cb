"""Options become a plan; nothing is run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from made_gguf import gguf

from modelplug.errors import ConfigError, UnknownOption, Unsupported
from modelplug.types import Plan
from modelplug_llama_cpp import plugin


def plan(deployment: Any) -> Plan:
    made = plugin.deploy_local(deployment)
    assert made is not None
    return made


def settings(deployment: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan(deployment).argv[2])
    return found


def arguments(deployment: Any) -> dict[str, str]:
    argv = plan(deployment).argv
    return dict(zip(argv[3::2], argv[4::2], strict=True))


def test_other_formats_and_types_are_left_to_other_engines(deployment: Any) -> None:
    given = deployment()
    folder = evolve(given, weights=evolve(given.weights, format="safetensors"))

    assert plugin.deploy_local(folder) is None
    assert plugin.deploy_local(deployment(type="tts")) is None


def test_the_token_is_in_the_environment_alone(deployment: Any) -> None:
    for runtime in ("xllamacpp", "llama_cpp_python"):
        made = plan(deployment(runtime=runtime))

        assert "canary" in made.env.values()
        assert "canary" not in " ".join(made.argv)
        assert "canary" not in repr(made)


@pytest.mark.parametrize(
    ("trained", "asked", "expected"),
    [(1024, None, 1024), (131072, None, 4096), (None, None, 4096), (1024, 2048, 2048)],
)
def test_a_request_has_as_much_context_as_asked_or_as_is_modest(
    deployment: Any, trained: int | None, asked: int | None, expected: int
) -> None:
    options = {} if asked is None else {"context": asked}

    assert expected == settings(deployment(trained=trained, **options))["context"]


def test_an_embedder_takes_its_whole_context_in_one_batch(deployment: Any) -> None:
    made = settings(deployment(type="embed", trained=2048, pooling="cls"))

    assert (2048, 2048, "cls") == (made["context"], made["batch"], made["pooling"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"slots": 0}, "llama_cpp: slots must be a whole number of at least 1, not 0"),
        ({"slots": "4"}, "llama_cpp: slots must be a whole number of at least 1, not '4'"),
        ({"threads": True}, "llama_cpp: threads must be a whole number of at least 1, not True"),
        (
            {"runtime": "ollama"},
            "llama_cpp: runtime must be one of 'xllamacpp', 'llama_cpp_python', not 'ollama'",
        ),
        (
            {"chat_template": "/no/file"},
            "llama_cpp: chat_template names no file: '/no/file'; check the path",
        ),
        ({"draft": 3}, "llama_cpp: draft must be text, not 3"),
        ({"draft": "/no/file"}, "llama_cpp: draft names no file: '/no/file'; check the path"),
        ({"lora": "/no/file"}, "llama_cpp: lora names no file: '/no/file'; check the path"),
        (
            {"lora": {"a.gguf": "1"}},
            "llama_cpp: lora must be a path, a list of them, or {path: scale}, not "
            "(('a.gguf', '1'),)",
        ),
    ],
)
def test_a_wrong_value_is_refused(deployment: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plugin.deploy_local(deployment(**options))

    assert text == str(caught.value)


def test_an_unknown_option_is_refused(deployment: Any) -> None:
    with pytest.raises(UnknownOption) as caught:
        plugin.deploy_local(deployment(thread=2))

    assert "llama_cpp has no option 'thread'; did you mean 'threads'?" == str(caught.value)


def test_the_manifest_lists_the_options_that_are_read() -> None:
    import tomllib

    from attrs import fields

    import modelplug_llama_cpp
    from modelplug_llama_cpp.options import Options

    text = Path(modelplug_llama_cpp.__file__).with_name("modelplug.toml").read_text()

    listed = tomllib.loads(text)["deploy_local"]["llama_cpp"]["options"]
    assert [attribute.name for attribute in fields(Options)] == listed


def test_a_chat_template_may_be_a_file(deployment: Any, tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text("{{ messages }}")

    assert (
        "{{ messages }}"
        == settings(deployment(chat_template=str(tmp_path / "t.jinja")))["chat_template"]
    )


def test_another_interpreter_runs_the_same_file(deployment: Any) -> None:
    argv = plan(evolve(deployment(), python="/opt/gpu/bin/python")).argv

    assert "/opt/gpu/bin/python" == argv[0]
    assert argv[1].endswith("modelplug_llama_cpp/serve.py")


def test_llama_cpp_python_serves_one_call_at_a_time_and_cuts_none_off(deployment: Any) -> None:
    made = plan(deployment(runtime="llama_cpp_python", threads=3))

    assert [sys.executable, "-m", "llama_cpp.server"] == list(made.argv[:3])
    assert "False" == arguments(deployment(runtime="llama_cpp_python"))["--interrupt_requests"]
    assert "3" == arguments(deployment(runtime="llama_cpp_python", threads=3))["--n_threads"]
    assert "/v1/models" == made.ready
    assert ("127.0.0.1", "20001") == (made.env["HOST"], made.env["PORT"])


def test_options_of_both_runtimes_reach_llama_cpp_python(deployment: Any, tmp_path: Path) -> None:
    adapter = tmp_path / "a.gguf"
    adapter.touch()
    options = {"cache_type": "q8_0", "gpu_layers": 7, "prompt_cache": 3, "lora": adapter}

    made = arguments(deployment(runtime="llama_cpp_python", draft="lookup", **options))

    assert ("8", "8", "7") == (made["--type_k"], made["--type_v"], made["--n_gpu_layers"])
    assert ("True", str(3 << 20)) == (made["--cache"], made["--cache_size"])
    assert str(adapter) == made["--lora_path"]
    assert ("prompt-lookup-decoding", "3") == (
        made["--draft_model"], made["--draft_model_num_pred_tokens"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("type", "option", "name"),
    [
        ("llm", {"slots": 2}, "slots"),
        ("llm", {"pooling": "mean"}, "pooling"),
        ("llm", {"lora": ["a", "b"]}, "several lora"),
        ("llm", {"lora": {"a": 0.5}}, "lora with a scale"),
        ("llm", {"draft": "small.gguf"}, "draft with a model"),
        ("embed", {"draft": "lookup"}, "draft"),
        ("rerank", {"prompt_cache": 3}, "prompt_cache"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_llama_cpp_python_cannot_do_is_refused(
    deployment: Any, type: str, option: dict[str, Any], name: str
) -> None:
    with pytest.raises(Unsupported) as caught:
        plugin.deploy_local(deployment(type=type, runtime="llama_cpp_python", **option))

    assert (
        f"the runtime llama_cpp_python has no option {name!r} to serve {type}; "
        f"use runtime='xllamacpp'"
    ) == str(caught.value)


def test_llama_cpp_python_sees_no_images(deployment: Any) -> None:
    with pytest.raises(Unsupported) as caught:
        plugin.deploy_local(deployment(type="vlm", runtime="llama_cpp_python"))

    assert "the runtime llama_cpp_python sees no images; use runtime='xllamacpp'" == str(
        caught.value
    )


@pytest.mark.parametrize(
    ("type", "options", "pooling"),
    [("embed", {"pooling": "last"}, 3), ("embed", {"pooling": "cls"}, 2), ("rerank", {}, 4)],
)
def test_vectors_of_llama_cpp_python_come_from_a_runner(
    deployment: Any, type: str, options: dict[str, Any], pooling: int
) -> None:
    made = plan(deployment(type=type, runtime="llama_cpp_python", **options))

    assert made.argv[1].endswith("modelplug_llama_cpp/serve_vectors.py")
    told = json.loads(made.argv[2])
    assert type == told["type"]
    load = told["load"]
    # Attention that goes both ways needs a text in one batch.
    assert (1024, 1024, 1024) == (load["n_ctx"], load["n_batch"], load["n_ubatch"])
    assert pooling == load["pooling_type"]


def test_pooling_that_the_weights_name_is_left_to_them(
    deployment: Any, weights_folder: Path
) -> None:
    given = deployment(type="embed", runtime="llama_cpp_python")
    weights = evolve(given.weights, path=weights_folder / "tiny-embed.q8_0.gguf")

    made = plan(evolve(given, weights=weights))

    assert -1 == json.loads(made.argv[2])["load"]["pooling_type"]


def test_what_llama_cpp_python_answers_as_plain_text_is_told(deployment: Any) -> None:
    made = plan(deployment(runtime="llama_cpp_python"))

    assert {"tools", "reasoning", "json-schema", "image-input"} == made.lacks


def test_a_model_that_sees_needs_its_projector(deployment: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        plugin.deploy_local(deployment(type="vlm"))

    assert (
        f"'{tmp_path}/m.gguf' sees nothing without its projector; put its mmproj*.gguf beside it, "
        f"or pass projector="
    ) == str(caught.value)


def test_weights_that_do_not_name_their_pooling_are_refused(
    deployment: Any, weights_folder: Path
) -> None:
    given = deployment(type="embed")
    path = weights_folder / "tiny.q8_0.gguf"

    with pytest.raises(ConfigError) as caught:
        plugin.deploy_local(evolve(given, weights=evolve(given.weights, path=path)))

    assert (
        f"the weights '{path}' do not name their pooling, and a wrong one gives wrong vectors; "
        f"pass pooling='mean', 'cls' or 'last' as their author says"
    ) == str(caught.value)


def test_threads_are_never_all_cores(deployment: Any) -> None:
    cores = os.cpu_count() or 1

    assert settings(deployment())["threads"] in range(1, max(2, cores))


# Memory


def described(tmp_path: Path, architecture: str = "llama", **changed: object) -> Path:
    """A GGUF file of nothing but a head, that of an 8B Llama with *changed* values."""
    values: dict[str, object] = {
        "block_count": 32,
        "embedding_length": 4096,
        "attention.head_count": 32,
        "attention.head_count_kv": 8,
        **{key.replace("__", "."): value for key, value in changed.items()},
    }
    keyed = {f"{architecture}.{key}": value for key, value in values.items() if value is not None}
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf({"general.architecture": architecture, **keyed}, {}))
    return path


PER_TOKEN = 32 * 8 * (128 + 128)


@pytest.mark.parametrize(
    ("changed", "options", "cache"),
    [
        ({}, {}, PER_TOKEN * 2 * 4096 * 4),
        ({}, {"context": 100, "slots": 3}, PER_TOKEN * 2 * 100 * 3),
        ({}, {"cache_type": "q8_0"}, PER_TOKEN * 34 // 32 * 4096 * 4),
        ({"attention__head_count_kv": None}, {}, 4 * PER_TOKEN * 2 * 4096 * 4),
        ({"attention__key_length": 64, "attention__value_length": 32}, {}, 32 * 8 * 96 * 2 * 16384),
        ({"attention__sliding_window": 512}, {}, PER_TOKEN * 2 * 512 * 4),
        ({"attention__kv_lora_rank": 512, "rope__dimension_count": 64}, {}, 32 * 576 * 2 * 16384),
        ({"attention__head_count_kv": [8.0]}, {}, None),
        ({"ssm__state_size": 16}, {}, None),
    ],
    ids="plain asked quantized all-heads lengths window latent unequal recurrent".split(),
)
def test_the_memory_is_counted_from_the_head_of_the_weights(
    deployment: Any,
    tmp_path: Path,
    changed: dict[str, object],
    options: dict[str, object],
    cache: int | None,
) -> None:
    size = described(tmp_path, **changed).stat().st_size

    memory = plan(deployment(trained=None, **options)).memory

    assert memory is not None
    parts = {"weights": size} | ({"context cache": cache} if cache else {})
    assert ("any", parts) == (memory.device, memory.parts)


def test_an_encoder_keeps_no_cache_and_the_cpu_is_named(deployment: Any, tmp_path: Path) -> None:
    size = described(tmp_path, "bert", pooling_type=1).stat().st_size

    memory = plan(deployment(type="embed", gpu_layers=0)).memory

    assert memory is not None
    assert ("cpu", {"weights": size}) == (memory.device, memory.parts)


def test_adapters_and_parts_of_split_weights_are_counted(deployment: Any, tmp_path: Path) -> None:
    whole = described(tmp_path).read_bytes()
    for part in (1, 2):
        (tmp_path / f"s-0000{part}-of-00002.gguf").write_bytes(whole)
    (tmp_path / "a.gguf").write_bytes(b"12345")
    given = deployment(lora=[str(tmp_path / "a.gguf")])
    first = tmp_path / "s-00001-of-00002.gguf"

    memory = plan(evolve(given, weights=evolve(given.weights, path=first))).memory

    assert memory is not None
    assert (2 * len(whole), 5) == (memory.parts["weights"], memory.parts["adapters and helpers"])


def test_weights_that_cannot_be_read_have_no_memory(deployment: Any) -> None:
    assert plan(deployment()).memory is None
