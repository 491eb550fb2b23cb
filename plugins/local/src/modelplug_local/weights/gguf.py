"""What the head of a GGUF file tells about its model; tensors are never read."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from attrs import frozen

from modelplug.errors import NoModel
from modelplug.types import ModelType

# github.com/ggml-org/ggml, docs/gguf.md: the struct format of each scalar type, by number.
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
_DEEPEST = 4
_LENGTH = struct.Struct("<Q").unpack_from

_RANK = 4
"""llama.cpp's LLAMA_POOLING_TYPE_RANK; 1 mean, 2 cls and 3 last make vectors, 0 is none."""

_ENCODERS = ("bert", "t5encoder")
"""Architectures that only make vectors: bert, nomic-bert, jina-bert-v2, modern-bert..."""


@frozen
class Head:
    """
    `pooling` as llama.cpp numbers it; None where the file names none.

    `cached` are the values, keys and values of all layers together, that are kept for a token
    of the context, None where that cannot be told; `window` how many tokens at least.
    """

    architecture: str
    context: int | None
    pooling: int | None
    cached: int | None = None
    window: int | None = None

    @property
    def type(self) -> ModelType:
        """What a model with this head does."""
        if self.pooling == _RANK:
            return ModelType.RERANK
        if self.pooling or self.architecture.endswith(_ENCODERS):
            return ModelType.EMBED
        return ModelType.LLM


def read_head(path: Path) -> Head:
    """NoModel if the file is not GGUF, is cut off within its head, or cannot be read."""
    try:
        now = path.stat()
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    return _read(path, now.st_mtime_ns, now.st_size)


# A start asks three times, and Qwen2's 300,000 tokens and merges take 60 ms to walk (2026-11).
@lru_cache(maxsize=64)
def _read(path: Path, _written: int, _size: int) -> Head:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            values = _Reader(data).values()
    except (struct.error, ValueError, UnicodeDecodeError) as exc:
        msg = f"the weights file {str(path)!r} is damaged or is not GGUF ({exc}); fetch it again"
        raise NoModel(msg) from exc
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    architecture = str(values.get("general.architecture", ""))
    own = {
        key.removeprefix(f"{architecture}."): value
        for key, value in values.items()
        if key.startswith(f"{architecture}.")
    }
    return Head(
        architecture,
        _whole(own, "context_length"),
        _whole(own, "pooling_type"),
        None if architecture.endswith(_ENCODERS) else _cached(own),
        _whole(own, "attention.sliding_window"),
    )


def _unreadable(path: Path, exc: OSError) -> NoModel:
    msg = f"the weights file {str(path)!r} cannot be read: {exc.strerror}; check its permissions"
    return NoModel(msg)


def _whole(values: Mapping[str, object], key: str) -> int | None:
    value = values.get(key)
    return value if isinstance(value, int) else None


# What a layer keeps that is no attention: Mamba and its kin, RWKV, short convolutions.
_OTHER_LAYERS = ("ssm.", "wkv.", "shortconv.", "kda.")


def _cached(values: Mapping[str, object]) -> int | None:
    """Values that are cached for a token; None rather than too many."""
    layers, heads = _whole(values, "block_count"), _whole(values, "attention.head_count")
    width = _whole(values, "embedding_length")
    if not layers or not heads or not width or any(key.startswith(_OTHER_LAYERS) for key in values):
        return None
    if rank := _whole(values, "attention.kv_lora_rank"):  # DeepSeek's: keys and values as one
        return layers * (rank + (_whole(values, "rope.dimension_count") or 0))
    if "attention.head_count_kv" in values:  # where layers differ it is an array, not read here
        kept = _whole(values, "attention.head_count_kv")
    else:
        kept = heads
    keys = _whole(values, "attention.key_length") or width // heads
    both = keys + (_whole(values, "attention.value_length") or width // heads)
    return layers * kept * both if kept else None


class _Reader:
    """Walks the key-value pairs; struct.error past the end."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def values(self) -> dict[str, object]:
        """Every scalar and string by its key; arrays are skipped."""
        magic, version = self._data[:4], self._data[4:8]
        if magic != b"GGUF":
            msg = f"it begins with {magic!r}"
            raise ValueError(msg)
        if version not in (b"\2\0\0\0", b"\3\0\0\0"):
            msg = f"its version is {int.from_bytes(version, 'little')}"
            raise ValueError(msg)
        self._at = 16  # magic, version, number of tensors
        return {self._string(): self._value(self._scalar("I")) for _ in range(self._scalar("Q"))}

    def _scalar(self, kind: str) -> int:
        # Eight booleans, integers and floats alike: only integers are made use of.
        value: int
        (value,) = struct.unpack_from(f"<{kind}", self._data, self._at)
        self._at += struct.calcsize(f"<{kind}")
        return value

    def _string(self) -> str:
        length = self._scalar("Q")
        self._at += length
        if self._at > len(self._data):
            msg = "it is cut off"
            raise ValueError(msg)
        return self._data[self._at - length : self._at].decode("utf-8", "replace")

    def _value(self, kind: int, depth: int = 0) -> object:
        if kind == _STRING:
            return self._string()
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind != _ARRAY or depth == _DEEPEST:
            msg = f"a value is of the unknown type {kind}"
            raise ValueError(msg)
        self._skip_array(depth)
        return None

    def _skip_array(self, depth: int) -> None:
        kind, count = self._scalar("I"), self._scalar("Q")
        if kind in _SCALARS:
            self._at += count * struct.calcsize(f"<{_SCALARS[kind]}")
        elif kind == _STRING:
            # A vocabulary: the one place where speed counts.
            data, at = self._data, self._at
            for _ in range(count):
                at += 8 + _LENGTH(data, at)[0]
            self._at = at
        else:
            for _ in range(count):
                self._value(kind, depth + 1)
