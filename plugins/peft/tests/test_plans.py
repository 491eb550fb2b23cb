"""A request becomes a plan; nothing is run."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from typing import Any

import pytest
from attrs import evolve

from modelplug.catalog import TrainerTraits, read_manifest
from modelplug.types import ModelType, Training
from modelplug_peft import plugin
from modelplug_training.testing import Trial, passwords

TRAITS: TrainerTraits = read_manifest("modelplug_peft").table("finetune", "peft")


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
    asked = arguments(request_of(lr=1e-4, lora_r=8, lora_targets=["q_proj"]))

    assert {
        "learning_rate": 1e-4,
        "r": 8,
        "target_modules": ["q_proj"],
        "seed": 7,
        "threads": 1,
    } == asked


def test_what_is_of_an_adapter_is_left_out_where_all_weights_are_trained(request_of: Any) -> None:
    asked = arguments(request_of("full", lr=1e-4, lora_r=8, lora_alpha=16.0))

    assert {"learning_rate": 1e-4, "seed": 7, "threads": 1} == asked


def test_options_of_its_own_go_along(request_of: Any) -> None:
    asked = arguments(request_of(options={"max_grad_norm": 0.5}))

    assert 0.5 == asked["max_grad_norm"]


def test_the_script_runs_in_the_interpreter_that_was_chosen(request_of: Any) -> None:
    plan = plugin.finetune(evolve(request_of(), python="/opt/gpu/bin/python"))

    assert plan is not None
    assert "/opt/gpu/bin/python" == plan.argv[0]
    assert plan.argv[1].endswith("modelplug_peft/train.py")
    assert "request.json" == plan.argv[2]
    assert sys.executable not in plan.argv


def test_other_types_are_left_to_other_trainers(request_of: Any) -> None:
    assert plugin.finetune(evolve(request_of(), type=ModelType.EMBED)) is None


def test_every_option_is_an_argument_of_trl_or_peft() -> None:
    from peft import LoraConfig
    from trl import SFTConfig

    known = {each.name for kind in (SFTConfig, LoraConfig) for each in fields(kind)}
    assert set() == set(TRAITS.options) - known
    own = {"precision", "threads", "patience"}  # train.py takes these
    assert set() == set(TRAITS.settings.values()) - known - own
