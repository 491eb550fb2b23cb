"""
Checks training data and writes it in its normal form, before any memory is taken.

One pass, a row at a time: what is kept of each row is a hash of 16 bytes.
"""

# ruff: noqa: EM101, EM102 - a Fault is given a field and what is wrong with it

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen

from modelplug.errors import BadData
from modelplug.types import ModelType
from modelplug_training.data.forms import Fault, Format, format_of
from modelplug_training.data.rows import files_of, read

SHOWN = 10
"""Faults that an error lists; the others are counted."""

_RANKS = "an embedder or reranker learns from query, pos and neg, or from scored pairs"
_CHATS = "a chat model learns from conversations"


@frozen
class Data:
    """
    Checked data at `path`: `rows` JSON lines of `form`.

    `sha256` is of the file's bytes, `inputs` has a hash of each row's question, `sources` the
    files that it comes from. `remarks` is what the user should know of it, in words.
    """

    path: Path
    form: str
    rows: int
    sha256: str
    inputs: frozenset[bytes] = field(repr=False)
    sources: Sequence[str]
    remarks: Sequence[str]

    def at(self, path: Path) -> Data:
        """The same, moved to *path*."""
        return evolve(self, path=path)

    def noting(self, remarks: Sequence[str]) -> Data:
        """The same with further remarks."""
        return evolve(self, remarks=[*self.remarks, *remarks])

    def to_dict(self) -> dict[str, Any]:
        """What the manifest tells of it."""
        return {
            "form": self.form,
            "rows": self.rows,
            "sha256": self.sha256,
            "files": list(self.sources),
            "remarks": list(self.remarks),
        }


@define
class _Pass:
    """What is gathered on the way through the files."""

    faults: list[str] = field(factory=list)
    fault_count: int = 0
    format: Format | None = None
    ignored: set[str] = field(factory=set)
    inputs: set[bytes] = field(factory=set)
    rows: int = 0
    again: int = 0
    without_negatives: int = 0
    too_long: int = 0

    def fault(self, text: str) -> None:
        self.fault_count += 1
        if self.fault_count <= SHOWN:
            self.faults.append(text)


def prepare(
    path: Path,
    type: ModelType,
    out: Path,
    *,
    forms: Collection[str],
    max_len: int | None = None,
    length: Callable[[str], int] | None = None,
) -> Data:
    """
    Read *path*, check each row for a model of *type*, and write the normal form to *out*.

    *length* counts the tokens of a text, for the share of rows beyond *max_len*. BadData lists
    the faults; nothing is left at *out* then.
    """
    files = files_of(path)
    told = _Pass()
    digest = hashlib.sha256()
    with out.open("wb") as file:
        for source in files:
            for row in read(source):
                try:
                    normal = _normal(row.value, type, forms, told)
                except Fault as fault:
                    told.fault(f"{row.place}: {fault}")
                    continue
                line = json.dumps(normal, ensure_ascii=False).encode() + b"\n"
                digest.update(line)
                file.write(line)
                told.rows += 1
                if length and max_len:
                    told.too_long += _longest(normal, length) > max_len
    form = told.format.form if told.format else ""
    if told.fault_count or not told.rows:
        out.unlink()
        raise BadData(_complaint(path, told))
    return Data(
        path=out,
        form=form,
        rows=told.rows,
        sha256=digest.hexdigest(),
        inputs=frozenset(told.inputs),
        sources=[str(source) for source in files],
        remarks=_remarks(told, type, max_len),
    )


def _normal(value: Any, type: ModelType, forms: Collection[str], told: _Pass) -> dict[str, Any]:
    format_ = format_of(value)
    if told.format is None:
        told.format = format_
    if format_.form != told.format.form:
        raise Fault("", f"it is {format_.name}, and the rows before are {told.format.name}")
    if (format_.form == "messages") != type.chats:
        raise Fault("", f"it is {format_.name}; {_CHATS if type.chats else _RANKS}")
    normal = format_.convert(value)
    if format_.form not in forms:
        raise Fault("", f"this trainer reads {', '.join(forms)}, and not {format_.form}")
    told.ignored |= value.keys() - format_.keys
    if type == ModelType.RERANK and format_.form == "triples" and not normal["neg"]:
        raise Fault("neg", "a reranker learns nothing without negatives")
    told.without_negatives += format_.form == "triples" and not normal["neg"]
    question = _hash(_question(normal))
    told.again += question in told.inputs
    told.inputs.add(question)
    return normal


def _question(row: dict[str, Any]) -> Any:
    """What is asked in a row, without its answer."""
    if "messages" in row:
        return row["messages"][:-1]
    return [row["query"], row["document"]] if "document" in row else row["query"]


def _hash(value: Any) -> bytes:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).digest()


def _longest(row: dict[str, Any], length: Callable[[str], int]) -> int:
    """Tokens of the longest input that a trainer makes of a row."""
    if "messages" in row:
        return sum(length(message["content"]) for message in row["messages"])
    texts = [row["query"], *row.get("pos", ()), *row.get("neg", ()), row.get("document", "")]
    return max(map(length, texts))


def _complaint(path: Path, told: _Pass) -> str:
    if not told.fault_count:
        return f"{str(path)!r} holds no row at all"
    count = f"{told.fault_count} of {told.fault_count + told.rows} rows cannot be used"
    more = told.fault_count - len(told.faults)
    listed = [*told.faults, f"and {more} more"] if more else told.faults
    lines = "\n".join(f"    {line}" for line in listed)
    return f"{str(path)!r}: {count}; mend them or take them out\n{lines}"


def _remarks(told: _Pass, type: ModelType, max_len: int | None) -> list[str]:
    remarks = []
    if told.ignored:
        remarks.append(f"fields that are not used: {', '.join(sorted(map(str, told.ignored)))}")
    if told.again:
        remarks.append(f"{told.again} of {told.rows} rows ask what an earlier one asks")
    if told.without_negatives:
        remarks.append(
            f"{told.without_negatives} of {told.rows} rows have no negatives: the other rows' "
            f"positives serve for them"
        )
    if told.too_long:
        what = "conversations" if type.chats else "rows"
        remarks.append(
            f"{told.too_long} of {told.rows} {what} are longer than max_len={max_len} tokens and "
            f"will be cut"
        )
    return remarks


def check_apart(train: Data, evaluation: Data) -> list[str]:
    """Remarks on questions that are in both; BadData where evaluation has no others."""
    both = len(train.inputs & evaluation.inputs)
    if both == len(evaluation.inputs):
        msg = (
            "every question of the evalset is in the trainset too, so it would only show what was "
            "learnt by heart; give rows that training does not see, or no evalset"
        )
        raise BadData(msg)
    if not both:
        return []
    return [f"{both} of {len(evaluation.inputs)} questions of the evalset are in the trainset too"]


def rows_of(data: Path) -> list[dict[str, Any]]:
    """The rows of a file that `prepare` wrote."""
    with data.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
