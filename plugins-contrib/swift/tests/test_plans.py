"""A request becomes a plan; nothing is run."""

from __future__ import annotations

from modelplug_training.contract import ChatTrainerContract
from modelplug_training.testing import Trial


class TestSwift(ChatTrainerContract):
    trainer = "swift"

    def test_values_are_put_as_ms_swift_takes_them(self, trial: Trial) -> None:
        given = self.arguments(trial, lora_r=8, lora_targets="all", warmup=1.0)

        names = ("lora_rank", "target_modules", "warmup_steps")
        assert [8, ["all-linear"], 0.999] == [given[name] for name in names]

    def test_it_is_told_where_it_works_and_not_to_be_clever(self, trial: Trial) -> None:
        given = self.arguments(trial)

        assert str(trial.folder / "base") == given["model"]
        assert str(trial.output / "saved") == given["output_dir"]
        assert ("lora", "dummy", 0, False, "none", "float32") == (
            given["tuner_type"],
            given["template"],
            given["split_dataset_ratio"],
            given["add_version"],
            given["report_to"],
            given["torch_dtype"],
        )

    def test_a_checkpoint_is_gone_on_from(self, trial: Trial) -> None:
        checkpoint = trial.output / "saved" / "checkpoint-20"

        given = self.arguments(trial, resume_from=checkpoint)

        assert str(checkpoint) == given["resume_from_checkpoint"]
