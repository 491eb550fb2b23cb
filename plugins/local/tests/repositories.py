"""A repository on the loopback hub, and what a download leaves of it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from weight_files import gguf_bytes

HUBS = pytest.mark.parametrize("source", ["modelscope", "huggingface"])
MODEL = "org/m"


def repository(size: int = 300_000, seed: int = 7) -> dict[str, bytes]:
    """One GGUF quantization, another, and what is beside them."""
    some = random.Random(seed)  # noqa: S311 - the same bytes each time
    return {
        "m-Q4_K_M.gguf": gguf_bytes() + some.randbytes(size),
        "m-Q8_0.gguf": gguf_bytes() + some.randbytes(size),
        "README.md": b"# m",
        "LICENSE": b"the licence",
    }


def everything(folder: Path) -> dict[str, bytes]:
    """Each file of a folder but the manifest."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "modelplug_weights.json"
    }


def chosen(files: dict[str, bytes]) -> dict[str, bytes]:
    """What is fetched of `repository`."""
    return {name: files[name] for name in ("m-Q4_K_M.gguf", "LICENSE")}
