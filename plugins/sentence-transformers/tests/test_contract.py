"""What every engine must do, through modelplug's own face; other types: test_engine.py."""

from __future__ import annotations

from modelplug.testing import LocalContract


class TestEmbed(LocalContract):
    engine = "sentence_transformers"
    weights = "tiny-embed"
    type = "embed"
    corrupt_says = "damaged or incomplete"
