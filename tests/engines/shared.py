"""What the tests here have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from modelplug.catalog import folder_of

Start = Callable[..., Any]
"""`start(weights, engine, **options)`: a model that is served, the same one each time."""

VLLM: dict[str, Any] = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 16}
"""32-bit floats, as the weights were made; compiling costs more than it saves on so small ones."""

TINY = folder_of("modelplug_tiny")
assert TINY is not None
ROWS = TINY.parents[1] / "tests"


def rows(name: str) -> list[dict[str, Any]]:
    """What the tiny models are asked, with the right answers."""
    found: list[dict[str, Any]] = json.loads((ROWS / name).read_text(encoding="utf-8"))
    return found
