"""Figures, tensors, GGUF files, and what compares serving with training."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import modelplug as mp
from modelplug.errors import TuningError
from modelplug.testing import FaultServer, Reply, Request
from modelplug.types import ModelType
from modelplug_training.proof import metrics
from modelplug_training.proof.checks import check_weights, recorded_pooling
from modelplug_training.proof.measure import measure
from modelplug_training.proof.served import Tokens
from modelplug_training.proof.tensors import Tensors
from modelplug_training.proof.verify import verify
from modelplug_training.published.gguf_files import Base, _interleaved, chat_template
from modelplug_training.testing import on_llama_cpp

LLM = ModelType.LLM
HELLO = [{"role": "user", "content": "Hello"}]


def test_rankings_have_their_figures() -> None:
    told = metrics.of_rankings([[True, False, True], [False, True, False]])

    assert 0.5 == told["accuracy@1"]
    assert pytest.approx((1 + 1 / 2) / 2) == told["mrr@10"]
    assert pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2) == told["map"]
    best = (1 + 1 / 2) / (1 + 1 / math.log2(3))
    assert pytest.approx((best + 1 / math.log2(3)) / 2) == told["ndcg@10"]


def test_answers_count_but_for_blanks() -> None:
    assert {"exact match": 0.5} == metrics.of_answers(["4", "five"], [" 4\n", "5"])


def test_scores_count_by_their_order() -> None:
    assert {"spearman": 1.0} == metrics.of_scores([0.1, 0.5, 0.9], [-3, 2, 70])
    assert -1.0 == pytest.approx(metrics.of_scores([1, 2, 3], [3, 2, 1])["spearman"])
    assert {"spearman": 0.0} == metrics.of_scores([1, 2, 3], [5, 5, 5])


def test_tensors_are_read_in_each_kind(tmp_path: Path) -> None:
    values = np.asarray([[1.5, -2.0], [0.25, 3.0]], np.float32)
    save_file(
        {"f32": values, "f16": values.astype(np.float16), "i64": np.arange(3)},
        tmp_path / "a.safetensors",
    )
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    _write_safetensors(tmp_path / "b.safetensors", "bf16", "BF16", upper)

    read = Tensors.of(tmp_path)

    assert {"f32", "f16", "i64", "bf16"} == set(read)
    for name in ("f32", "f16", "bf16"):
        np.testing.assert_array_equal(values, read[name])
        assert np.float32 == read[name].dtype
    assert [0, 1, 2] == read["i64"].tolist()


def _write_safetensors(path: Path, name: str, kind: str, data: Any) -> None:
    head = {name: {"dtype": kind, "shape": list(data.shape), "data_offsets": [0, data.nbytes]}}
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data.tobytes())


@pytest.mark.parametrize("damage", [b"", b"\xff" * 20, struct.pack("<Q", 4) + b"{{{{"])
def test_a_file_that_is_no_safetensors_is_told(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(damage)

    with pytest.raises(TuningError, match="is no safetensors file, or is cut off"):
        Tensors.of(tmp_path)


def test_weights_that_were_only_cast_do_not_differ(weights_folder: Path, tmp_path: Path) -> None:
    tensors = load_file(weights_folder / "tiny" / "model.safetensors")
    cast = {name.removeprefix("model."): t.astype(np.float32) for name, t in tensors.items()}
    save_file(cast, tmp_path / "model.safetensors")

    finite, differ = check_weights(weights_folder / "tiny", tmp_path)

    assert (True, "50 tensors") == (finite.passed, finite.told)
    assert not differ.passed
    assert differ.told.startswith("none of 50 tensors")


@pytest.mark.parametrize("name", ["tiny.q8_0", "tiny-embed.q8_0", "tiny-rerank.f16"])
def test_the_base_itself_becomes_the_very_file_that_it_has(
    weights_folder: Path, tmp_path: Path, name: str
) -> None:
    old = weights_folder / f"{name}.gguf"
    folder = weights_folder / name.partition(".")[0]

    Base(old, folder).write(folder, tmp_path / "new.gguf", "new")

    before, after = gguf.GGUFReader(old), gguf.GGUFReader(tmp_path / "new.gguf")
    assert {t.name: t.data.tobytes() for t in before.tensors} == {
        t.name: t.data.tobytes() for t in after.tensors
    }
    left = set(before.fields) - set(after.fields)
    assert {"general.file_type"} == left


def test_a_base_in_two_versions_is_found_out(weights_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    tensors = load_file(weights_folder / "tiny" / "model.safetensors")
    dice = np.random.default_rng(1)
    other = {name: dice.normal(0, 1, t.shape).astype(t.dtype) for name, t in tensors.items()}
    save_file(other, folder / "model.safetensors")

    with pytest.raises(TuningError, match="is not the model that was trained: its token_embd"):
        Base(weights_folder / "tiny.q8_0.gguf", folder).write(folder, tmp_path / "x.gguf", "x")


def test_the_trained_pooling_is_written(weights_folder: Path, tmp_path: Path) -> None:
    base = Base(weights_folder / "tiny-embed.q8_0.gguf", weights_folder / "tiny-embed")

    base.write(weights_folder / "tiny-embed", tmp_path / "x.gguf", "x", pooling="cls")

    field = gguf.GGUFReader(tmp_path / "x.gguf").fields["bert.pooling_type"]
    assert gguf.PoolingType.CLS == field.contents()


def test_rows_of_a_rotation_are_put_side_by_side() -> None:
    # llama.cpp's converter: two halves of a head, [a b c | d e f], become [a d b e c f].
    rows = np.arange(12).reshape(12, 1)

    changed = _interleaved(2)(rows)

    assert [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11] == changed[:, 0].tolist()


def test_pooling_is_read_as_old_and_new_versions_write_it(tmp_path: Path) -> None:
    modules = [
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
    ]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    config = tmp_path / "1_Pooling" / "config.json"
    config.parent.mkdir()

    config.write_text('{"pooling_mode_lasttoken": true}')
    assert ("last", False) == recorded_pooling(tmp_path)
    config.write_text('{"pooling_mode": "cls"}')
    assert ("cls", False) == recorded_pooling(tmp_path)


def test_a_chat_template_is_found_in_either_place(tmp_path: Path) -> None:
    assert None is chat_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "old"}')
    assert "old" == chat_template(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("new")
    assert "new" == chat_template(tmp_path)


def chat_rows(*answers: str) -> list[dict[str, Any]]:
    """Conversations that only differ in what is wanted."""
    return [{"messages": [*HELLO, {"role": "assistant", "content": each}]} for each in answers]


def test_a_chat_is_measured_through_its_endpoint() -> None:
    rows = chat_rows("Hello! I am Tiny, a small test model. How can I help you?", "No.")

    with on_llama_cpp("tiny") as model:
        told = measure(model, rows, LLM)

    assert 0.5 == told.figures["exact match"]
    assert "Hello" == told.rows[0]["asked"]
    assert told.rows[0]["wanted"] == told.rows[0]["said"]


def test_a_row_beyond_the_context_is_left_out_of_the_loss_and_told() -> None:
    rows = chat_rows("Hello!", "so " * 300)
    small = mp.TrainableModule("tiny").deploy_method(mp.deploy.llama_cpp, context=256, slots=1)

    with small as model, on_llama_cpp("tiny") as whole:
        told = measure(model, rows, LLM)
        alone = measure(whole, rows[:1], LLM)

    assert alone.figures["loss"] == pytest.approx(told.figures["loss"], abs=1e-3)
    assert ("loss: without 1 of 2 rows, longer than the engine's context",) == told.remarks


def test_an_engine_that_tells_no_losses_is_not_guessed_about() -> None:
    def script(request: Request) -> Reply:
        if request.path != "/v1/chat/completions":
            return Reply(404)
        said = {"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
        return Reply(body=json.dumps({"choices": [said]}).encode())

    with FaultServer() as server:
        server.answer_with(script)
        model = mp.TrainableModule("other", type="llm")
        model.deploy_method("llama_cpp", url=server.url)
        told = measure(model, chat_rows("Yes."), LLM)

    assert {"exact match": 1.0} == told.figures
    assert ("loss: not measured, as this engine does not tell that of a given answer",) == (
        told.remarks
    )


def test_a_scored_pair_is_measured_by_embedder_and_reranker() -> None:
    rows = [
        {"query": "a cat", "document": "a kitten", "score": 1.0},
        {"query": "a cat", "document": "the price of oil", "score": 0.0},
        {"query": "a cat", "document": "a dog", "score": 0.6},
    ]

    for name, type in (("tiny-embed", ModelType.EMBED), ("tiny-rerank", ModelType.RERANK)):
        with on_llama_cpp(name) as model:
            told = measure(model, rows, type)
        assert {"spearman"} == set(told.figures)
        assert told.figures["spearman"] > 0.4


def test_the_engine_shows_its_tokens() -> None:
    with on_llama_cpp("tiny") as model:
        tokens = Tokens.of(model)
        ids = tokens.of_conversation(HELLO)

        assert "llama.cpp" == tokens.dialect
        assert "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n" == tokens.text_of(ids)


def test_a_served_model_that_answers_otherwise_is_found_out() -> None:
    probes = [{"messages": HELLO, "reply": "Something that this model does not say at all."}]

    with on_llama_cpp("tiny") as model:
        verdict = verify(model, LLM, {"samples": [], "probes": probes})

    assert not verdict.passed
    tokens, replies = verdict.faults
    assert "the trainer told no sample of what it trained on" in tokens
    assert "0% of 1 answers is the same" in replies
    assert "✗ the engine answers as the trained model did in memory" in str(verdict)


@pytest.mark.parametrize(
    ("trained", "told"),
    [
        ("Yes.<|im_end|>\n", "1 of 1 samples, id by id"),
        ("<think>\n\n</think>\n\nYes.<|im_end|>\n", "1 of 1 samples, id by id"),
        ("No.<|im_end|>\n", "the answer that was trained is 'No.<|im_end|>\\n', and in the data"),
    ],
    ids=["plain", "thoughtless", "another"],
)
def test_the_answer_in_a_sample_is_that_of_the_data(trained: str, told: str) -> None:
    messages = [*HELLO, {"role": "assistant", "content": "Yes."}]
    with on_llama_cpp("tiny") as model:
        tokens = Tokens.of(model)
        asked = tokens.of_conversation(HELLO)
        ids = asked + tokens.of_answer(trained)
        sample = {"messages": messages, "ids": ids, "answer": len(asked)}
        verdict = verify(model, LLM, {"samples": [sample], "probes": []})

    assert verdict.checks[0].told.startswith(told)


def test_vectors_of_another_pooling_are_found_out() -> None:
    texts = ["a cat on the mat", "the price of oil", "where is the sea"]
    with on_llama_cpp("tiny-embed") as model:
        vectors = model(texts)
    probes = [{"text": t, "vector": v} for t, v in zip(texts, vectors, strict=True)]
    proof = {"samples": [], "probes": probes, "normalize": True}
    cls = mp.TrainableModule("tiny-embed").deploy_method(mp.deploy.llama_cpp, pooling="cls")

    with cls, on_llama_cpp("tiny-embed") as mean:
        right, wrong = (verify(model, ModelType.EMBED, proof) for model in (mean, cls))

    assert "below 0.99: another pooling, other tokens or other weights" in wrong.faults[-1]
    assert 1 == len(right.faults)  # only the samples are missing


def test_a_reranker_in_another_order_is_found_out() -> None:
    documents = ["a kitten", "the price of oil", "a dog", "a small cat", "rain"]
    with on_llama_cpp("tiny-rerank") as model:
        scores = dict(model("a cat", documents=documents))
        probes = [
            {"query": "a cat", "document": text, "score": scores[place]}
            for place, text in enumerate(documents)
        ]
        right = verify(model, ModelType.RERANK, {"samples": [], "probes": probes})
        for probe in probes:
            probe["score"] = -probe["score"]
        wrong = verify(model, ModelType.RERANK, {"samples": [], "probes": probes})

    assert right.passed
    assert "the rank correlation of 5 scores is -1.000" in wrong.faults[0]
