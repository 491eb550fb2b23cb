"""What the plan of every trainer must be, as tests to inherit. Needs pytest."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve

from modelplug.catalog import TrainerTraits
from modelplug.errors import ConfigError
from modelplug.plugins import installed
from modelplug.types import ModelType, Settings, Training, TrainingPlan
from modelplug.types.training import SETTINGS
from modelplug_training.plans import EMBEDDER_ONLY, LORA_ONLY
from modelplug_training.testing import Trial, passwords, retrieval

PYTHON = "/opt/gpu/bin/python"


class TrainerContract:
    """
    Of a trainer whose plan is `modelplug_training.plans.script_plan`'s; nothing is run.

    A subclass names the `trainer`.
    """

    trainer: ClassVar[str]

    @pytest.fixture
    def trial(self, tmp_path: Path) -> Trial:
        """A folder for one request."""
        return Trial(tmp_path)

    @property
    def traits(self) -> TrainerTraits:
        """What its manifest says."""
        return installed().trainer(self.trainer)

    def request(self, trial: Trial, **changes: Any) -> Training:
        """A request of the first type and method that it trains, with settings and the like."""
        type = changes.pop("type", self.traits.types[0])
        chats = ModelType(type).chats
        rows, form = (passwords(1), "messages") if chats else (retrieval(1), "triples")
        given = {"form": form, "method": self.traits.methods[0], **changes}
        request = trial.request(trial.folder / "base", type, rows, **given)
        # As finetune_method: what the manifest does not name is not passed on.
        asked = request.settings.given().items()
        kept = {name: value for name, value in asked if name in self.traits.settings}
        return evolve(request, settings=Settings(**kept))

    def plan(self, request: Training) -> TrainingPlan:
        """The plan for *request*."""
        made = installed().finetune(self.trainer, request)
        assert made is not None
        return made

    def arguments(self, trial: Trial, **changes: Any) -> dict[str, Any]:
        """What the trainer is given for a request with *changes*, by its own names."""
        plan = self.plan(self.request(trial, **changes))
        given: dict[str, Any] = json.loads(plan.files["request.json"])["arguments"]
        return given

    def test_its_script_runs_in_the_interpreter_that_was_chosen(self, trial: Trial) -> None:
        plan = self.plan(evolve(self.request(trial), python=PYTHON))

        python, script, request = plan.argv
        assert (PYTHON, "request.json") == (python, request)
        assert Path(script).is_file()
        assert sys.executable not in plan.argv

    def test_other_types_are_left_to_other_trainers(self, trial: Trial) -> None:
        request = self.request(trial)
        for type in set(ModelType) - {ModelType(each) for each in self.traits.types}:
            assert installed().finetune(self.trainer, evolve(request, type=type)) is None

    def test_a_common_name_becomes_the_trainers_own(self, trial: Trial) -> None:
        given = self.arguments(trial, lr=1e-4, epochs=2)

        names = self.traits.settings
        assert (1e-4, 2) == (given[names["lr"]], given[names["epochs"]])

    def test_options_of_its_own_go_along(self, trial: Trial) -> None:
        option = self.traits.options[0]

        assert (
            "as it was given" == self.arguments(trial, options={option: "as it was given"})[option]
        )

    def test_every_setting_is_a_common_one_and_has_one_name(self) -> None:
        settings = self.traits.settings

        assert set(self.traits.defaults) <= set(settings) <= set(SETTINGS)
        assert len(set(settings.values())) == len(settings)
        assert not set(self.traits.options) & set(settings.values())


class ChatTrainerContract(TrainerContract):
    """Of a trainer of chat models, by LoRA or all weights."""

    def test_what_is_of_an_adapter_is_left_out_where_all_weights_are_trained(
        self, trial: Trial
    ) -> None:
        of_adapters = {"lora_r": 8, "lora_alpha": 16.0, "lora_targets": "all"}
        names = {self.traits.settings[each] for each in LORA_ONLY if each in self.traits.settings}

        assert names & set(self.arguments(trial, method="lora", **of_adapters))
        assert not names & set(self.arguments(trial, method="full", **of_adapters))


class RetrievalTrainerContract(TrainerContract):
    """Of a trainer of embedders and rerankers."""

    def test_what_a_reranker_has_not_is_refused(self, trial: Trial) -> None:
        values = dict(zip(EMBEDDER_ONLY, (0.1, "cls", True, "find: "), strict=True))
        for name, value in values.items():
            with pytest.raises(ConfigError) as caught:
                self.arguments(trial, type="rerank", **{name: value})

            assert f"{name} is a setting of embedders and this is a reranker; leave it out" == str(
                caught.value
            )
