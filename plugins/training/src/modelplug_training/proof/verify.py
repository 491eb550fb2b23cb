"""
Compares what is served with what was trained.

A trainer tells, out of its own memory, the ids of the first inputs that the model got and what
the trained model answered to some probes. The engine is asked the same. Whatever lies between
the two (a chat template, a system text that nobody asked for, pooling, a merge that went
wrong, the base's weights) shows as a difference in one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import Any

import numpy as np

from modelplug import TrainableModule
from modelplug.openai_wire.thinking import split
from modelplug.types import Check, ModelType, Verdict
from modelplug_training.proof.measure import score_of
from modelplug_training.proof.metrics import of_scores
from modelplug_training.proof.served import Tokens

Fact = Mapping[str, Any]

LEAST_COSINE = 0.99
"""Of a served vector with the one in training; rounding to 8 bits costs 0.001 (2026-11)."""

LEAST_RANK = 0.9
"""Spearman's correlation of served scores with those in training."""

LEAST_SHARED = 0.5
"""How much of an answer, on average, must begin as in training: rounding may turn a close
choice, and everything after it; another model shares next to nothing."""

REPLY_TOKENS = 32


def verify(model: TrainableModule, type: ModelType, proof: Fact) -> Verdict:
    """
    Every check that fits a model of *type*.

    *proof* is the trainer's: samples, probes, pooling, normalize, instruction.
    """
    tokens = Tokens.of(model)
    checks = [_tokens(tokens, type, proof["samples"])]
    if type.chats:
        checks.append(_replies(model, proof["probes"]))
    elif type == ModelType.EMBED:
        checks += [_vectors(model, proof["probes"]), _normalized(model, proof)]
    else:
        checks.append(_scores(model, proof["probes"]))
    return Verdict(checks)


def _tokens(tokens: Tokens, type: ModelType, samples: Sequence[Fact]) -> Check:
    name = "the engine makes the tokens that were trained on"
    if type == ModelType.RERANK:
        # No engine shows how it puts query and document together; the scores tell.
        return Check(name, True, "not shown for pairs; see the scores")
    if not samples:
        return Check(name, False, "the trainer told no sample of what it trained on")
    if tokens.dialect is None:
        if type.chats:
            return Check(name, False, "this engine does not show its tokens, so nothing proves it")
        return Check(name, True, "not shown by this engine; see the vectors")
    compare = _conversation if type.chats else _text
    for sample in samples:
        if difference := compare(tokens, sample):
            return Check(name, False, difference)
    return Check(name, True, f"{len(samples)} of {len(samples)} samples, id by id")


def _conversation(tokens: Tokens, sample: Fact) -> str:
    """What differs, in words; empty where nothing does."""
    messages, ids, place = sample["messages"], list(sample["ids"]), sample["answer"]
    served = tokens.of_conversation(messages[:-1], sample.get("tools"))
    if served != ids[:place]:
        return _difference(tokens, ids[:place], served)
    said, wanted = tokens.text_of(ids[place:]), str(messages[-1]["content"]).strip()
    # Templates of models that think put empty thoughts before an answer that has none.
    _, answer = split(said)
    if not answer.lstrip().startswith(wanted):
        return (
            f"the answer that was trained is {said[:60]!r}, and in the data it is {wanted[:60]!r}"
        )
    return ""


def _difference(tokens: Tokens, trained: list[int], served: list[int]) -> str:
    same = len(commonprefix([trained, served]))
    shown = [
        repr(tokens.text_of(ids[same:])[:80]) if ids[same:] else "nothing more"
        for ids in (trained, served)
    ]
    return (
        f"after {same} ids that are the same, {shown[0]} was trained and {shown[1]} is served: "
        f"the chat template or the system text is not that of the training"
    )


def _text(tokens: Tokens, sample: Fact) -> str:
    served, ids = tokens.of_text(sample["text"]), list(sample["ids"])
    # An input that was cut in training begins the same.
    cut = served[: len(ids) - 1] == ids[:-1] and len(served) > len(ids)
    if served == ids or cut:
        return ""
    same = len(commonprefix([ids, served]))
    return (
        f"of {sample['text'][:60]!r} {len(ids)} ids were trained and {len(served)} are served, "
        f"and they differ after {same}"
    )


def _replies(model: TrainableModule, probes: Sequence[Fact]) -> Check:
    name = "the engine answers as the trained model did in memory"
    if not probes:
        return Check(name, False, "the trainer answered no probe")
    plain = model.share()
    shares: list[float] = []
    worst = ("", "")
    for probe in probes:
        trained = str(probe["reply"]).strip()
        said = str(plain(list(probe["messages"]), temperature=0, max_tokens=REPLY_TOKENS)).strip()
        longest = max(len(trained), len(said), 1)
        shared = len(commonprefix([trained, said])) / longest if trained or said else 1.0
        if not shares or shared < min(shares):
            worst = (trained, said)
        shares.append(shared)
    mean = sum(shares) / len(shares)
    told = f"{mean:.0%} of {len(probes)} answers is the same"
    if mean < LEAST_SHARED:
        told += f"; {worst[0][:60]!r} in memory, {worst[1][:60]!r} served"
    return Check(name, mean >= LEAST_SHARED, told)


def _vectors(model: TrainableModule, probes: Sequence[Fact]) -> Check:
    name = "the engine's vectors are those of the trained model in memory"
    if not probes:
        return Check(name, False, "the trainer answered no probe")
    served = np.asarray(model([probe["text"] for probe in probes]), np.float32)
    trained = np.asarray([probe["vector"] for probe in probes], np.float32)
    if served.shape != trained.shape:
        told = f"{served.shape[1]} dimensions are served and {trained.shape[1]} were trained"
        return Check(name, False, told)
    lengths = np.linalg.norm(served, axis=1) * np.linalg.norm(trained, axis=1)
    cosine = float((np.sum(served * trained, axis=1) / np.maximum(lengths, 1e-12)).min())
    told = f"the least cosine of {len(probes)} is {cosine:.4f}"
    if cosine < LEAST_COSINE:
        told += f", below {LEAST_COSINE}: another pooling, other tokens or other weights"
    return Check(name, cosine >= LEAST_COSINE, told)


def _normalized(model: TrainableModule, proof: Fact) -> Check:
    name = "vectors are normalised as in training"
    length = float(np.linalg.norm(model("length")))
    unit, trained = abs(length - 1) < 0.01, bool(proof.get("normalize"))
    if unit and not trained:
        # llama.cpp's server always does it; cosines stay what they were.
        return Check(name, True, "served at length 1, trained without; cosines are the same")
    told = f"served at length {length:.3g}, trained {'at length 1' if trained else 'as they are'}"
    return Check(name, unit == trained, told)


def _scores(model: TrainableModule, probes: Sequence[Fact]) -> Check:
    name = "the engine ranks as the trained model did in memory"
    if not probes:
        return Check(name, False, "the trainer answered no probe")
    served = [score_of(model, probe["query"], probe["document"]) for probe in probes]
    trained = [float(probe["score"]) for probe in probes]
    # The scale is the engine's own; the order is not.
    agreement = of_scores(trained, served)["spearman"]
    told = f"the rank correlation of {len(probes)} scores is {agreement:.3f}"
    return Check(name, agreement >= LEAST_RANK, told)
