"""Which parser reads a model's tool calls and thinking, by the marks in its chat template."""

from __future__ import annotations

import pytest

from modelplug_vllm.families import parser_for

HERMES = '<tool_call>{"name": ..., "arguments": ...}</tool_call>'


@pytest.mark.parametrize(
    ("template", "model_type", "tools", "reasoning"),
    [
        (HERMES, "qwen2", "hermes", None),
        (HERMES + "<think>", "qwen3", "hermes", "qwen3"),
        ("<tool_call><function=f><parameter=p><think>", "qwen3_5_moe", "qwen3_coder", "qwen3"),
        ("<tool_call>{f}<arg_key>k</arg_key><think>", "glm4_moe", "glm45", "glm45"),
        ("[TOOL_CALLS]", "mistral", "mistral", None),
        ("<|eot_id|> Environment: ipython", "llama", "llama3_json", None),
        ("<｜tool▁calls▁begin｜>```json<think>", "deepseek_v3", "deepseek_v3", "deepseek_v3"),
        ("<｜tool▁calls▁begin｜><think>", "deepseek_v3", "deepseek_v31", "deepseek_v3"),
        ("<think><｜Assistant｜>", "qwen2", None, "deepseek_r1"),
        ("<|tool_calls_section_begin|><think>", "kimi_k2", "kimi_k2", "kimi_k2"),
        ("<minimax:tool_call><think>", "minimax_m2", "minimax_m2", "minimax_m2"),
        ("<|channel|>", "gpt_oss", "openai", "openai_gptoss"),
        ("{{ messages }}", "gpt2", None, None),
        ("<|tool_call|>", "unheard_of", None, None),
    ],
)
def test_the_marks_of_a_template_name_the_parser(
    template: str, model_type: str, tools: str | None, reasoning: str | None
) -> None:
    assert tools == parser_for("tools", template, model_type)
    assert reasoning == parser_for("reasoning", template, model_type)
