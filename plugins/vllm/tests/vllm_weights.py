"""A chat model and the machines that it is planned for."""

from __future__ import annotations

from collections.abc import Callable

from modelplug.runtime import Device
from modelplug.types import Plan

GIB = 1024**3
CPU = Device("cpu", "4 CPUs", 16 * GIB, 8 * GIB)
GPU = Device("cuda", "NVIDIA L4", 24 * GIB, 24 * GIB)

QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 1536,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "torch_dtype": "bfloat16",
}
HERMES = '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'

PlanOf = Callable[..., Plan]
