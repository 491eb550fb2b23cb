"""A request becomes a plan; nothing is run."""

from __future__ import annotations

from dataclasses import fields

from peft import LoraConfig
from trl import SFTConfig

from modelplug_training.contract import ChatTrainerContract
from modelplug_training.testing import Trial


class TestPeft(ChatTrainerContract):
    trainer = "peft"

    def test_nothing_is_added_to_what_was_asked_for(self, trial: Trial) -> None:
        given = self.arguments(trial, lora_r=8, lora_targets=["q_proj"])

        assert {"r": 8, "target_modules": ["q_proj"], "seed": 7, "threads": 1} == given

    def test_every_option_is_an_argument_of_trl_or_peft(self) -> None:
        known = {each.name for kind in (SFTConfig, LoraConfig) for each in fields(kind)}
        assert set(self.traits.options) <= known
        own = {"precision", "threads", "patience"}  # train.py takes these
        assert set(self.traits.settings.values()) <= known | own
