"""What every engine must do, through modelplug's own face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelplug.testing import LocalContract


class TestEmbed(LocalContract):
    engine = "sentence_transformers"
    weights = "tiny-embed"
    type = "embed"
    corrupt_says = "damaged or incomplete"


class TestRerank(LocalContract):
    engine = "sentence_transformers"
    weights = "tiny-rerank"
    type = "rerank"
    corrupt_says = "damaged or incomplete"


class TestCrossModal(LocalContract):
    engine = "sentence_transformers"
    type = "cross_modal_embed"
    corrupt_says = "damaged or incomplete"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def small_clip(cls, folders: Any) -> Path:
        """The weights, made here."""
        cls.weights = str(folders.clip)
        return folders.clip
