"""A request becomes a plan; nothing is run."""

from __future__ import annotations

from dataclasses import fields

from sentence_transformers import (
    CrossEncoderTrainingArguments,
    SentenceTransformerTrainingArguments,
)

from modelplug_training.contract import RetrievalTrainerContract
from modelplug_training.testing import Trial


class TestSentenceTransformers(RetrievalTrainerContract):
    trainer = "sentence_transformers"

    def test_nothing_is_added_to_what_was_asked_for(self, trial: Trial) -> None:
        given = self.arguments(trial, temperature=0.1, pooling="cls")

        assert {"temperature": 0.1, "pooling_mode": "cls", "seed": 7, "threads": 1} == given

    def test_every_option_is_an_argument_of_both_trainers(self) -> None:
        for kind in (CrossEncoderTrainingArguments, SentenceTransformerTrainingArguments):
            assert set(self.traits.options) <= {each.name for each in fields(kind)}
