"""A request becomes a plan; nothing is run."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from typing import Any

import pytest
from attrs import evolve

from modelplug.catalog import TrainerTraits, read_manifest
from modelplug.errors import ConfigError
from modelplug.types import ModelType, Training
from modelplug_flagembedding import plugin
from modelplug_training.testing import Trial, retrieval

TRAITS: TrainerTraits = read_manifest("modelplug_flagembedding").table("finetune", "flagembedding")


@pytest.fixture
def request_of(trial: Trial) -> Any:
    """`request_of(type, **settings)`: a request that is only planned."""

    def make(type: str = "embed", options: Any = None, **settings: Any) -> Training:
        base = trial.folder / "base"
        return trial.request(base, type, retrieval(1), options=options, **settings)

    return make


def arguments(request: Training) -> dict[str, Any]:
    plan = plugin.finetune(request)
    assert plan is not None
    asked: dict[str, Any] = json.loads(plan.files["request.json"])["arguments"]
    return asked


def test_common_names_become_the_trainers_own(request_of: Any) -> None:
    asked = arguments(request_of(lr=1e-4, epochs=2, temperature=0.1, pooling="cls"))

    assert {
        "learning_rate": 1e-4,
        "num_train_epochs": 2,
        "temperature": 0.1,
        "sentence_pooling_method": "cls",
        "seed": 7,
        "threads": 1,
    } == asked


def test_options_of_its_own_go_along(request_of: Any) -> None:
    asked = arguments(request_of(options={"max_grad_norm": 0.5}))

    assert 0.5 == asked["max_grad_norm"]


def test_the_script_runs_in_the_interpreter_that_was_chosen(request_of: Any) -> None:
    plan = plugin.finetune(evolve(request_of(), python="/opt/gpu/bin/python"))

    assert plan is not None
    assert "/opt/gpu/bin/python" == plan.argv[0]
    assert plan.argv[1].endswith("modelplug_flagembedding/train.py")
    assert "request.json" == plan.argv[2]
    assert sys.executable not in plan.argv


def test_other_types_are_left_to_other_trainers(request_of: Any) -> None:
    assert plugin.finetune(evolve(request_of(), type=ModelType.LLM)) is None


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 0.1}, {"pooling": "cls"}, {"normalize": True}, {"instruction": "find: "}],
)
def test_what_a_reranker_has_not_is_refused(request_of: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        plugin.finetune(request_of("rerank", **settings))

    (name,) = settings
    assert f"{name} is a setting of embedders and this is a reranker; leave it out" == str(
        caught.value
    )


def test_every_option_is_an_argument_of_flagembedding() -> None:
    from FlagEmbedding.finetune.embedder.encoder_only.base import (
        EncoderOnlyEmbedderDataArguments,
        EncoderOnlyEmbedderTrainingArguments,
    )

    kinds = (EncoderOnlyEmbedderDataArguments, EncoderOnlyEmbedderTrainingArguments)
    known = {each.name for kind in kinds for each in fields(kind)}
    assert set() == set(TRAITS.options) - known
    own = {"max_len", "negatives", "precision", "threads", "patience"}  # train.py takes these
    assert set() == set(TRAITS.settings.values()) - known - own
