"""What every engine must do, through modelplug's own face."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from modelplug.testing import LocalContract


class TestDraw(LocalContract):
    engine = "diffusers"
    type = "text2image"
    options: ClassVar[dict[str, Any]] = {"steps": 2, "threads": 1}
    corrupt_says = "the weights are damaged or incomplete"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def made(cls, weights: Path) -> None:
        """Nothing is downloaded and nothing shipped: the weights are made."""
        cls.weights = str(weights)

    # Each start costs 8 s of CPU for torch and transformers: these two are left to the other
    # engines on the same server (faster-whisper, sherpa-onnx).
    test_stopping_twice_is_stopping_once = None
    test_a_stopped_model_can_be_started_again = None
