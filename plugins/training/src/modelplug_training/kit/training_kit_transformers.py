"""What the scripts that train with transformers' Trainer, or one made from it, share."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from training_kit import Failed, Run, versions
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

A = TypeVar("A", bound=TrainingArguments)

PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "datasets", "peft")

OFTEN = 0.1
"""How often it evaluates and saves where nothing is said, as a share of all steps."""

REPLY = 32
"""Tokens of a reply to a probe, at most."""


def begin(run: Run) -> None:
    """Set threads and seed, before a model with random weights in it is made."""
    if threads := run.request["settings"].get("threads"):
        torch.set_num_threads(threads)
    set_seed(run.request["settings"].get("seed", 42))


def given(run: Run) -> dict[str, Any]:
    """What the request asks for beyond `begin`, by the trainer's own names."""
    asked = dict(run.request["arguments"])
    asked.pop("threads", None)
    # transformers takes less than 1 for a share of the steps and 1 for one step.
    asked["warmup_steps"] = min(asked.get("warmup_steps", 0.0), 0.999)
    return asked


def arguments(cls: type[A], run: Run, asked: Mapping[str, Any]) -> A:
    """The Trainer's arguments: *asked*, which are its own names, over what a run needs."""
    chosen: dict[str, Any] = {
        "output_dir": str(run.output),
        "seed": 42,
        "report_to": "none",
        "disable_tqdm": True,
        "save_total_limit": 2,
        "logging_steps": 0.01,
        "save_strategy": "steps",
        "save_steps": OFTEN,
        "eval_strategy": "steps" if run.request["evaluation"] else "no",
        "eval_steps": OFTEN,
        # True, its default, replaces a loss that is no number by the average of the others.
        "logging_nan_inf_filter": False,
        **asked,
    }
    precision = chosen.pop("precision", "fp32")
    chosen |= {"bf16": precision == "bf16", "fp16": precision == "fp16"}
    if "per_device_train_batch_size" in chosen:
        chosen.setdefault("per_device_eval_batch_size", chosen["per_device_train_batch_size"])
    try:
        made: A = cls(**chosen)
    except (TypeError, ValueError) as exc:
        msg = f"transformers does not take these arguments: {exc}"
        raise Failed(msg, kind="argument") from exc
    return made


class Reporter(TrainerCallback):  # type: ignore[misc]  # transformers is not typed for mypy
    """
    Tells what a Trainer does, and ends it where going on would be wrong.

    It ends when it is told to stop, when `patience` evaluations brought no better loss, when a
    loss is no number, and when a resumed training is back where it once began.
    """

    def __init__(self, run: Run, packages: tuple[str, ...], patience: int | None = None) -> None:
        self._run = run
        self._packages = versions([*PACKAGES, *packages])
        self._patience = patience
        self._evaluated = -1
        self._before: list[float] = []
        self.stopped = False
        self.state = TrainerState()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.state = state
        self._before = [entry["loss"] for entry in state.log_history if "loss" in entry]
        resumed = self._run.request["resume_from"]
        if resumed and not state.global_step:
            msg = f"the checkpoint {resumed!r} was read and the training began at step 0 again"
            raise Failed(
                msg, "train without resuming; report it to the plugin's author", kind="error"
            )
        self._run.tell(
            "started",
            step=state.global_step,
            total=state.max_steps,
            parameters=args.to_sanitized_dict(),
            packages=self._packages,
            device=str(args.device),
            resumed_from=resumed and self._run.inside(resumed),
        )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self._run.is_told_to_stop:
            self.stopped = control.should_training_stop = True
        # A loss that is no number must be seen before the weights that it spoiled are saved.
        if control.should_save or control.should_training_stop:
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float],
        **_: Any,
    ) -> None:
        if "loss" not in logs:
            return
        loss = logs["loss"]
        if not math.isfinite(loss):
            msg = f"the loss is {loss} at step {state.global_step}"
            raise Failed(msg, "lower lr, raise warmup, or train with precision='fp32'", kind="nan")
        self._run.tell(
            "metric",
            step=state.global_step,
            total=state.max_steps,
            loss=loss,
            lr=logs.get("learning_rate"),
            epoch=state.epoch,
        )
        self._check_resumed(loss)

    def _check_resumed(self, loss: float) -> None:
        before, self._before = self._before, []
        if not before:
            return
        recent = before[-5:]
        typical = statistics.median(recent)
        fell_far = typical < 0.8 * before[0]
        if fell_far and loss > max(recent) and loss > (before[0] + typical) / 2:
            msg = (
                f"the loss was {typical:.3g} at the checkpoint and is {loss:.3g} after resuming "
                f"from it ({before[0]:.3g} at the very beginning): its weights were not loaded"
            )
            raise Failed(
                msg, "train without resuming; report it to the plugin's author", kind="error"
            )

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float],
        **_: Any,
    ) -> None:
        self._evaluated = state.global_step
        told = {
            name.removeprefix("eval_"): value
            for name, value in metrics.items()
            if not name.endswith(("_runtime", "_per_second", "_time")) and name != "epoch"
        }
        self._run.tell("eval", step=state.global_step, metrics=told)
        losses = [each["eval_loss"] for each in state.log_history if "eval_loss" in each]
        if self._patience and len(losses) - losses.index(min(losses)) > self._patience:
            control.should_training_stop = True

    def was_evaluated(self, step: int) -> bool:
        """Whether the weights of *step* were evaluated already."""
        return step == self._evaluated

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self._run.tell("checkpoint", step=state.global_step, path=self._run.inside(folder))


