"""Reads tensors of a safetensors folder one at a time, as numpy arrays; no torch is needed."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from modelplug.errors import TuningError

Array: TypeAlias = NDArray[Any]

# numpy has no bfloat16: it is the upper half of a float32.
_KINDS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


@frozen
class _Place:
    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


@frozen
class Tensors:
    """The tensors of every safetensors file in one folder, by name."""

    folder: Path
    places: Mapping[str, _Place] = field(repr=False)

    @classmethod
    def of(cls, folder: Path) -> Tensors:
        """Read the files' heads; TuningError where one is damaged."""
        places: dict[str, _Place] = {}
        for file in sorted(folder.glob("*.safetensors")):
            try:
                places |= _head(file)
            except (ValueError, KeyError, struct.error) as exc:
                msg = f"{str(file)!r} is no safetensors file, or is cut off: {exc}"
                raise TuningError(msg) from exc
        return cls(folder, places)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def shape(self, name: str) -> tuple[int, ...]:
        """Rows first, as torch has it."""
        return self.places[name].shape

    def __getitem__(self, name: str) -> Array:
        """The tensor; floats of 16 bits, bfloat16 included, become 32."""
        place = self.places[name]
        dtype = np.dtype(_KINDS[place.kind])
        count = (place.end - place.start) // dtype.itemsize
        raw = np.fromfile(place.file, dtype, count, offset=place.start).reshape(place.shape)
        if place.kind == "BF16":
            return (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.astype(np.float32) if place.kind == "F16" else raw


def _head(file: Path) -> dict[str, _Place]:
    size = file.stat().st_size
    with file.open("rb") as data:
        (length,) = struct.unpack("<Q", data.read(8))
        if length > size - 8:
            msg = f"its head of {length} bytes is longer than the file"
            raise ValueError(msg)
        head: dict[str, Any] = json.loads(data.read(length))
    head.pop("__metadata__", None)
    places = {}
    for name, told in head.items():
        start, end = (8 + length + offset for offset in told["data_offsets"])
        if end > size:
            msg = f"{name} ends beyond the file"
            raise ValueError(msg)
        places[name] = _Place(file, told["dtype"], tuple(told["shape"]), start, end)
    return places


def sha256(file: Path) -> str:
    """Of a file, read piece by piece."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
