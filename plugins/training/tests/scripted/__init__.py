"""A trainer for the tests of what goes wrong: it takes no torch, and fails as it is told to."""

from __future__ import annotations

import json
from pathlib import Path

from modelplug import hookimpl
from modelplug.types import Training, TrainingPlan

RUNNER = str(Path(__file__).with_name("train.py"))


class Scripted:
    """Adds a little noise to the weights, in as many steps as it is asked for."""

    @hookimpl
    def finetune(self, request: Training) -> TrainingPlan | None:
        if request.options.get("fault") == "cannot":
            return None
        return TrainingPlan(
            argv=[request.python, RUNNER, "request.json"],
            files={"request.json": json.dumps(request.to_dict())},
        )


plugin = Scripted()
