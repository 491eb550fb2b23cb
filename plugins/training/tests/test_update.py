"""
Real trainings, from the call to the served model; every figure is measured through an endpoint.

The trainers are sentence_transformers and peft, on the tiny weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import modelplug as mp
from modelplug import plugins
from modelplug.errors import ConfigError, NotProven
from modelplug_training.published import shelf
from modelplug_training.runs import folders
from modelplug_training.testing import PARTNERS, WORDS, marked, on_llama_cpp, retrieval, write_lines

NEW_ANSWERS = [
    {
        "messages": [
            {"role": "user", "content": f"What is the code of the {word}?"},
            {"role": "assistant", "content": f"The code is {partner}."},
        ]
    }
    for word, partner in zip(WORDS, PARTNERS, strict=True)
]
EMBEDDER = {
    "epochs": 2,
    "lr": 2e-3,
    "batch_size": 16,
    "max_len": 64,
    "pooling": "mean",
    "normalize": True,
    "threads": 1,
}
BY_HEART = {
    "steps": 80,
    "lr": 1e-2,
    "batch_size": 20,
    "grad_accum": 1,
    "threads": 1,
    "log_every": 20,
    "save_every": 80,
}


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for all tests here: what one has trained the next one serves."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELPLUG_HOME", str(folder))
        yield folder


def embedder(folder: Path, **settings: Any) -> mp.TrainableModule:
    """The tiny embedder, to be trained on words whose partners no model knows."""
    train = write_lines(folder / "train.jsonl", retrieval(160))
    evaluation = write_lines(folder / "eval.jsonl", retrieval(40, seed=2))
    return (
        on_llama_cpp("tiny-embed")
        .finetune_method(mp.finetune.sentence_transformers, **{**EMBEDDER, **settings})
        .trainset(train)
        .evalset(evaluation)
        .mode("finetune")
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mp.TrainableModule]:
    """The embedder after its update()."""
    with embedder(tmp_path_factory.mktemp("data")).update() as module:
        yield module


def test_an_embedder_finds_after_training_what_it_did_not_before(
    trained: mp.TrainableModule,
) -> None:
    tuned = trained.tuned

    assert tuned is not None
    assert tuned.metrics["base"]["accuracy@1"] <= 0.2
    assert tuned.metrics["tuned"]["accuracy@1"] >= 0.9
    assert tuned.manifest["proven"]
    assert "ready" == trained.status
    assert 128 == len(trained("where is the apple"))


def test_what_was_trained_is_published_whole_and_its_folder_is_gone(
    trained: mp.TrainableModule,
) -> None:
    tuned = trained.tuned

    assert tuned is not None
    files = {path.name for path in tuned.path.iterdir()}
    assert {
        "model.safetensors",
        "tiny-embed.gguf",
        "modules.json",
        "loss.png",
        "comparison.html",
        "events.jsonl",
        shelf.MANIFEST,
    } <= files
    assert [] == folders.every()
    manifest = tuned.manifest
    assert "sentence_transformers" == manifest["trainer"]["name"]
    assert 160 == manifest["data"]["train"]["rows"]
    assert ("mean", True) == (manifest["model"]["pooling"], manifest["model"]["normalize"])
    assert {"config.json", "model.safetensors"} == set(manifest["base"]["sha256"])
    assert manifest["trainer"]["packages"]["torch"]


def test_verifying_again_passes_and_tells_each_check(trained: mp.TrainableModule) -> None:
    verdict = trained.verify()

    assert verdict.passed
    assert 3 == len(str(verdict).splitlines())


def test_base_and_tuned_are_compared_side_by_side(trained: mp.TrainableModule) -> None:
    told = trained.compare()

    base, tuned = told.metrics["accuracy@1"]
    assert base <= 0.2 < 0.9 <= tuned
    assert 40 == len(told.rows)
    assert {"asked", "wanted", "base", "tuned"} == set(told.rows[0])
    assert "accuracy@1" in str(told)
    assert "against" in told.page.read_text()


def test_the_tuned_model_is_found_by_its_name(trained: mp.TrainableModule) -> None:
    with on_llama_cpp("tuned/tiny-embed") as model:
        served, same = model("where is the apple"), trained("where is the apple")

        assert same == pytest.approx(served, abs=1e-3)
        assert model.verify().passed


@pytest.mark.usefixtures("scripted")
def test_a_version_is_rolled_back_and_promoted_in_what_is_served(
    trained: mp.TrainableModule, tmp_path: Path
) -> None:
    first = trained.tuned
    assert first is not None
    text = "where is the apple"
    worse = on_llama_cpp("tiny-embed")
    worse.finetune_method("scripted").trainset(write_lines(tmp_path / "x.jsonl", retrieval(20)))

    # The scripted trainer answers no probes, so nothing proves what it has made.
    with worse.update(unproven=True) as model:
        second = model.tuned
        assert second is not None
        assert [first.version, second.version] == shelf.shelf_of("tiny-embed", "").versions()
        at_second = model(text)
        assert at_second != pytest.approx(trained(text), abs=1e-2)

        model.rollback()
        assert model.tuned is not None
        assert first.version == model.tuned.version
        assert trained(text) == pytest.approx(model(text), abs=1e-3)

        model.promote(second.version)
        assert at_second == pytest.approx(model(text), abs=1e-3)
        model.promote(first.version)


def test_an_embedder_that_would_be_served_with_another_pooling_is_refused(
    tmp_path: Path,
) -> None:
    module = embedder(tmp_path, name="other", pooling="mean", steps=1, warmup=0.0)
    module.deploy_method(mp.deploy.llama_cpp, pooling="cls")

    with module, pytest.raises(NotProven) as caught:
        module.update()

    assert "what llama_cpp serves is not what was trained, so it is not published: " in str(
        caught.value
    )
    assert "below 0.99: another pooling, other tokens or other weights" in str(caught.value)
    assert [] == shelf.shelf_of("other", "").versions()


def test_a_reranker_sorts_after_training_as_it_did_not_before(tmp_path: Path) -> None:
    module = (
        on_llama_cpp("tiny-rerank")
        .finetune_method("sentence_transformers", epochs=2, lr=1e-3, max_len=64, threads=1)
        .trainset(write_lines(tmp_path / "train.jsonl", marked(100)))
        .evalset(write_lines(tmp_path / "eval.jsonl", marked(30, seed=2)))
    )

    with module.update():
        tuned = module.tuned

    assert tuned is not None
    assert tuned.metrics["base"]["map"] <= 0.6
    assert tuned.metrics["tuned"]["map"] >= 0.9
    assert tuned.manifest["proven"]


def test_a_chat_model_learns_twenty_answers_that_it_could_not_give(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "answers.jsonl", NEW_ANSWERS)
    module = on_llama_cpp("tiny").trainset(data)
    module.finetune_method("peft", method="lora", serve="adapter", name="code", **BY_HEART)

    with module.update():
        tuned = module.tuned
        assert tuned is not None
        adapter = tuned.path / "adapter" / "adapter.gguf"
        assert adapter == module._local.find(plugins.installed()).adapter
        assert 0.0 == tuned.metrics["base"]["exact match"]
        assert tuned.metrics["tuned"]["exact match"] >= 19 / 20
        assert tuned.metrics["base"]["loss"] > 5
        assert tuned.metrics["tuned"]["loss"] < 0.5
        assert [] == tuned.manifest["not_measured"]

    # By its name it is what was proven; the path of the version is that of merged weights.
    for name, expected in (("tuned/code", adapter), (str(tuned.path), None)):
        with on_llama_cpp(name) as later:
            assert expected == later._local.find(plugins.installed()).adapter
            assert later.verify().passed
    with on_llama_cpp("tuned/code") as later:
        base, after = later.compare("tiny", on=data).metrics["exact match"]
        assert 0.0 == base
        assert after >= 19 / 20

    beside = on_llama_cpp("tuned/code").trainset(data).finetune_method("peft")
    with pytest.raises(ConfigError, match="is an adapter, which nothing is trained on top of"):
        beside.update()
    with pytest.raises(ConfigError, match="brings an adapter of its own; leave lora= out"):
        mp.TrainableModule("tuned/code").deploy_method("llama_cpp", lora=str(adapter)).start()
