"""Reads training data as it is found: json, jsonl, csv or parquet, one file or a folder of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import frozen

from modelplug.errors import BadData


@frozen
class Row:
    """One example as its file has it; `place` is where, for people: `train.jsonl:3`."""

    place: str
    value: Any


def files_of(path: Path) -> list[Path]:
    """*path*, or the data files right in that folder; BadData where there are none."""
    if path.is_file():
        if path.suffix.lower() not in READERS:
            msg = f"{str(path)!r} is none of {', '.join(READERS)}; give it the suffix of what it is"
            raise BadData(msg)
        return [path]
    if not path.is_dir():
        msg = f"there is no training data at {str(path)!r}; check the path"
        raise BadData(msg)
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in READERS)
    if not found:
        msg = f"the folder {str(path)!r} holds no {', '.join(READERS)} file; check the path"
        raise BadData(msg)
    return found


def read(file: Path) -> Iterator[Row]:
    """Every row of *file*; BadData tells the line that cannot be read."""
    try:
        yield from READERS[file.suffix.lower()](file)
    except UnicodeDecodeError as exc:
        msg = f"{file.name}: it is not UTF-8: {exc.reason} at byte {exc.start}; convert it"
        raise BadData(msg) from exc
    except OSError as exc:
        msg = f"{str(file)!r} cannot be read: {exc.strerror}"
        raise BadData(msg) from exc


def _jsonl(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield Row(f"{file.name}:{number}", _parsed(file, number, line))


def _parsed(file: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as exc:
        msg = f"{file.name}:{number}: not JSON: {exc.msg} at column {exc.colno}"
        raise BadData(msg) from exc


def _json(file: Path) -> Iterator[Row]:
    text = file.read_text(encoding="utf-8-sig")
    try:
        data = json.loads(text)
    except json.JSONDecodeError as exc:
        if exc.msg == "Extra data" and text.lstrip().startswith("{"):
            # JSON lines under the name of JSON, which is common: they are one value each.
            yield from _jsonl(file)
            return
        msg = f"{file.name}:{exc.lineno}: not JSON: {exc.msg} at column {exc.colno}"
        raise BadData(msg) from exc
    if isinstance(data, dict):  # JSON lines of a single line
        data = [data]
    if not isinstance(data, list):
        msg = f"{file.name}: a list of objects is needed, not {type(data).__name__}"
        raise BadData(msg)
    for number, value in enumerate(data, 1):
        yield Row(f"{file.name}, item {number}", value)


def _csv(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, restkey="", strict=True)
        try:
            for record in reader:
                place = f"{file.name}:{reader.line_num}"
                if "" in record or None in record.values():
                    columns = len(reader.fieldnames or ())
                    msg = f"{place}: it has not the {columns} fields that the first line names"
                    raise BadData(msg)
                yield Row(place, {name: _cell(value) for name, value in record.items()})
        except csv.Error as exc:
            msg = f"{file.name}:{reader.line_num}: not CSV: {exc}"
            raise BadData(msg) from exc


def _cell(text: str) -> Any:
    """A cell's text; a list or object where it holds one as JSON, as `["a", "b"]`."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _parquet(file: Path) -> Iterator[Row]:
    if find_spec("pyarrow") is None:
        msg = f"{file.name} needs pyarrow; pip install 'modelplug-training[parquet]'"
        raise BadData(msg)
    from pyarrow import ArrowInvalid, parquet

    try:
        with parquet.ParquetFile(file) as table:
            number = 0
            for batch in table.iter_batches():
                for value in batch.to_pylist():
                    number += 1
                    # Columns that a row does not use are null in it.
                    yield Row(f"{file.name}, row {number}", _without_nulls(value))
    except ArrowInvalid as exc:
        msg = f"{file.name}: not parquet: {exc}"
        raise BadData(msg) from exc


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if each is not None}


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
