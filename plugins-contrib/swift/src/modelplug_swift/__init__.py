"""The trainer swift for modelplug: chat models, by LoRA or all of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import ModelType, Training, TrainingPlan
from modelplug_training.plans import renamed, script_plan, settings_of

__all__ = ["Swift", "plugin"]

SCRIPT = Path(__file__).with_name("train.py")

OFTEN = 0.1
"""How often it evaluates and saves where nothing is said, as a share of all steps."""


@frozen(eq=False)
class Swift:
    """Trains in `train.py`, which any interpreter with ms-swift can run."""

    @hookimpl
    def finetune(self, request: Training) -> TrainingPlan | None:
        """A plan for chat models; None for others."""
        if request.type != ModelType.LLM:
            return None
        return script_plan(SCRIPT, request, arguments(request))


def arguments(request: Training) -> dict[str, Any]:
    """ms-swift's arguments: what is asked for, over what a run needs."""
    given = settings_of(request)
    given.pop("threads", None)  # the environment and torch are told
    patience = given.pop("patience", None)
    precision = given.pop("precision", "fp32")
    # transformers takes less than 1 for a share of the steps and 1 for one step.
    given["warmup"] = min(given.get("warmup", 0.0), 0.999)
    chosen = renamed("swift", given, request)
    if (targets := chosen.get("target_modules")) is not None:
        chosen["target_modules"] = ["all-linear"] if targets == "all" else list(targets)
    return {
        "model": str(request.base.path),
        "tuner_type": request.method,
        "template": "dummy",  # not used: it is given token ids
        "dataset": str(request.data),  # it wants a name, and reads nothing there
        "split_dataset_ratio": 0,
        "output_dir": str(request.output / "saved"),
        "add_version": False,
        "create_checkpoint_symlink": False,
        "resume_from_checkpoint": str(request.resume_from) if request.resume_from else None,
        "torch_dtype": {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[precision],
        "use_hf": True,  # no hub is asked for a base that is a path
        "check_model": False,
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


plugin = Swift()
