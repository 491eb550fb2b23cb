"""The trainer llamafactory for modelplug: chat models, by LoRA or all of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import ModelType, Training, TrainingPlan
from modelplug_training.plans import renamed, script_plan, settings_of

__all__ = ["LlamaFactory", "plugin"]

SCRIPT = Path(__file__).with_name("train.py")

OFTEN = 0.1
"""How often it evaluates and saves where nothing is said, as a share of all steps."""


@frozen(eq=False)
class LlamaFactory:
    """Trains in `train.py`, which any interpreter with LLaMA-Factory can run."""

    @hookimpl
    def finetune(self, request: Training) -> TrainingPlan | None:
        """A plan for chat models; None for others."""
        if request.type != ModelType.LLM:
            return None
        return script_plan(SCRIPT, request, arguments(request))


def arguments(request: Training) -> dict[str, Any]:
    """LLaMA-Factory's arguments: what is asked for, over what a run needs."""
    given = settings_of(request)
    given.pop("threads", None)  # the environment and torch are told
    patience = given.pop("patience", None)
    precision = given.pop("precision", "fp32")
    # transformers takes less than 1 for a share of the steps and 1 for one step.
    given["warmup"] = min(given.get("warmup", 0.0), 0.999)
    chosen = renamed("llamafactory", given, request)
    if not isinstance(targets := chosen.get("lora_target", "all"), str):
        chosen["lora_target"] = ",".join(targets)
    return {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": str(request.base.path),
        "trust_remote_code": request.trust_remote_code,
        "finetuning_type": request.method,
        # No template is named: with a name it would add a system prompt of its own. It is
        # given token ids besides, and reads no data set though it wants the names of some.
        "dataset": "given",
        "eval_dataset": "given" if request.evaluation else None,
        "tokenized_path": str(request.output / "tokens"),
        "output_dir": str(request.output / "saved"),
        "resume_from_checkpoint": str(request.resume_from) if request.resume_from else None,
        "infer_dtype": "float32" if precision == "fp32" else "auto",
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 0.01,
        # True, its default, replaces a loss that is no number by the average of the others.
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": OFTEN,
        "save_total_limit": 2,
        "eval_strategy": "steps" if request.evaluation else "no",
        "eval_steps": OFTEN,
        "patience": patience,  # train.py takes it
        **chosen,
    }


plugin = LlamaFactory()
