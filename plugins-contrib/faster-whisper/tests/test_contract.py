"""What every engine must do, through modelplug's own face."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelplug.testing import LocalContract


class TestTranscribe(LocalContract):
    engine = "faster_whisper"
    type = "stt"
    corrupt_says = "the weights are damaged or incomplete"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def made(cls, weights: Path) -> None:
        """Nothing is downloaded and nothing shipped: the weights are made."""
        cls.weights = str(weights)
