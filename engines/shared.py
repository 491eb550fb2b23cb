"""What the tests here have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
"""`start(weights, engine, **options)`: a model that is served, the same one each time."""

VLLM: dict[str, Any] = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 16}
"""32-bit floats, as the weights were made; compiling costs more than it saves on so small ones."""
