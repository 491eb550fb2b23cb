"""A request becomes a plan; nothing is run."""

from __future__ import annotations

from dataclasses import fields

from FlagEmbedding.finetune.embedder.encoder_only.base import (
    EncoderOnlyEmbedderDataArguments,
    EncoderOnlyEmbedderTrainingArguments,
)

from modelplug_training.contract import RetrievalTrainerContract
from modelplug_training.testing import Trial


class TestFlagEmbedding(RetrievalTrainerContract):
    trainer = "flagembedding"

    def test_nothing_is_added_to_what_was_asked_for(self, trial: Trial) -> None:
        given = self.arguments(trial, temperature=0.1, pooling="cls")

        expected = {"temperature": 0.1, "sentence_pooling_method": "cls", "seed": 7, "threads": 1}
        assert expected == given

    def test_every_option_is_an_argument_of_flagembedding(self) -> None:
        kinds = (EncoderOnlyEmbedderDataArguments, EncoderOnlyEmbedderTrainingArguments)
        known = {each.name for kind in kinds for each in fields(kind)}
        assert set(self.traits.options) <= known
        own = {"max_len", "negatives", "precision", "threads", "patience"}  # train.py takes these
        assert set(self.traits.settings.values()) <= known | own
