"""
Trains an embedder or a reranker with sentence-transformers: `train.py request.json`.

Run by path, in any interpreter that has sentence-transformers: it imports nothing of modelplug
but what lies on its path for that, `training_kit`.
"""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import training_kit
from datasets import Dataset
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
)
from sentence_transformers.sentence_transformer.losses import (
    CoSENTLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from training_kit import Failed, Run
from training_kit_transformers import Reporter, arguments, begin, finish, given, train

TEMPERATURE = 0.05
NEGATIVES = 4
POOLINGS = {"mean": "mean", "cls": "cls", "last": "lasttoken"}

Row = dict[str, Any]


def main(run: Run) -> None:
    """Train what the request says."""
    begin(run)
    if run.request["type"] == "embed":
        train_embedder(run, given(run))
    else:
        train_reranker(run, given(run))


# Embedders.


def train_embedder(run: Run, asked: dict[str, Any]) -> None:
    """Contrastive on triples, with the other passages of a batch; CoSENT on scored pairs."""
    pooling, normalize = asked.pop("pooling_mode", None), asked.pop("normalize", None)
    model = load_embedder(run, pooling, normalize)
    if (max_len := asked.pop("max_seq_length", None)) is not None:
        model.max_seq_length = max_len
    instruction = asked.pop("query_prompt", None) or model.prompts.get("query") or ""
    model.prompts = {"query": instruction, "document": model.prompts.get("document") or ""}
    negatives = asked.pop("negatives", None)
    scale = 1 / asked.pop("temperature", TEMPERATURE)
    reporter = Reporter(run, ("sentence-transformers",), asked.pop("patience", None))

    scored = run.request["form"] == "pairs"
    if scored:
        loss: torch.nn.Module = CoSENTLoss(model, scale=scale)
        columns = pairs
    else:
        loss = MultipleNegativesRankingLoss(model, scale=scale)
        columns = triples
        # A text that is in a batch twice would be its own negative.
        asked.setdefault("batch_sampler", "no_duplicates")
    trained, evaluated = _rows(run)
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments(
            SentenceTransformerTrainingArguments,
            run,
            {"prompts": {"query": instruction} if instruction else None, **asked},
        ),
        train_dataset=columns(trained, negatives, run),
        eval_dataset=columns(evaluated, negatives, run) if evaluated else None,
        loss=loss,
        evaluator=embedder_evaluator(evaluated, instruction, scored) if evaluated else None,
        callbacks=[reporter],
    )
    first = [trainer.train_dataset[place] for place in range(min(2, len(trainer.train_dataset)))]
    texts = [instruction + row["query"] for row in first]
    ids = _unpadded(trainer.data_collator(first))
    run.tell("samples", samples=[{"text": t, "ids": i} for t, i in zip(texts, ids, strict=True)])
    train(run, trainer, reporter)

    weights = run.output / "model"
    _as_it_came(model, run)
    model.save_pretrained(str(weights), create_model_card=False)
    finish(
        run,
        reporter,
        weights=weights,
        pooling=_pooling_of(model),
        normalize=any(isinstance(module, Normalize) for module in model),
        instruction=instruction,
        max_len=model.max_seq_length,
        probes=[
            {**probe, "vector": model.float().encode(probe["text"]).tolist()}
            for probe in run.request["probes"]
        ],
    )


def load_embedder(run: Run, pooling: str | None, normalize: bool | None) -> SentenceTransformer:
    """The base as it is; modules are added to one that names no pooling."""
    base = run.request["base"]
    plain = {"dtype": torch.float32}
    trust = run.request["trust_remote_code"]
    if not (Path(base) / "modules.json").exists():
        if pooling is None:
            pooling = "mean"
            text = f"the weights {base!r} name no pooling; they are trained, and saved, with mean"
            run.tell("warning", text=text)
        inner = Transformer(base, model_kwargs=plain)
        modules = [inner, Pooling(inner.get_embedding_dimension(), POOLINGS[pooling])]
        if normalize is not False:
            modules.append(Normalize())
        return SentenceTransformer(modules=modules)
    model = SentenceTransformer(base, model_kwargs=plain, trust_remote_code=trust)
    if pooling is not None and POOLINGS[pooling] != _pooling_of(model):
        place = next(i for i, module in enumerate(model) if isinstance(module, Pooling))
        model[place] = Pooling(model[place].embedding_dimension, POOLINGS[pooling])
    normalizes = isinstance(model[-1], Normalize)
    if normalize is True and not normalizes:
        model.append(Normalize())
    if normalize is False and normalizes:
        del model[-1]
    return model


def triples(rows: list[Row], negatives: int | None, run: Run) -> Dataset:
    """`query`, `positive`, `negative_1`..: one row for each positive, as many negatives in each."""
    count = min([NEGATIVES, *(len(row["neg"]) for row in rows)]) if negatives is None else negatives
    dice = random.Random(run.request["settings"].get("seed", 42))  # noqa: S311 - no secret
    made: dict[str, list[str]] = {"query": [], "positive": []}
    made |= {f"negative_{number}": [] for number in range(1, count + 1)}
    for place, row in enumerate(rows, 1):
        if count and not row["neg"]:
            msg = f"line {place} of the data has no negatives and negatives={count}"
            raise Failed(msg, "give it some, or set negatives=0", kind="data")
        for positive in row["pos"]:
            made["query"].append(row["query"])
            made["positive"].append(positive)
            # One that has too few is told the same ones twice: all rows need as many columns.
            chosen = dice.sample(row["neg"], min(count, len(row["neg"])))
            for number in range(count):
                made[f"negative_{number + 1}"].append(chosen[number % len(chosen)])
    return Dataset.from_dict(made)


