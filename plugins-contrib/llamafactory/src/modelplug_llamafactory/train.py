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
    Reporter,
    begin,
    chat_tokenizer,
    finish_chat,
    load_trained,
)


def main(run: Run) -> None:
    """Train what the request says."""
    begin(run)
    asked = dict(run.request["arguments"])
    reporter = Reporter(run, ("llamafactory", "trl"), asked.pop("patience"))
    tokenizer = chat_tokenizer(run)
    longest = asked.get("cutoff_len", 2048)
    trained = tokens(run, tokenizer, run.request["data"], longest)
    parts = {"train": _dataset(trained)}
    if evaluation := run.request["evaluation"]:
        parts["validation"] = _dataset(tokens(run, tokenizer, evaluation, longest))
    tell_samples(run, trained)
    DatasetDict(parts).save_to_disk(asked["tokenized_path"])

    saved = asked["output_dir"]
    if not run.request["resume_from"]:
        # It would go on from whatever checkpoint lies there, a broken one too.
        shutil.rmtree(saved, ignore_errors=True)
    has_gpu = torch.cuda.is_available()
    run_exp(
        {"use_cpu": not has_gpu, "disable_gradient_checkpointing": not has_gpu, **asked},
        callbacks=[reporter],
    )
    finish_chat(run, reporter, load_trained(run, saved), tokenizer)


def _dataset(made: dict[str, list[Any]]) -> Dataset:
    masks = [[1] * len(ids) for ids in made["input_ids"]]
    kept = {name: made[name] for name in ("input_ids", "labels")}
    return Dataset.from_dict({**kept, "attention_mask": masks})


if __name__ == "__main__":
    training_kit.main(main)
