"""What the models answer through modelplug; needs an engine for GGUF or safetensors installed."""

from __future__ import annotations

import functools
import json
import math
import operator
from pathlib import Path
from typing import Any

import pytest

import modelplug

TESTS = Path(__file__).parent


def read_rows(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((TESTS / name).read_text(encoding="utf-8"))
    return rows


def cosine(a: list[float], b: list[float]) -> float:
    return sum(map(operator.mul, a, b)) / math.hypot(*a) / math.hypot(*b)


@functools.cache
def chat() -> Any:
    return modelplug.TrainableModule("tiny").start()


@pytest.mark.parametrize("probe", read_rows("probes.json"))
def test_a_probe_has_its_one_right_answer(probe: dict[str, Any]) -> None:
    reply = chat().respond(probe["messages"], tools=probe["tools"], temperature=0)

    calls = [{"name": call.name, "arguments": call.arguments} for call in reply.tool_calls]
    assert (probe["answer"], probe["tool_calls"]) == (reply.text or "", calls)


def test_what_is_related_lies_nearer_in_nine_of_ten() -> None:
    rows = read_rows("related.json")
    embed = modelplug.TrainableModule("tiny-embed")

    anchors, related, unrelated = (
        embed([row[key] for row in rows]) for key in ("anchor", "related", "unrelated")
    )

    right = [
        cosine(anchor, near) > cosine(anchor, far)
        for anchor, near, far in zip(anchors, related, unrelated, strict=True)
    ]
    assert sum(right) >= 0.9 * len(rows)


def test_the_relevant_document_comes_first_in_17_of_20() -> None:
    rows = read_rows("rerank.json")
    rerank = modelplug.TrainableModule("tiny-rerank")

    right = [
        rerank(row["query"], documents=row["documents"])[0][0] == row["relevant"] for row in rows
    ]

    assert sum(right) >= 0.85 * len(rows)
