"""
Trains an embedder or a reranker with FlagEmbedding: `train.py request.json`.

Run by path, in any interpreter that has FlagEmbedding: it imports nothing of modelplug but
what lies on its path for that, `training_kit`. FlagEmbedding's own command is not used: it
loses the pooling, resumes from the base, and with transformers 5 its flags are refused.
"""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import training_kit
from FlagEmbedding.abc.finetune.reranker import (
    AbsRerankerDataArguments,
    AbsRerankerModelArguments,
    AbsRerankerTrainingArguments,
)
from FlagEmbedding.finetune.embedder.encoder_only.base import (
    EncoderOnlyEmbedderDataArguments,
    EncoderOnlyEmbedderModelArguments,
    EncoderOnlyEmbedderRunner,
    EncoderOnlyEmbedderTrainer,
    EncoderOnlyEmbedderTrainingArguments,
)
from FlagEmbedding.finetune.reranker.encoder_only.base import (
    EncoderOnlyRerankerRunner,
    EncoderOnlyRerankerTrainer,
)
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from training_kit import Failed, Run
from training_kit_transformers import Reporter, arguments, begin, finish, given, train
from transformers import AutoConfig, AutoTokenizer

TEMPERATURE = 0.02
NEGATIVES = 7
LONGEST = 512
POOLINGS = {"mean": "mean", "cls": "cls", "last": "last_token"}
THEIRS = {"mean": "mean", "cls": "cls", "last_token": "lasttoken"}
"""FlagEmbedding's names of poolings to those of sentence-transformers."""


def main(run: Run) -> None:
    """Train what the request says."""
    begin(run)
    asked = given(run)
    rows = list(training_kit.rows(run.request["data"]))
    fewest = min(len(row["neg"]) for row in rows)
    negatives = asked.pop("negatives", None)
    if negatives is None:
        negatives = min(NEGATIVES, fewest)
    if negatives and not fewest:
        msg = f"there are rows without negatives and negatives={negatives}"
        raise Failed(msg, "give them some, or set negatives=0", kind="data")
    asked["train_group_size"] = negatives + 1
    asked.setdefault("knowledge_distillation", all(row.get("pos_scores") for row in rows))
    longest = asked.pop("max_len", None) or _longest(run)
    asked.setdefault("query_max_len", longest)
    asked.setdefault("passage_max_len", longest)
    if run.request["type"] == "embed":
        train_embedder(run, asked, rows)
    else:
        if not negatives:
            msg = "a reranker learns nothing from positives alone"
            raise Failed(msg, "give every row of the data negatives", kind="data")
        train_reranker(run, asked, rows)


def _longest(run: Run) -> int:
    """Tokens of an input where nothing is said: what the base takes, within reason."""
    tokenizer = AutoTokenizer.from_pretrained(run.request["base"])
    return min(int(tokenizer.model_max_length), LONGEST)


class Mended:
    """What FlagEmbedding's trainers lack."""

    def _load_from_checkpoint(self: Any, checkpoint: str, model: Any = None) -> None:
        # A checkpoint holds the inner model. Loaded into the outer one, as it is without this,
        # no key fits and the training goes on from the base (FlagEmbedding 1.4.2).
        super()._load_from_checkpoint(checkpoint, self.model.model)  # type: ignore[misc]

    def evaluate(self, *given: Any, **named: Any) -> dict[str, float]:
        """The same negatives each time, and the training's own dice as they were."""
        dice = random.getstate()
        random.seed(0)
        try:
            told: dict[str, float] = super().evaluate(*given, **named)  # type: ignore[misc]
        finally:
            random.setstate(dice)
        return told

    def prediction_step(
        self: Any, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Any, None, None]:
        # The model computes a loss only while it trains. This says so of itself alone; its
        # layers stay as they are, without dropout.
        model.training = True
        try:
            with torch.no_grad():
                loss = self.compute_loss(model, self._prepare_inputs(inputs))
        finally:
            model.training = False
        return loss.detach(), None, None


class EmbedderTrainer(Mended, EncoderOnlyEmbedderTrainer):  # type: ignore[misc]
    """FlagEmbedding's trainer of embedders, mended."""


