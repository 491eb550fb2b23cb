"""Why vLLM did not start, in words that help; the lines are those of its source, 0.32."""

from __future__ import annotations

import re

import pytest

from modelplug.plugins import installed

LINES = {
    "ValueError: To serve at least one request with the model's max seq len (32768), (14.0 GiB "
    "KV cache is needed, which is larger than the available KV cache memory (3.51 GiB). Based on "
    "the available memory, the estimated maximum model length is 8208. Try increasing": (
        "one request of 32768 tokens needs 14.0 GiB of context cache and 3.51 GiB are left "
        "(enough for 8208 tokens)"
    ),
    "ValueError: No available memory for the cache blocks. Try increasing": (
        "the weights leave no memory for the context cache"
    ),
    "ValueError: Free memory on device cuda:0 (3.1/23.6 GiB) on startup is less than desired GPU "
    "memory utilization (0.92, 21.7 GiB).": (
        "3.1 of the GPU's 23.6 GiB are free and gpu_memory_utilization=0.92 asks for 21.7 GiB"
    ),
    "ValueError: Available memory on node 0 (2.05/23.4 GiB) on kv cache allocation is less than "
    "requested memory for kv (4.0 GiB).": (
        "2.05 of 23.4 GiB are free and the context cache is to have 4.0 GiB"
    ),
    "ValueError: Model architectures ['AcmeForCausalLM'] are not supported for now. Supported": (
        "this vLLM does not know the architecture ['AcmeForCausalLM']"
    ),
    "ValueError: This model does not support `--runner generate`.": (
        "these weights are not for this task: vLLM cannot run them as generate"
    ),
    "KeyError: 'invalid tool call parser: hermess (chose from { hermes })'": (
        "vLLM has no tool call parser 'hermess'"
    ),
    "ValueError: LoRA rank 64 is greater than max_lora_rank 16.": (
        "an adapter has rank 64, more than max_lora_rank=16"
    ),
    "Total number of attention heads (14) must be divisible by tensor parallel size (4).": (
        "the weights cannot be divided like this: Total number of attention heads (14) must be "
        "divisible by tensor parallel size (4)"
    ),
    "ValueError: World size (2) is larger than the number of available GPUs (1) in this node.": (
        "2 GPUs are asked for and 1 are here"
    ),
    "torch._inductor.exc.InductorError: InvalidCxxCompiler: No working C++ compiler found in": (
        "vLLM compiles the model for the CPU, and there is no C++ compiler"
    ),
    "RuntimeError: CUDA error: the provided PTX was compiled with an unsupported toolchain.": (
        "the NVIDIA driver, or the GPU, is too old for the CUDA that this vLLM was built with"
    ),
    "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory": (
        "vLLM was built for NVIDIA GPUs and finds none with a driver"
    ),
}


@pytest.mark.parametrize(("line", "cause"), LINES.items(), ids=range(len(LINES)))
def test_each_line_names_its_cause(line: str, cause: str) -> None:
    rows = installed().engine("vllm").failures
    text = f"INFO starting\n{line}\nRuntimeError: Engine core initialization failed.\n"

    told = [
        row.cause.format_map({name: value or "" for name, value in found.groupdict().items()})
        for row in rows
        if (found := re.search(row.match, text, re.IGNORECASE | re.MULTILINE))
    ]
    assert cause == told[0]
