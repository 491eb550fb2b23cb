"""Real trainings, of seconds: from near chance to the figures that the data allows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from modelplug.types import Training, TrainingPlan
from modelplug_sentence_transformers_training import plugin
from modelplug_training.testing import Trial, marked, retrieval

EMBEDDER: dict[str, Any] = {
    "epochs": 3,
    "lr": 1e-3,
    "batch_size": 16,
    "negatives": 2,
    "log_every": 5,
    "save_every": 10,
    "eval_every": 100,
}


def plan(request: Training) -> TrainingPlan:
    made = plugin.finetune(request)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Trial:
    """An embedder, trained once for all tests that only look at it."""
    trial = Trial(tmp_path_factory.mktemp("embedder"))
    request = trial.request(
        weights_folder / "tiny-embed",
        "embed",
        retrieval(200),
        evaluation=retrieval(40, seed=2),
        instruction="find: ",
        probes=[{"text": "an apple"}],
        **EMBEDDER,
    )
    assert 0 == trial.run(plan(request)), trial.log
    return trial


def test_an_embedder_learns_what_no_model_knows(embedder: Trial) -> None:
    before, after = (told["metrics"] for told in embedder.events("eval"))

    assert before["cosine_accuracy@1"] <= 0.15
    assert after["cosine_accuracy@1"] >= 0.95
    assert after["loss"] < 0.1 < 3 < before["loss"]


def test_its_events_come_in_order_and_tell_every_step(embedder: Trial) -> None:
    told = embedder.events()
    steps = [(each["event"], each.get("step")) for each in told]

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
    assert [39] == list({each["total"] for each in told if "total" in each})
    assert sorted(each["time"] for each in told) == [each["time"] for each in told]


def test_it_tells_what_it_really_ran_with(embedder: Trial) -> None:
    started = embedder.event("started")

    assert "cpu" == started["device"]
    assert started["resumed_from"] is None
    assert {"torch", "transformers", "sentence-transformers"} <= set(started["packages"])
    parameters = started["parameters"]
    assert (1e-3, 16, 3) == (
        parameters["learning_rate"],
        parameters["per_device_train_batch_size"],
        parameters["num_train_epochs"],
    )
    assert (False, False, 7) == (parameters["bf16"], parameters["fp16"], parameters["seed"])


def test_the_samples_are_tokens_of_the_instruction_and_the_query(embedder: Trial) -> None:
    first = embedder.event("samples")["samples"][0]

    assert first["text"].startswith("find: ")
    assert len(first["ids"]) >= 8
    assert 0 not in first["ids"]  # padding


def test_what_is_saved_names_its_pooling_and_instruction(embedder: Trial) -> None:
    finished = embedder.event("finished")
    folder = embedder.output / finished["weights"]

    kinds = [
        each["type"].rpartition(".")[2]
        for each in json.loads((folder / "modules.json").read_bytes())
    ]
    assert ["Transformer", "Pooling", "Normalize"] == kinds
    assert ("mean", True, "find: ", 512) == (
        finished["pooling"],
        finished["normalize"],
        finished["instruction"],
        finished["max_len"],
    )
    config = json.loads((folder / "config_sentence_transformers.json").read_bytes())
    assert {"query": "find: ", "document": ""} == config["prompts"]


def test_what_is_saved_has_other_weights_in_the_precision_of_the_base(
    embedder: Trial, weights_folder: Path
) -> None:
    before = load_file(weights_folder / "tiny-embed" / "model.safetensors")
    after = load_file(embedder.output / "model" / "model.safetensors")

    assert {np.dtype("float16")} == {each.dtype for each in after.values()}
    name = "embeddings.word_embeddings.weight"
    assert not np.array_equal(before[name], after[name])


def test_a_probe_is_answered_with_its_vector(embedder: Trial) -> None:
    (probe,) = embedder.event("finished")["probes"]

    assert "an apple" == probe["text"]
    assert 128 == len(probe["vector"])
    assert 1 == pytest.approx(sum(each**2 for each in probe["vector"]), abs=1e-3)


def test_one_that_was_killed_goes_on_from_its_checkpoint(
    trial: Trial, weights_folder: Path
) -> None:
    base, data = weights_folder / "tiny-embed", retrieval(200)
    trial.kill_after(plan(trial.request(base, "embed", data, **EMBEDDER)), "checkpoint", 20)
    (last,) = [each for each in trial.events("metric") if each["step"] == 20]
    again = trial.request(
        base, "embed", data, resume_from=trial.output / "checkpoint-20", **EMBEDDER
    )

    assert 0 == trial.run(plan(again)), trial.log

    started = trial.events("started")[1]
    assert (20, 39, "checkpoint-20") == (started["step"], started["total"], started["resumed_from"])
    told = trial.events()
    resumed = [each for each in told[told.index(started) :] if each["event"] == "metric"]
    assert [25, 30, 35, 39] == [each["step"] for each in resumed]
    assert resumed[0]["loss"] < last["loss"] + 0.5 < 2
    assert 39 == trial.event("finished")["step"]


def test_one_that_is_told_to_stop_keeps_what_it_has(trial: Trial, weights_folder: Path) -> None:
    settings = EMBEDDER | {"epochs": 1000, "log_every": 1}
    request = trial.request(weights_folder / "tiny-embed", "embed", retrieval(200), **settings)

    assert 0 == trial.stop_after(plan(request), "metric"), trial.log

    finished = trial.event("finished")
    assert finished["stopped"] is True
    assert 1 <= finished["step"] < finished["total"] == 13000
    assert (trial.output / "model" / "model.safetensors").exists()


def test_a_loss_that_is_no_number_ends_it_before_anything_is_saved(
    trial: Trial, weights_folder: Path
) -> None:
    base = trial.folder / "base"
    shutil.copytree(weights_folder / "tiny-embed", base)
    weights = load_file(base / "model.safetensors")
    weights["embeddings.LayerNorm.weight"] = np.full_like(
        weights["embeddings.LayerNorm.weight"], np.nan
    )
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    request = trial.request(base, "embed", retrieval(40), **EMBEDDER | {"save_every": 1})

    assert 1 == trial.run(plan(request))

    failed = trial.event("failed")
    assert ("nan", "the loss is nan at step 1") == (failed["kind"], failed["text"])
    assert [] == trial.events("checkpoint") + trial.events("finished")
    assert [] == list(trial.output.glob("checkpoint-*"))


def test_a_reranker_learns_what_marks_a_document(trial: Trial, weights_folder: Path) -> None:
    request = trial.request(
        weights_folder / "tiny-rerank",
        "rerank",
        marked(100),
        evaluation=marked(20, seed=2, negatives=19),
        epochs=1,
        lr=3e-3,
        eval_every=100,
        probes=[{"query": "book", "document": "gold road"}, {"query": "book", "document": "egg"}],
    )

    assert 0 == trial.run(plan(request)), trial.log

    before, after = (told["metrics"] for told in trial.events("eval"))
    assert before["map"] < 0.3
    assert after["map"] > 0.95
    marked_one, other = trial.event("finished")["probes"]
    assert marked_one["score"] > 0.9 > 0.1 > other["score"] > 0
    sample = trial.event("samples")["samples"][0]
    assert {"query", "document", "ids"} == set(sample)


def test_pairs_train_weights_that_name_no_pooling_which_is_told(
    trial: Trial, weights_folder: Path
) -> None:
    base = trial.folder / "base"
    shutil.copytree(weights_folder / "tiny-embed", base, ignore=shutil.ignore_patterns("*odul*"))
    rows = [
        {"query": row["query"], "document": text, "score": score}
        for row in retrieval(60)
        for text, score in [(row["pos"][0], 1.0), (row["neg"][0], 0.0)]
    ]
    request = trial.request(
        base,
        "embed",
        rows,
        evaluation=rows[:40],
        form="pairs",
        epochs=3,
        lr=1e-3,
        eval_every=100,
    )

    assert 0 == trial.run(plan(request)), trial.log

    before, after = (told["metrics"] for told in trial.events("eval"))
    assert before["spearman_cosine"] < 0.3
    assert after["spearman_cosine"] > 0.8
    assert (
        f"the weights {str(base)!r} name no pooling; they are trained, and saved, with mean"
        == (trial.event("warning")["text"])
    )
    assert (trial.output / "model" / "1_Pooling" / "config.json").exists()
