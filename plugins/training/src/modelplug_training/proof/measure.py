"""Measures a model as its users meet it: through its served endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from modelplug import TrainableModule
from modelplug.types import ModelType
from modelplug_training.proof import metrics
from modelplug_training.proof.served import Tokens, TooLong

Row = Mapping[str, Any]

MOST_ROWS = 500
"""Rows of a larger set that are measured on: the first, the same for base and tuned."""

LONGEST_ANSWER = 512


@frozen
class Measured:
    """
    Figures by name, and for each row what was asked, wanted and said.

    `remarks` tell which figure this engine does not allow, and why.
    """

    figures: dict[str, float]
    rows: list[dict[str, Any]]
    remarks: tuple[str, ...] = ()


def measure(
    model: TrainableModule, rows: Sequence[Row], type: ModelType, instruction: str = ""
) -> Measured:
    """
    Ask *model* the *rows*, normal ones; *instruction* stands before each query of an embedder.

    An embedder searches each query's documents among those of all rows; a reranker sorts each
    query's own; a chat model answers as it does at temperature 0, and is then made to say
    what was wanted, for the loss.
    """
    rows = rows[:MOST_ROWS]
    if type.chats:
        return _chat(model, rows)
    if "document" in rows[0]:
        return _scored(model, rows, type, instruction)
    if type == ModelType.RERANK:
        return _ranked(model, rows)
    return _searched(model, rows, instruction)


def _chat(model: TrainableModule, rows: Sequence[Row]) -> Measured:
    asked = [row["messages"][:-1] for row in rows]
    wanted = [str(row["messages"][-1]["content"]) for row in rows]
    plain = model.share()
    said = [
        str(plain(messages, temperature=0, max_tokens=LONGEST_ANSWER, **_tools(row)))
        for messages, row in zip(asked, rows, strict=True)
    ]
    told = [
        {"asked": messages[-1]["content"], "wanted": want, "said": say}
        for messages, want, say in zip(asked, wanted, said, strict=True)
    ]
    losses, remarks = _losses(Tokens.of(model), rows)
    return Measured(metrics.of_answers(wanted, said) | metrics.of_losses(losses), told, remarks)


def _losses(tokens: Tokens, rows: Sequence[Row]) -> tuple[list[float], tuple[str, ...]]:
    """(those of every token of the wanted answers, what was not measured)."""
    if tokens.dialect is None:
        return [], ("loss: not measured, as this engine does not tell that of a given answer",)
    losses: list[float] = []
    too_long = 0
    for row in rows:
        *asked, answer = row["messages"]
        # The answers of the data have no thoughts. Templates that know this variable end the
        # prompt with empty ones then, as they are before an answer that was trained.
        prompt = tokens.of_conversation(asked, row.get("tools"), enable_thinking=False)
        try:
            losses += tokens.losses(prompt, tokens.of_answer(str(answer["content"]).strip()))
        except TooLong:
            too_long += 1
    if too_long:
        told = f"loss: without {too_long} of {len(rows)} rows, longer than the engine's context"
        return losses, (told,)
    return losses, ()


def _tools(row: Row) -> dict[str, Any]:
    return {"tools": row["tools"]} if row.get("tools") else {}


def _searched(model: TrainableModule, rows: Sequence[Row], instruction: str) -> Measured:
    documents = list(dict.fromkeys(text for row in rows for text in [*row["pos"], *row["neg"]]))
    corpus = _vectors(model, documents)
    queries = _vectors(model, [instruction + row["query"] for row in rows])
    rankings, told = [], []
    for row, scores in zip(rows, queries @ corpus.T, strict=True):
        right = set(row["pos"])
        order = [documents[place] for place in np.argsort(-scores, kind="stable")]
        rankings.append([document in right for document in order])
        told.append(_found(row, order))
    return Measured(metrics.of_rankings(rankings), told)


def _ranked(model: TrainableModule, rows: Sequence[Row]) -> Measured:
    rankings, told = [], []
    for row in rows:
        # The right ones last: a model that gives all the same score is not taken for a good one.
        documents = [*row["neg"], *row["pos"]]
        places = [place for place, _ in model(row["query"], documents=documents)]
        order = [documents[place] for place in places]
        rankings.append([document in set(row["pos"]) for document in order])
        told.append(_found(row, order))
    return Measured(metrics.of_rankings(rankings), told)


def _scored(
    model: TrainableModule, rows: Sequence[Row], type: ModelType, instruction: str
) -> Measured:
    if type == ModelType.RERANK:
        said = [score_of(model, row["query"], row["document"]) for row in rows]
    else:
        first = _vectors(model, [instruction + row["query"] for row in rows])
        second = _vectors(model, [row["document"] for row in rows])
        said = [float(score) for score in np.sum(first * second, axis=1)]
    wanted = [float(row["score"]) for row in rows]
    told = [
        {"asked": f"{row['query']} / {row['document']}", "wanted": f"{w:.3f}", "said": f"{s:.3f}"}
        for row, w, s in zip(rows, wanted, said, strict=True)
    ]
    return Measured(metrics.of_scores(wanted, said), told)


def score_of(model: TrainableModule, query: str, document: str) -> float:
    """A reranker's score of one document."""
    [(_, score)] = model(query, documents=[document])
    return float(score)


def _vectors(model: TrainableModule, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[Any]]:
    """A unit vector for each text, so that a product is a cosine."""
    vectors = np.asarray(model(list(texts)), np.float32)
    lengths: np.ndarray[Any, np.dtype[Any]] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def _found(row: Row, order: Sequence[str]) -> dict[str, Any]:
    return {"asked": row["query"], "wanted": " | ".join(row["pos"]), "said": order[0]}
