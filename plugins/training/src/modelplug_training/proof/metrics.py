"""Figures of retrieval and of chat, from what a model answered; 1 is best, of loss 0."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Ranked = Sequence[bool]
"""Whether each document is a right one, the best ranked first."""

CUT = 10


def of_rankings(rankings: Sequence[Ranked]) -> dict[str, float]:
    """accuracy@1, nDCG@10, MRR@10 and MAP, each the mean over all queries."""
    figures = {
        "accuracy@1": [float(ranked[0]) for ranked in rankings],
        f"ndcg@{CUT}": [
            _gain(ranked[:CUT]) / _gain(sorted(ranked)[::-1][:CUT]) for ranked in rankings
        ],
        f"mrr@{CUT}": [_reciprocal(ranked[:CUT]) for ranked in rankings],
        "map": [_average_precision(ranked) for ranked in rankings],
    }
    return {name: sum(values) / len(values) for name, values in figures.items()}


def _gain(ranked: Ranked) -> float:
    return sum(right / math.log2(place + 2) for place, right in enumerate(ranked))


def _reciprocal(ranked: Ranked) -> float:
    return next((1 / place for place, right in enumerate(ranked, 1) if right), 0.0)


def _average_precision(ranked: Ranked) -> float:
    found, total = 0, 0.0
    for place, right in enumerate(ranked, 1):
        if right:
            found += 1
            total += found / place
    return total / found


def of_answers(wanted: Sequence[str], said: Sequence[str]) -> dict[str, float]:
    """The share of answers that are what was wanted, but for blanks around them."""
    right = sum(a.strip() == b.strip() for a, b in zip(wanted, said, strict=True))
    return {"exact match": right / len(wanted)}


def of_losses(losses: Sequence[float]) -> dict[str, float]:
    """The mean over all tokens: what a trainer calls loss. Nothing where there is no token."""
    return {"loss": sum(losses) / len(losses)} if losses else {}


def of_scores(wanted: Sequence[float], said: Sequence[float]) -> dict[str, float]:
    """Spearman's rank correlation of scores with those that were wanted."""
    return {"spearman": _pearson(_ranks(wanted), _ranks(said))}


def _ranks(values: Sequence[float]) -> list[float]:
    """Places from the smallest on; equal values share the mean of theirs."""
    ordered = sorted(values)
    first: Mapping[float, int] = {value: place for place, value in reversed([*enumerate(ordered)])}
    last: Mapping[float, int] = {value: place for place, value in enumerate(ordered)}
    return [(first[value] + last[value]) / 2 for value in values]


def _pearson(a: Sequence[float], b: Sequence[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    together = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))
    return together / spread if spread else 0.0