def pairs(rows: list[Row], negatives: int | None, run: Run) -> Dataset:
    """`query`, `document` and their `score`."""
    return Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]})


def embedder_evaluator(rows: list[Row], instruction: str, scored: bool) -> Any:
    """Retrieval among all passages of the rows; the order of the scores for pairs."""
    if scored:
        queries, documents = [row["query"] for row in rows], [row["document"] for row in rows]
        scores = [row["score"] for row in rows]
        return EmbeddingSimilarityEvaluator(
            [instruction + query for query in queries], documents, scores, write_csv=False
        )
    texts = dict.fromkeys(text for row in rows for text in [*row["pos"], *row["neg"]])
    names = {text: str(place) for place, text in enumerate(texts)}
    return InformationRetrievalEvaluator(
        queries={str(place): row["query"] for place, row in enumerate(rows)},
        corpus={name: text for text, name in names.items()},
        relevant_docs={
            str(place): {names[text] for text in row["pos"]} for place, row in enumerate(rows)
        },
        accuracy_at_k=[1, 10],
        precision_recall_at_k=[10],
        query_prompt=instruction or None,
        write_csv=False,
    )


def _pooling_of(model: SentenceTransformer) -> str | None:
    ours = {theirs: name for name, theirs in POOLINGS.items()}
    for module in model:
        if isinstance(module, Pooling):
            mode = module.pooling_mode
            return ours.get(mode, mode) if isinstance(mode, str) else "+".join(mode)
    return None


# Rerankers.


def train_reranker(run: Run, asked: dict[str, Any]) -> None:
    """Binary cross-entropy: a score for each query with one document."""
    model = CrossEncoder(
        run.request["base"],
        num_labels=1,
        max_length=asked.pop("max_seq_length", None),
        model_kwargs={"dtype": torch.float32},
        trust_remote_code=run.request["trust_remote_code"],
    )
    negatives = asked.pop("negatives", None)
    reporter = Reporter(run, ("sentence-transformers",), asked.pop("patience", None))
    trained, evaluated = _rows(run)
    columns = pairs if run.request["form"] == "pairs" else judged
    evaluator = None
    if evaluated and columns is judged:
        samples = [
            {"query": row["query"], "positive": row["pos"], "negative": row["neg"]}
            for row in evaluated
        ]
        evaluator = CrossEncoderRerankingEvaluator(samples, write_csv=False)
    trainer = CrossEncoderTrainer(
        model=model,
        args=arguments(CrossEncoderTrainingArguments, run, asked),
        train_dataset=columns(trained, negatives, run),
        eval_dataset=columns(evaluated, negatives, run) if evaluated else None,
        loss=BinaryCrossEntropyLoss(model),
        evaluator=evaluator,
        callbacks=[reporter],
    )
    first = [trainer.train_dataset[place] for place in range(min(2, len(trainer.train_dataset)))]
    # The loss turns texts into tokens; the collator leaves them as they are.
    ids = _unpadded(model.preprocess([(row["query"], row["document"]) for row in first]))
    texts = [{"query": row["query"], "document": row["document"]} for row in first]
    run.tell("samples", samples=[{**t, "ids": i} for t, i in zip(texts, ids, strict=True)])
    train(run, trainer, reporter)

    weights = run.output / "model"
    _as_it_came(model, run)
    model.save_pretrained(str(weights), create_model_card=False)
    finish(
        run,
        reporter,
        weights=weights,
        max_len=model.max_seq_length,
        probes=[
            {**probe, "score": model.float().predict([(probe["query"], probe["document"])]).item()}
            for probe in run.request["probes"]
        ],
    )


def judged(rows: list[Row], negatives: int | None, run: Run) -> Dataset:
    """`query`, `document` and `score`: 1 for each positive, 0 for each of its negatives."""
    dice = random.Random(run.request["settings"].get("seed", 42))  # noqa: S311 - no secret
    count = NEGATIVES if negatives is None else negatives
    made: dict[str, list[Any]] = {"query": [], "document": [], "score": []}
    for row in rows:
        for positive in row["pos"]:
            chosen = dice.sample(row["neg"], min(count, len(row["neg"])))
            made["query"] += [row["query"]] * (1 + len(chosen))
            made["document"] += [positive, *chosen]
            made["score"] += [1.0] + [0.0] * len(chosen)
    return Dataset.from_dict(made)


# Both.


def _rows(run: Run) -> tuple[list[Row], list[Row]]:
    evaluation = run.request["evaluation"]
    rows = list(training_kit.rows(run.request["data"]))
    if any("pos_scores" in row for row in islice(rows, 100)):
        text = "scores of a teacher in the data are not used by this trainer; flagembedding can"
        run.tell("warning", text=text)
    return rows, list(training_kit.rows(evaluation)) if evaluation else []


def _unpadded(batch: dict[str, Any]) -> list[list[int]]:
    """The token ids of the first input in *batch*."""
    ids = next(values for name, values in batch.items() if name.endswith("input_ids"))
    masks = next(values for name, values in batch.items() if name.endswith("attention_mask"))
    return [row[mask.bool()].tolist() for row, mask in zip(ids, masks, strict=True)]


def _as_it_came(model: torch.nn.Module, run: Run) -> None:
    """Save in the precision of the base's files, though it was trained in float32."""
    from transformers import AutoConfig

    base = AutoConfig.from_pretrained(
        run.request["base"], trust_remote_code=run.request["trust_remote_code"]
    )
    model.to(getattr(base, "dtype", None) or torch.float32)


if __name__ == "__main__":
    training_kit.main(main)
