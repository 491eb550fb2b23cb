"""The metadata inside an .onnx file: what its exporter says it is."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from modelplug.errors import NoModel

_METADATA = 14
"""Field of ModelProto that holds the metadata, one key and value each (onnx.proto)."""

_LONGEST = 2**20


def read_metadata(path: Path) -> dict[str, str]:
    """
    The metadata of an .onnx file; NoModel where it is cut off, or none.

    Read by hand, as onnx and its runtime are an engine's and need not be here; the weights
    are skipped over.
    """
    found: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            for number, size in _fields(file, path.stat().st_size):
                if number != _METADATA or size > _LONGEST:
                    file.seek(size, 1)
                    continue
                pair = BytesIO(file.read(size))
                texts = [pair.read(length).decode("utf-8") for _, length in _fields(pair, size)]
                key, value, *_ = (*texts, "", "")
                found[key] = value
    except ValueError as exc:
        msg = f"{str(path)!r} is damaged, incomplete or no ONNX file: {exc}; fetch it again"
        raise NoModel(msg) from exc
    except OSError as exc:
        msg = f"{str(path)!r} cannot be read: {exc.strerror}"
        raise NoModel(msg) from exc
    return found


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """
    (number, length) of each field with a content of a protobuf message of *size* bytes.

    Whoever asks for the next has read the content, or skipped it. ValueError where it ends
    before its fields do.
    """
    while file.tell() < size:
        tag = _varint(file)
        match tag & 7:
            case 0:
                _varint(file)
            case 1:
                file.seek(8, 1)
            case 2:
                length = _varint(file)
                if file.tell() + length > size:
                    msg = f"a field of {length} bytes begins {size - file.tell()} before its end"
                    raise ValueError(msg)
                yield tag >> 3, length
            case 5:
                file.seek(4, 1)
            case other:
                msg = f"it has a field of the unknown kind {other}"
                raise ValueError(msg)


def _varint(file: BinaryIO) -> int:
    """Seven bits a byte, the lowest first; the eighth tells that more come."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1) or b"\0"
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            break
    return value
