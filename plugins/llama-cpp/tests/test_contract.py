"""What every engine must do, through modelplug's own face."""

from __future__ import annotations

from typing import Any

import pytest

from modelplug.errors import ContextTooLong
from modelplug.testing import LocalContract


class TestChat(LocalContract):
    engine = "llama_cpp"
    weights = "tiny"
    corrupt_says = "is damaged or incomplete"


class TestEmbed(LocalContract):
    engine = "llama_cpp"
    weights = "tiny-embed"
    type = "embed"
    corrupt_says = "is damaged or incomplete"

    def test_a_text_that_is_too_long_is_refused_and_not_cut(self, running: Any) -> None:
        with pytest.raises(ContextTooLong) as caught:
            running(["short", "kite " * 1000])

        assert str(caught.value).endswith("; raise context, or divide the text")


class TestRerank(LocalContract):
    engine = "llama_cpp"
    weights = "tiny-rerank"
    type = "rerank"
    corrupt_says = "is damaged or incomplete"

    def test_a_document_that_is_too_long_is_refused_and_not_cut(self, running: Any) -> None:
        with pytest.raises(ContextTooLong):
            running("What flies?", documents=["A kite.", "kite " * 1000])
