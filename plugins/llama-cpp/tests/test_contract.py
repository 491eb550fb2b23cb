"""What every engine must do, through modelplug's own face."""

from __future__ import annotations

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


class TestRerank(LocalContract):
    engine = "llama_cpp"
    weights = "tiny-rerank"
    type = "rerank"
    corrupt_says = "is damaged or incomplete"
