"""What every engine must do, through modelplug's own face."""

from __future__ import annotations

from typing import Any

import pytest

from modelplug.testing import LocalContract


class TestEmbed(LocalContract):
    engine = "sentence_transformers"
    weights = "tiny-embed"
    type = "embed"
    corrupt_says = "damaged or incomplete"


class Lean(LocalContract):
    # Each start costs 8 s of CPU for torch and transformers, and it is the same server:
    # TestEmbed starts it again and again.
    test_stopping_twice_is_stopping_once = None
    test_a_stopped_model_can_be_started_again = None


class TestRerank(Lean):
    engine = "sentence_transformers"
    weights = "tiny-rerank"
    type = "rerank"
    corrupt_says = "damaged or incomplete"


class TestCrossModalEmbed(Lean):
    engine = "sentence_transformers"
    type = "cross_modal_embed"
    corrupt_says = "damaged or incomplete"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def made(cls, folders: Any) -> None:
        """No such weights are shipped: they are made."""
        cls.weights = str(folders.clip)
