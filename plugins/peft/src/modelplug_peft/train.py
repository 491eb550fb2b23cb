"""
Trains a chat model with TRL, by LoRA or all of its weights: `train.py request.json`.

Run by path, in any interpreter that has TRL and PEFT: it imports nothing of modelplug but what
lies on its path for that, `training_kit`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
import training_kit
from datasets import Dataset
from peft import LoraConfig
from training_kit import Failed, Run
from training_kit_chats import tell_samples, tokens
from training_kit_transformers import (
    Reporter,
    arguments,
    begin,
    chat_tokenizer,
    finish_chat,
    given,
    train,
)
from transformers import AutoConfig, AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer


def main(run: Run) -> None:
    """Train what the request says."""
    begin(run)
    asked = given(run)
    asked.setdefault("precision", "bf16" if _has_bf16() else "fp32")
    # TRL's default is True, which spares memory of a GPU and costs time.
    asked.setdefault("gradient_checkpointing", torch.cuda.is_available())
    lora = _lora(asked) if run.request["method"] == "lora" else None
    base, trust = run.request["base"], run.request["trust_remote_code"]

    tokenizer = chat_tokenizer(run)
    config = AutoConfig.from_pretrained(base, trust_remote_code=trust)
    longest = asked.pop("max_length", None) or 2048
    longest = min(longest, getattr(config, "max_position_embeddings", longest))
    trained = tokens(run, tokenizer, run.request["data"], longest)
    evaluation = run.request["evaluation"]
    measured = tokens(run, tokenizer, evaluation, longest) if evaluation else None
    tell_samples(run, trained)

    half = lora is not None and asked["precision"] == "bf16"
    model = AutoModelForCausalLM.from_pretrained(
        base,
        # With all weights trained they are kept in float32: steps get lost in rounding else.
        dtype=torch.bfloat16 if half else torch.float32,
        trust_remote_code=trust,
    )
    reporter = Reporter(run, ("trl",), asked.pop("patience", None))
    trainer = SFTTrainer(
        model=model,
        args=arguments(SFTConfig, run, {"max_length": None, **asked}),
        train_dataset=Dataset.from_dict(trained).remove_columns("row"),
        eval_dataset=measured and Dataset.from_dict(measured).remove_columns("row"),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[reporter],
    )
    train(run, trainer, reporter)
    finish_chat(run, reporter, trainer.model, tokenizer)


def _has_bf16() -> bool:
    return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def _lora(asked: dict[str, Any]) -> LoraConfig:
    """PEFT's configuration, taken out of *asked*."""
    names = {each.name for each in fields(LoraConfig)} - {each.name for each in fields(SFTConfig)}
    chosen = {name: asked.pop(name) for name in list(asked) if name in names}
    targets = chosen.get("target_modules", "all")
    chosen["target_modules"] = "all-linear" if targets == "all" else targets
    try:
        return LoraConfig(task_type="CAUSAL_LM", **chosen)
    except (TypeError, ValueError) as exc:
        msg = f"PEFT does not take these arguments: {exc}"
        raise Failed(msg, kind="argument") from exc


if __name__ == "__main__":
    training_kit.main(main)
