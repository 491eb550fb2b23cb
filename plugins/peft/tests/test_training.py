"""Real trainings, of seconds: twenty answers that the base cannot give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from modelplug.types import Training, TrainingPlan
from modelplug_peft import plugin
from modelplug_training.testing import Trial, passwords

ROWS = passwords()
ASKED = [{"messages": row["messages"][:1]} for row in ROWS]
LORA: dict[str, Any] = {
    "method": "lora",
    "form": "messages",
    "epochs": 60,
    "lr": 1e-2,
    "batch_size": 20,
    "warmup": 0.05,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_targets": "all",
    "log_every": 10,
    "save_every": 20,
    "eval_every": 100,
}


def plan(request: Training) -> TrainingPlan:
    made = plugin.finetune(request)
    assert made is not None
    return made


def right(trial: Trial) -> int:
    """How many of the probes are answered as the data has it."""
    told = trial.event("finished")["probes"]
    wanted = [row["messages"][1]["content"] for row in ROWS]
    return sum(probe["reply"] == want for probe, want in zip(told, wanted, strict=True))


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Trial:
    """A chat model with an adapter, trained once for all tests that only look at it."""
    trial = Trial(tmp_path_factory.mktemp("lora"))
    request = trial.request(
        weights_folder / "tiny", "llm", ROWS, evaluation=ROWS[:4], probes=ASKED, **LORA
    )
    assert 0 == trial.run(plan(request)), trial.log
    return trial


def test_an_adapter_learns_twenty_answers(lora: Trial) -> None:
    before, after = (told["metrics"]["loss"] for told in lora.events("eval"))

    assert after < 1 < 6 < before
    assert right(lora) >= 19


def test_its_base_cannot_give_one_of_them(trial: Trial, weights_folder: Path) -> None:
    settings = LORA | {"steps": 1, "lr": 0.0}
    request = trial.request(weights_folder / "tiny", "llm", ROWS, probes=ASKED, **settings)

    assert 0 == trial.run(plan(request)), trial.log

    assert 0 == right(trial)


def test_its_events_come_in_order(lora: Trial) -> None:
    steps = [(each["event"], each.get("step")) for each in lora.events()]

    assert [
        ("samples", None),
        ("eval", 0),
        ("started", 0),
        ("metric", 10),
        ("metric", 20),
        ("checkpoint", 20),
        ("metric", 30),
        ("metric", 40),
        ("checkpoint", 40),
        ("metric", 50),
        ("metric", 60),
        ("eval", 60),
        ("checkpoint", 60),
        ("finished", 60),
    ] == steps


def test_adapter_and_merged_weights_are_saved(lora: Trial, weights_folder: Path) -> None:
    finished = lora.event("finished")
    adapter = load_file(lora.output / finished["adapter"] / "adapter_model.safetensors")
    merged = load_file(lora.output / finished["weights"] / "model.safetensors")
    base = load_file(weights_folder / "tiny" / "model.safetensors")

    assert 4 * 7 * 2 == len(adapter)  # layers, linear modules, A and B
    assert set(base) == set(merged)
    assert {np.dtype("float16")} == {each.dtype for each in merged.values()}
    changed = {name for name in base if not np.array_equal(base[name], merged[name])}
    assert {name for name in base if "_proj.weight" in name} == changed


def test_a_sample_is_what_the_template_makes_of_it(lora: Trial, weights_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(weights_folder / "tiny")
    first = lora.event("samples")["samples"][0]

    question, answer = (each["content"] for each in first["messages"])
    asked = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    assert asked == tokenizer.decode(first["ids"][: first["answer"]])
    assert f"{answer}<|im_end|>\n" == tokenizer.decode(first["ids"][first["answer"] :])


def test_one_that_was_killed_goes_on_as_if_it_had_not_been(
    trial: Trial, lora: Trial, weights_folder: Path
) -> None:
    base = weights_folder / "tiny"
    trial.kill_after(plan(trial.request(base, "llm", ROWS, **LORA)), "checkpoint", 20)
    told = len(trial.events("metric"))
    again = trial.request(
        base, "llm", ROWS, resume_from=trial.output / "checkpoint-20", probes=ASKED, **LORA
    )

    assert 0 == trial.run(plan(again)), trial.log

    assert (20, "checkpoint-20") == (
        trial.events("started")[1]["step"],
        trial.events("started")[1]["resumed_from"],
    )
    whole = {each["step"]: each["loss"] for each in lora.events("metric")}
    resumed = {each["step"]: each["loss"] for each in trial.events("metric")[told:]}
    assert [30, 40, 50, 60] == list(resumed)
    assert {step: whole[step] for step in resumed} == pytest.approx(resumed, abs=0.05)
    assert right(lora) == right(trial)


def test_all_weights_can_be_trained(trial: Trial, weights_folder: Path) -> None:
    request = trial.request(
        weights_folder / "tiny",
        "llm",
        ROWS,
        method="full",
        form="messages",
        epochs=40,
        lr=2e-3,
        batch_size=20,
        warmup=0.05,
        probes=ASKED,
    )

    assert 0 == trial.run(plan(request)), trial.log

    assert 20 == right(trial)
    assert trial.event("finished")["adapter"] is None
    assert not (trial.output / "adapter").exists()