class RerankerTrainer(Mended, EncoderOnlyRerankerTrainer):  # type: ignore[misc]
    """FlagEmbedding's trainer of rerankers, mended."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        # The model divides the scores by the batch size that it was made with: the last batch
        # of an epoch, when it is smaller, would be grouped wrongly and in silence.
        self.model.train_batch_size = (
            len(inputs["pair"]["input_ids"]) // self.train_dataset.args.train_group_size
        )
        return super().compute_loss(model, inputs, return_outputs)


class Prepared:
    """What FlagEmbedding's runners lack: data to measure on, and trainers that are mended."""

    trainer_class: Any

    def __init__(self, *given: Any, measured: Any) -> None:
        self._measured = measured
        super().__init__(*given)

    def load_tokenizer_and_model(self) -> tuple[Any, Any]:
        # In float32 whatever the files hold: with transformers 5 it would be as they have it.
        tokenizer, model = super().load_tokenizer_and_model()  # type: ignore[misc]
        return tokenizer, model.float()

    def load_trainer(self: Any) -> Any:
        measured = self._measured and type(self.train_dataset)(self._measured, self.tokenizer)
        return self.trainer_class(
            model=self.model,
            args=self.training_args,
            train_dataset=self.train_dataset,
            eval_dataset=measured,
            data_collator=self.data_collator,
            processing_class=self.tokenizer,
        )


class EmbedderRunner(Prepared, EncoderOnlyEmbedderRunner):  # type: ignore[misc]
    """FlagEmbedding's runner of embedders, with what it lacks."""

    trainer_class = EmbedderTrainer


class RerankerRunner(Prepared, EncoderOnlyRerankerRunner):  # type: ignore[misc]
    """FlagEmbedding's runner of rerankers, with what it lacks."""

    trainer_class = RerankerTrainer


def _prepare(
    run: Run, asked: dict[str, Any], runner: Any, kinds: tuple[Any, Any, Any]
) -> tuple[Any, Reporter]:
    """FlagEmbedding's runner, its arguments sorted into the classes that have them."""
    model_class, data_class, training_class = kinds
    reporter = Reporter(
        run, ("FlagEmbedding", "sentence-transformers"), asked.pop("patience", None)
    )
    names = {each.name for each in fields(data_class)}
    for_data = {name: value for name, value in asked.items() if name in names}
    for_data |= {"train_data": [run.request["data"]], "cache_path": str(run.output / "cache")}
    rest = {name: value for name, value in asked.items() if name not in names}
    evaluation = run.request["evaluation"]
    made = runner(
        model_class(
            model_name_or_path=run.request["base"],
            trust_remote_code=run.request["trust_remote_code"],
            token=None,
        ),
        data_class(**for_data),
        arguments(training_class, run, rest),
        measured=data_class(**for_data | {"train_data": [evaluation]}) if evaluation else None,
    )
    made.trainer.add_callback(reporter)
    return made, reporter


