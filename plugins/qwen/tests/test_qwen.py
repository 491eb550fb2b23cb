"""The contract of every online provider, for Qwen."""

from __future__ import annotations

from pathlib import Path

from modelplug.testing import OnlineContract


class TestQwen(OnlineContract):
    plugin = "qwen"
    wire = "own"
    replies = Path(__file__).parent / "replies"
    base_path = "/compatible-mode/v1"
