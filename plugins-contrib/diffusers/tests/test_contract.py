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