def train(run: Run, trainer: Any, reporter: Reporter) -> None:
    """Measure where there is something to measure on, train, and measure again."""
    measures = run.request["evaluation"] is not None
    resumed = run.request["resume_from"]
    if measures and not resumed:
        trainer.evaluate()
    trainer.train(resume_from_checkpoint=resumed)
    check_finite(trainer.model)
    if measures and not reporter.was_evaluated(trainer.state.global_step):
        trainer.evaluate()


def check_finite(model: torch.nn.Module) -> None:
    """Refuse weights that are no numbers: the last step can spoil them after the last loss."""
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            msg = f"the trained weights are no numbers: {name}"
            raise Failed(msg, "lower lr, raise warmup, or train with precision='fp32'", kind="nan")


def finish(
    run: Run, reporter: Reporter, *, weights: Path, adapter: Path | None = None, **said: Any
) -> None:
    """Tell that it is done. *said* are the other fields of the event."""
    fields = {"pooling": None, "normalize": None, "instruction": None, "max_len": None, **said}
    run.tell(
        "finished",
        step=reporter.state.global_step,
        total=reporter.state.max_steps,
        stopped=reporter.stopped,
        weights=run.inside(weights),
        adapter=adapter and run.inside(adapter),
        **fields,
    )


def chat_tokenizer(run: Run) -> Any:
    """The base's tokenizer, with the chat template that is trained on."""
    base = run.request["base"]
    tokenizer = AutoTokenizer.from_pretrained(
        base, trust_remote_code=run.request["trust_remote_code"]
    )
    if run.request["template"] is not None:
        tokenizer.chat_template = run.request["template"]
    if tokenizer.chat_template is None:
        msg = f"the tokenizer of {base!r} has no chat template"
        raise Failed(msg, "train a chat model, or give template=", kind="argument")
    return tokenizer


def load_trained(run: Run, saved: str) -> Any:
    """The chat model that a trainer left in *saved*: the whole, or an adapter of the base."""
    trust = run.request["trust_remote_code"]
    adapts = run.request["method"] == "lora"
    model = AutoModelForCausalLM.from_pretrained(
        run.request["base"] if adapts else saved, dtype=torch.float32, trust_remote_code=trust
    )
    if adapts:
        from peft import PeftModel  # not every trainer has it

        model = PeftModel.from_pretrained(model, saved)
    check_finite(model)
    return model


def finish_chat(run: Run, reporter: Reporter, model: Any, tokenizer: Any) -> None:
    """Answer the probes, save the adapter, if *model* has one, and the whole, and tell."""
    model.eval()
    probes = [
        {**probe, "reply": _reply(model, tokenizer, probe["messages"])}
        for probe in run.request["probes"]
    ]
    weights, adapter = run.output / "model", None
    if hasattr(model, "merge_and_unload"):
        adapter = run.output / "adapter"
        model.save_pretrained(str(adapter))
        model = model.merge_and_unload()
    # In the precision of the base's files, though it was trained in another one.
    base = AutoConfig.from_pretrained(
        run.request["base"], trust_remote_code=run.request["trust_remote_code"]
    )
    model.to(getattr(base, "dtype", None) or torch.float32).save_pretrained(str(weights))
    tokenizer.save_pretrained(str(weights))
    finish(run, reporter, weights=weights, adapter=adapter, probes=probes)


def _reply(model: Any, tokenizer: Any, messages: list[dict[str, Any]]) -> str:
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(model.device)
    with torch.no_grad():
        told = model.generate(**inputs, do_sample=False, max_new_tokens=REPLY)
    said = told[0, inputs["input_ids"].shape[1] :]
    reply: str = tokenizer.decode(said, skip_special_tokens=True)
    return reply
