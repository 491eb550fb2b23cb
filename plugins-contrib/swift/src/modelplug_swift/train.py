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
    Reporter,
    begin,
    chat_tokenizer,
    finish_chat,
    load_trained,
)

CALLBACK = "modelplug"


def main(run: Run) -> None:
    """Train what the request says."""
    begin(run)
    asked = dict(run.request["arguments"])
    reporter = Reporter(run, ("ms-swift", "trl"), asked.pop("patience"))
    tokenizer = chat_tokenizer(run)
    longest = asked.get("max_length", 2048)
    trained = tokens(run, tokenizer, run.request["data"], longest)
    evaluation = run.request["evaluation"]
    measured = tokens(run, tokenizer, evaluation, longest) if evaluation else None
    tell_samples(run, trained)

    has_gpu = torch.cuda.is_available()
    asked = {"use_cpu": not has_gpu, "gradient_checkpointing": has_gpu, **asked}
    callbacks_map[CALLBACK] = lambda args, trainer: reporter
    training = SwiftSft(command_line({**asked, "callbacks": [CALLBACK]}))
    training._prepare_dataset = lambda: [_rows(trained), measured and _rows(measured)]
    told = training.main()
    whole = load_trained(run, told["last_model_checkpoint"])
    finish_chat(run, reporter, whole, tokenizer)


def command_line(asked: dict[str, Any]) -> list[str]:
    """The arguments as ms-swift parses them: text, and a list as several words."""
    words: list[str] = []
    for name, value in asked.items():
        if value is not None:
            values = value if isinstance(value, list) else [value]
            words += [f"--{name}", *map(_word, values)]
    return words


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rows(made: dict[str, list[Any]]) -> list[dict[str, Any]]:
    pairs = zip(made["input_ids"], made["labels"], strict=True)
    return [{"input_ids": ids, "labels": labels, "length": len(ids)} for ids, labels in pairs]


if __name__ == "__main__":
    training_kit.main(main)
