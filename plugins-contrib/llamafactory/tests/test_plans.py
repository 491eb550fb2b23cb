"""A request becomes a plan; nothing is run."""

from __future__ import annotations

from modelplug_training.contract import ChatTrainerContract
from modelplug_training.testing import Trial, passwords


class TestLlamaFactory(ChatTrainerContract):
    trainer = "llamafactory"

    def test_values_are_put_as_llama_factory_takes_them(self, trial: Trial) -> None:
        given = self.arguments(trial, lora_r=8, lora_targets=["q_proj", "v_proj"], warmup=1.0)

        names = ("lora_rank", "lora_target", "warmup_steps")
        assert [8, "q_proj,v_proj", 0.999] == [given[name] for name in names]

    def test_no_template_is_named(self, trial: Trial) -> None:
        given = self.arguments(trial)

        assert "template" not in given
        assert str(trial.output / "tokens") == given["tokenized_path"]
        assert str(trial.folder / "base") == given["model_name_or_path"]
        assert ("sft", "lora", "float32", False, False, "none") == (
            given["stage"],
            given["finetuning_type"],
            given["infer_dtype"],
            given["bf16"],
            given["fp16"],
            given["report_to"],
        )

    def test_it_evaluates_where_there_is_something_to_evaluate_on(self, trial: Trial) -> None:
        # It wants the name of a data set there, though it is given the token ids (0.9.5).
        measured = self.arguments(trial, evaluation=passwords(1))
        alone = self.arguments(trial)

        assert ("steps", "given") == (measured["eval_strategy"], measured["eval_dataset"])
        assert ("no", None) == (alone["eval_strategy"], alone["eval_dataset"])

    def test_a_checkpoint_is_gone_on_from(self, trial: Trial) -> None:
        checkpoint = trial.output / "saved" / "checkpoint-20"

        given = self.arguments(trial, resume_from=checkpoint)

        assert str(checkpoint) == given["resume_from_checkpoint"]
