"""Real trainings, of seconds, and the silent faults of FlagEmbedding's own command, mended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelplug.types import Training, TrainingPlan
from modelplug_flagembedding import plugin
from modelplug_training.testing import Trial, marked, retrieval

EMBEDDER: dict[str, Any] = {
    "epochs": 3,
    "lr": 5e-4,
    "batch_size": 16,
    "negatives": 2,
    "log_every": 5,
    "save_every": 10,
    "eval_every": 100,
}
ROWS = retrieval(200)
HELD_OUT = retrieval(20, seed=2)


def plan(request: Training) -> TrainingPlan:
    made = plugin.finetune(request)
    assert made is not None
    return made


def losses(trial: Trial, since: int = 0) -> dict[int, float]:
    return {each["step"]: each["loss"] for each in trial.events("metric")[since:]}


def accuracy(probes: list[dict[str, Any]], instruction: str) -> float:
    """The share of held-out queries whose own document has the nearest vector."""
    vectors = {probe["text"]: np.array(probe["vector"]) for probe in probes}
    documents = [row["pos"][0] for row in HELD_OUT]
    hits = 0
    for place, row in enumerate(HELD_OUT):
        query = vectors[instruction + row["query"]]
        hits += place == np.argmax([query @ vectors[text] for text in documents])
    return hits / len(HELD_OUT)


def probes(instruction: str = "") -> list[dict[str, str]]:
    texts = [text for row in HELD_OUT for text in (instruction + row["query"], row["pos"][0])]
    return [{"text": text} for text in texts]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Trial:
    """An embedder, trained once for all tests that only look at it."""
    trial = Trial(tmp_path_factory.mktemp("embedder"))
    request = trial.request(
        weights_folder / "tiny-embed",
        "embed",
        ROWS,
        evaluation=HELD_OUT,
        probes=probes(),
        **EMBEDDER,
    )
    assert 0 == trial.run(plan(request)), trial.log
    return trial


def test_an_embedder_learns_what_no_model_knows(embedder: Trial) -> None:
    before, after = (told["metrics"]["loss"] for told in embedder.events("eval"))

    assert after < 2 < 8 < before
    assert accuracy(embedder.event("finished")["probes"], "") >= 0.95


def test_its_events_come_in_order(embedder: Trial) -> None:
    steps = [(each["event"], each.get("step")) for each in embedder.events()]

    assert [
        ("samples", None),
        ("eval", 0),
        ("started", 0),
        ("metric", 5),
        ("metric", 10),
        ("checkpoint", 10),
        ("metric", 15),
        ("metric", 20),
        ("checkpoint", 20),
        ("metric", 25),
        ("metric", 30),
        ("checkpoint", 30),
        ("metric", 35),
        ("metric", 39),
        ("eval", 39),
        ("checkpoint", 39),
        ("finished", 39),
    ] == steps


def test_the_pooling_of_the_base_is_trained_with_and_written(embedder: Trial) -> None:
    folder = embedder.output / "model"
    finished = embedder.event("finished")
    parameters = embedder.event("started")["parameters"]

    modules = json.loads((folder / "modules.json").read_bytes())
    kinds = [each["type"].rpartition(".")[2] for each in modules]
    assert ["Transformer", "Pooling", "Normalize"] == kinds
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_bytes())
    assert "mean" == pooling["pooling_mode"]
    assert ("mean", True) == (finished["pooling"], finished["normalize"])
    assert "mean" == parameters["sentence_pooling_method"]


def test_what_is_saved_answers_as_what_was_trained(embedder: Trial) -> None:
    from sentence_transformers import SentenceTransformer

    served = SentenceTransformer(str(embedder.output / "model"), device="cpu").float()
    for probe in embedder.event("finished")["probes"][:4]:
        assert np.allclose(probe["vector"], served.encode(probe["text"]), atol=1e-3)


def test_one_that_was_killed_goes_on_as_if_it_had_not_been(
    trial: Trial, embedder: Trial, weights_folder: Path
) -> None:
    base = weights_folder / "tiny-embed"
    trial.kill_after(plan(trial.request(base, "embed", ROWS, **EMBEDDER)), "checkpoint", 20)
    told = len(trial.events("metric"))
    again = trial.request(
        base, "embed", ROWS, resume_from=trial.output / "checkpoint-20", **EMBEDDER
    )

    assert 0 == trial.run(plan(again)), trial.log

    started = trial.events("started")[1]
    assert (20, 39, "checkpoint-20") == (started["step"], started["total"], started["resumed_from"])
    whole, resumed = losses(embedder), losses(trial, told)
    assert [25, 30, 35, 39] == list(resumed)
    # From the base again, as FlagEmbedding's own resuming does it, it would be above 8.
    assert {step: whole[step] for step in resumed} == pytest.approx(resumed, abs=0.2)


def test_a_reranker_learns_what_marks_a_document(trial: Trial, weights_folder: Path) -> None:
    held_out = marked(20, seed=2)
    asked = [
        {"query": row["query"], "document": text}
        for row in held_out
        for text in [*row["pos"], *row["neg"]]
    ]
    request = trial.request(
        weights_folder / "tiny-rerank",
        "rerank",
        marked(100),
        evaluation=held_out,
        epochs=4,
        lr=1e-3,
        batch_size=16,
        probes=asked,
    )

    assert 0 == trial.run(plan(request)), trial.log

    evals = [told["metrics"]["loss"] for told in trial.events("eval")]
    assert evals[-1] < 0.1 < 1.4 < evals[0]
    scores = [probe["score"] for probe in trial.event("finished")["probes"]]
    groups = [scores[start : start + 5] for start in range(0, 100, 5)]
    assert 20 == sum(group[0] == max(group) for group in groups)
    # 100 rows are 6 batches of 16 and one of 4, which is a step too.
    assert 28 == trial.event("finished")["total"]
