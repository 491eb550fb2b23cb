"""
Trains a chat model with LLaMA-Factory: `train.py request.json`.

Run by path, in an interpreter that has LLaMA-Factory: it imports nothing of modelplug but what
lies on its path for that, `training_kit`. LLaMA-Factory's templates are not used: it is given
token ids, made with the template that a server will use.
"""

from __future__ import annotations

import shutil
from typing import Any

import torch
import training_kit
from datasets import Dataset, DatasetDict
from llamafactory.train.tuner import run_exp
from training_kit import Run
from training_kit_chats import tell_samples, tokens
from training_kit_transformers import (
    OFTEN,
    Reporter,
    begin,
    chat_tokenizer,
    finish_chat,
    given,
    load_trained,
)


def main(run: Run) -> None:
    """Train what the request says."""
    begin(run)
    asked = given(run)
    reporter = Reporter(run, ("llamafactory", "trl"), asked.pop("patience", None))
    tokenizer = chat_tokenizer(run)
    longest = asked.get("cutoff_len", 2048)
    trained = tokens(run, tokenizer, run.request["data"], longest)
    parts = {"train": _dataset(trained)}
    if evaluation := run.request["evaluation"]:
        parts["validation"] = _dataset(tokens(run, tokenizer, evaluation, longest))
    tell_samples(run, trained)
    kept = run.output / "tokens"
    DatasetDict(parts).save_to_disk(str(kept))

    saved = run.output / "saved"
    if not run.request["resume_from"]:
        # It would go on from whatever checkpoint lies there, a broken one too.
        shutil.rmtree(saved, ignore_errors=True)
    run_exp(arguments(run, asked, str(kept), str(saved)), callbacks=[reporter])
    finish_chat(run, reporter, load_trained(run, str(saved)), tokenizer)


def arguments(run: Run, asked: dict[str, Any], tokens_in: str, output: str) -> dict[str, Any]:
    """LLaMA-Factory's arguments: *asked*, which are its own names, over what a run needs."""
    chosen = dict(asked)
    precision = chosen.pop("precision", "fp32")
    if isinstance(targets := chosen.get("lora_target"), list):
        chosen["lora_target"] = ",".join(targets)
    return {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": run.request["base"],
        "trust_remote_code": run.request["trust_remote_code"],
        "finetuning_type": run.request["method"],
        "dataset": "given",  # it wants a name, and reads what is in tokenized_path
        "tokenized_path": tokens_in,
        "output_dir": output,
        "resume_from_checkpoint": run.request["resume_from"],
        "infer_dtype": "float32" if precision == "fp32" else "auto",
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 0.01,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": OFTEN,
        "save_total_limit": 2,
        "eval_strategy": "steps" if run.request["evaluation"] else "no",
        "eval_steps": OFTEN,
        "use_cpu": not torch.cuda.is_available(),
        **chosen,
    }


def _dataset(made: dict[str, list[Any]]) -> Dataset:
    masks = [[1] * len(ids) for ids in made["input_ids"]]
    kept = {name: made[name] for name in ("input_ids", "labels")}
    return Dataset.from_dict({**kept, "attention_mask": masks})


if __name__ == "__main__":
    training_kit.main(main)
