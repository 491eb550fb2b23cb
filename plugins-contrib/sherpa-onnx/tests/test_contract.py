"""What every engine must do, through modelplug's own face."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelplug.testing import LocalContract


class TestSpeak(LocalContract):
    engine = "sherpa_onnx"
    type = "tts"
    corrupt_says = "the weights are damaged or incomplete"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def made(cls, weights: Path) -> None:
        """Nothing is downloaded and nothing shipped: the weights are made."""
        cls.weights = str(weights)

    def corrupt(self, folder: Path) -> Path:
        """Damaged inside: what is cut off is noticed before anything starts."""
        copy = folder / "damaged"
        shutil.copytree(self.weights, copy)
        model = copy / "model.onnx"
        content = model.read_bytes()
        # The graph begins after the first field; its length and the metadata at the end stay.
        model.write_bytes(content[:20] + b"\xff" * 200 + content[220:])
        return copy