def train_embedder(run: Run, asked: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Contrastive, with the other passages of a batch."""
    pooling, normalize = _recorded(run)
    if (wanted := asked.pop("sentence_pooling_method", None)) is not None:
        pooling = POOLINGS[wanted]
    elif pooling is None:
        pooling = "cls"
        text = f"the weights {run.request['base']!r} name no pooling; they are trained with cls"
        run.tell("warning", text=text)
    asked |= {
        "sentence_pooling_method": pooling,
        "normalize_embeddings": asked.get("normalize_embeddings", normalize),
        "temperature": asked.get("temperature", TEMPERATURE),
    }
    runner, reporter = _prepare(
        run,
        asked,
        EmbedderRunner,
        (
            EncoderOnlyEmbedderModelArguments,
            EncoderOnlyEmbedderDataArguments,
            EncoderOnlyEmbedderTrainingArguments,
        ),
    )
    tokenizer, data = runner.tokenizer, runner.data_args
    instruction = data.query_instruction_for_retrieval or ""
    texts = [instruction + row["query"] for row in rows[:2]]
    ids = tokenizer(texts, truncation=True, max_length=data.query_max_len)["input_ids"]
    run.tell("samples", samples=[{"text": t, "ids": i} for t, i in zip(texts, ids, strict=True)])
    train(run, runner.trainer, reporter)

    weights = run.output / "model"
    longest = max(data.query_max_len, data.passage_max_len)
    normalizes = runner.training_args.normalize_embeddings
    _save_embedder(run, runner, weights, longest, pooling, normalizes, instruction)
    finish(
        run,
        reporter,
        weights=weights,
        pooling={theirs: ours for ours, theirs in POOLINGS.items()}[pooling],
        normalize=normalizes,
        instruction=instruction,
        max_len=longest,
        probes=[
            {**probe, "vector": _vector(runner, probe["text"], longest)}
            for probe in run.request["probes"]
        ],
    )


def _recorded(run: Run) -> tuple[str | None, bool]:
    """Pooling and normalisation as the base's own files tell them."""
    base = Path(run.request["base"])
    if not (base / "modules.json").exists():
        return None, True
    modules = json.loads((base / "modules.json").read_text(encoding="utf-8"))
    kinds = {each["type"].rpartition(".")[2]: each["path"] for each in modules}
    mode = Pooling.load(str(base / kinds["Pooling"])).pooling_mode if "Pooling" in kinds else None
    known = {theirs: name for name, theirs in THEIRS.items()}
    if mode not in known:
        msg = f"the weights pool with {mode!r}, which FlagEmbedding has not"
        raise Failed(msg, "train with sentence_transformers", kind="argument")
    return known[mode], "Normalize" in kinds


def _save_embedder(
    run: Run,
    runner: Any,
    weights: Path,
    longest: int,
    pooling: str,
    normalizes: bool,
    instruction: str,
) -> None:
    """Write what FlagEmbedding leaves out too: without it everybody guesses the pooling."""
    plain = run.output / "plain"
    _save(run, runner, plain)
    inner = Transformer(str(plain), max_seq_length=longest, model_kwargs={"dtype": "auto"})
    modules = [inner, Pooling(inner.get_embedding_dimension(), THEIRS[pooling])]
    if normalizes:
        modules.append(Normalize())
    whole = SentenceTransformer(
        modules=modules, prompts={"query": instruction, "document": ""}, device="cpu"
    )
    whole.save_pretrained(str(weights), create_model_card=False)
    shutil.rmtree(plain)


def _save(run: Run, runner: Any, folder: Path) -> None:
    """Save in the precision of the base's files, though it was trained in float32."""
    config = AutoConfig.from_pretrained(
        run.request["base"], trust_remote_code=run.request["trust_remote_code"]
    )
    inner = runner.model.model
    inner.to(getattr(config, "dtype", None) or torch.float32).save_pretrained(str(folder))
    runner.tokenizer.save_pretrained(str(folder))
    inner.float().eval()


def _vector(runner: Any, text: str, longest: int) -> list[float]:
    inputs = runner.tokenizer([text], truncation=True, max_length=longest, return_tensors="pt")
    with torch.no_grad():
        vector: list[float] = runner.model.encode(inputs.to(runner.model.model.device))[0].tolist()
    return vector


def train_reranker(run: Run, asked: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Cross-entropy: the positive among its negatives."""
    runner, reporter = _prepare(
        run,
        asked,
        RerankerRunner,
        (AbsRerankerModelArguments, AbsRerankerDataArguments, AbsRerankerTrainingArguments),
    )
    texts = [{"query": row["query"], "document": row["pos"][0]} for row in rows[:2]]
    make = runner.train_dataset.create_one_example
    run.tell(
        "samples",
        samples=[{**t, "ids": list(make(t["query"], t["document"])["input_ids"])} for t in texts],
    )
    train(run, runner.trainer, reporter)

    weights = run.output / "model"
    longest = min(
        runner.data_args.query_max_len + runner.data_args.passage_max_len,
        int(runner.tokenizer.model_max_length),
    )
    runner.tokenizer.model_max_length = longest
    _save(run, runner, weights)
    finish(
        run,
        reporter,
        weights=weights,
        max_len=longest,
        probes=[{**probe, "score": _score(runner, probe)} for probe in run.request["probes"]],
    )


def _score(runner: Any, probe: dict[str, Any]) -> float:
    inputs = runner.tokenizer(
        probe["query"], probe["document"], truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = runner.model.model(**inputs.to(runner.model.model.device)).logits
    return float(torch.sigmoid(logits)[0, 0])


if __name__ == "__main__":
    training_kit.main(main)
