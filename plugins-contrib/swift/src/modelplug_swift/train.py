"""
Trains a chat model with ms-swift: `train.py request.json`.

Run by path, in an interpreter that has ms-swift: it imports nothing of modelplug but what lies
on its path for that, `training_kit`. ms-swift's templates are not used, as they add a system
prompt of their own: it is given token ids, made with the template that a server will use.
"""

from __future__ import annotations

from typing import Any

import torch
import training_kit
from swift.callbacks import callbacks_map
from swift.pipelines import SwiftSft
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

CALLBACK = "modelplug"


def main(run: Run) -> None:
    """Train what the request says."""
    begin(run)
    asked = given(run)
    reporter = Reporter(run, ("ms-swift", "trl"), asked.pop("patience", None))
    tokenizer = chat_tokenizer(run)
    longest = asked.get("max_length", 2048)
    trained = tokens(run, tokenizer, run.request["data"], longest)
    evaluation = run.request["evaluation"]
    measured = tokens(run, tokenizer, evaluation, longest) if evaluation else None
    tell_samples(run, trained)

    callbacks_map[CALLBACK] = lambda args, trainer: reporter
    saved = run.output / "saved"
    training = SwiftSft(command_line(arguments(run, asked, str(saved))))
    training._prepare_dataset = lambda: [_rows(trained), measured and _rows(measured)]
    told = training.main()
    whole = load_trained(run, told["last_model_checkpoint"])
    finish_chat(run, reporter, whole, tokenizer)


def arguments(run: Run, asked: dict[str, Any], output: str) -> dict[str, Any]:
    """ms-swift's arguments: *asked*, which are its own names, over what a run needs."""
    chosen = dict(asked)
    precision = chosen.pop("precision", "fp32")
    targets = chosen.get("target_modules", "all")
    chosen["target_modules"] = ["all-linear"] if targets == "all" else targets
    if run.request["method"] == "full":
        del chosen["target_modules"]
    return {
        "model": run.request["base"],
        "tuner_type": run.request["method"],
        "template": "dummy",  # not used
        "dataset": run.request["data"],  # not read
        "split_dataset_ratio": 0,
        "output_dir": output,
        "add_version": False,
        "create_checkpoint_symlink": False,
        "resume_from_checkpoint": run.request["resume_from"],
        "torch_dtype": {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[precision],
        "callbacks": [CALLBACK],
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
        "use_hf": True,  # for a base that is a path, as ours are, no hub is asked
        "check_model": False,
        **chosen,
    }


def command_line(arguments: dict[str, Any]) -> list[str]:
    """The arguments as ms-swift parses them: text, and a list as several words."""
    words: list[str] = []
    for name, value in arguments.items():
        if value is None:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        words += [
            f"--{name}",
            *(str(each).lower() if isinstance(each, bool) else str(each) for each in values),
        ]
    return words


def _rows(made: dict[str, list[Any]]) -> list[dict[str, Any]]:
    pairs = zip(made["input_ids"], made["labels"], strict=True)
    return [{"input_ids": ids, "labels": labels, "length": len(ids)} for ids, labels in pairs]


if __name__ == "__main__":
    training_kit.main(main)
