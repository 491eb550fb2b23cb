"""A request becomes a plan; nothing is run."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from attrs import evolve

from modelplug.catalog import TrainerTraits, read_manifest
from modelplug.types import ModelType, Training
from modelplug.types.training import SETTINGS
from modelplug_llamafactory import plugin
from modelplug_training.testing import Trial, passwords

TRAITS: TrainerTraits = read_manifest("modelplug_llamafactory").table("finetune", "llamafactory")


@pytest.fixture
def request_of(trial: Trial) -> Any:
    """`request_of(method, **settings)`: a request that is only planned."""

    def make(method: str = "lora", options: Any = None, **settings: Any) -> Training:
        return trial.request(
            trial.folder / "base",
            "llm",
            passwords(1),
            form="messages",
            method=method,
            options=options,
            **settings,
        )

    return make


def arguments(request: Training) -> dict[str, Any]:
    plan = plugin.finetune(request)
    assert plan is not None
    asked: dict[str, Any] = json.loads(plan.files["request.json"])["arguments"]
    return asked


def test_common_names_become_the_trainers_own(request_of: Any) -> None:
    targets = ["q_proj", "v_proj"]
    asked = arguments(request_of(lr=1e-4, epochs=2, lora_r=8, lora_targets=targets, warmup=1.0))

    assert (1e-4, 2, 8, "q_proj,v_proj", 0.999) == (
        asked["learning_rate"],
        asked["num_train_epochs"],
        asked["lora_rank"],
        asked["lora_target"],
        asked["warmup_steps"],
    )


def test_no_template_is_named(request_of: Any, trial: Trial) -> None:
    asked = arguments(request_of())

    assert "template" not in asked
    assert str(trial.output / "tokens") == asked["tokenized_path"]
    assert str(trial.folder / "base") == asked["model_name_or_path"]
    assert ("sft", "lora", "float32", False, False, "none") == (
        asked["stage"],
        asked["finetuning_type"],
        asked["infer_dtype"],
        asked["bf16"],
        asked["fp16"],
        asked["report_to"],
    )


def test_a_checkpoint_is_gone_on_from(request_of: Any, trial: Trial) -> None:
    checkpoint = trial.output / "saved" / "checkpoint-20"

    asked = arguments(evolve(request_of(), resume_from=checkpoint))

    assert str(checkpoint) == asked["resume_from_checkpoint"]


def test_what_is_of_an_adapter_is_left_out_where_all_weights_are_trained(request_of: Any) -> None:
    asked = arguments(request_of("full", lora_r=8, lora_alpha=16.0))

    assert "full" == asked["finetuning_type"]
    assert not {"lora_rank", "lora_alpha"} & set(asked)


def test_options_of_its_own_go_along(request_of: Any) -> None:
    asked = arguments(request_of(options={"max_grad_norm": 0.5}))

    assert 0.5 == asked["max_grad_norm"]


def test_the_script_runs_in_the_interpreter_that_was_chosen(request_of: Any) -> None:
    plan = plugin.finetune(evolve(request_of(), python="/opt/gpu/bin/python"))

    assert plan is not None
    assert "/opt/gpu/bin/python" == plan.argv[0]
    assert plan.argv[1].endswith("modelplug_llamafactory/train.py")
    assert "request.json" == plan.argv[2]
    assert sys.executable not in plan.argv


def test_other_types_are_left_to_other_trainers(request_of: Any) -> None:
    assert plugin.finetune(evolve(request_of(), type=ModelType.EMBED)) is None


def test_every_setting_is_a_common_one_and_has_one_name() -> None:
    assert set(TRAITS.defaults) <= set(TRAITS.settings) <= set(SETTINGS)
    assert len(set(TRAITS.settings.values())) == len(TRAITS.settings)
    assert not set(TRAITS.options) & set(TRAITS.settings.values())
