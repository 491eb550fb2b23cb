"""
Train the reranker `tiny-rerank`: `python train_rerank.py TAUGHT OUT`.

A three-layer BERT cross-encoder learns the teacher's similarity of query and document (see
`teach.py`). llama.cpp runs BERT without segment ids, so it is given none here either and has
to find out itself which side of [SEP] a token is on.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from teach import load_teacher
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer
from wordpiece import CONTEXT, initial_embeddings, make_tokenizer, make_vocabulary

HIDDEN = 96
LAYERS = 3
HEADS = 3
INTERMEDIATE = 256
BATCH = 128
QUERIES = 16000
QUERY_TOKENS = 14
NEIGHBOURS = 24
HELD_BACK = 400
WARM_UP = 100
SEP = 3


@dataclass(frozen=True)
class Pairs:
    """What pairs are drawn from: the texts as ids, their vectors, and near texts of each query."""

    ids: list[list[int]]
    vectors: torch.Tensor
    queries: list[int]
    near: torch.Tensor
    siblings: list[list[int]]

    def draw(self, rng: random.Random, places: range) -> tuple[int, int]:
        """A query and a document: a neighbour, a text of the same synset, or any."""
        place = rng.choice(places)
        query, chance = self.queries[place], rng.random()
        if chance < 0.4:
            return query, int(self.near[place, rng.randrange(NEIGHBOURS)])
        if chance < 0.6 and self.siblings[place]:
            return query, rng.choice(self.siblings[place])
        return query, rng.randrange(len(self.ids))


def read_pairs(folder: Path, tokenizer: BertTokenizer, rng: random.Random) -> Pairs:
    rows = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    ids = tokenizer([row["text"] for row in rows], add_special_tokens=False)["input_ids"]
    vectors = functional.normalize(torch.tensor(np.load(folder / "vectors.npy")), dim=-1)
    groups: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        if row["group"] is not None:
            groups.setdefault(row["group"], []).append(index)
    short = [index for index, some in enumerate(ids) if len(some) <= QUERY_TOKENS]
    queries = rng.sample(short, QUERIES)
    near, siblings = [], []
    for start in range(0, QUERIES, 500):
        alike = vectors[queries[start : start + 500]] @ vectors.T
        near.append(alike.topk(NEIGHBOURS + 1).indices[:, 1:])
    for query in queries:
        group = groups.get(rows[query]["group"], [])
        siblings.append([other for other in group if other != query])
    return Pairs(ids, vectors, queries, torch.cat(near), siblings)


@dataclass(frozen=True)
class Batch:
    """Pairs laid out as [CLS] query [SEP] document [SEP], and what to learn from them."""

    ids: torch.Tensor
    mask: torch.Tensor
    side: torch.Tensor
    score: torch.Tensor


def collate(pairs: Pairs, drawn: list[tuple[int, int]]) -> Batch:
    rows = []
    for query, document in drawn:
        asked, told = pairs.ids[query], pairs.ids[document][:120]
        rows.append(([2, *asked, SEP, *told, SEP], len(asked) + 2))
    length = max(len(row) for row, _ in rows)
    ids = torch.zeros((len(rows), length), dtype=torch.long)
    side = torch.zeros((len(rows), length), dtype=torch.long)
    for number, (row, first) in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        side[number, first : len(row) - 1] = 1
    left, right = (pairs.vectors[list(some)] for some in zip(*drawn, strict=True))
    # Unrelated texts have a cosine of about 0.05 with this teacher, good answers 0.5 and more.
    score = (((left * right).sum(dim=-1) - 0.05) / 0.6).clamp(0, 1)
    return Batch(ids, (ids != 0).long(), side, score)


class Hints(torch.nn.Module):
    """
    Two extra heads for training only.

    The first layer is asked on which side of [SEP] a token is, the second how like its best
    match on the other side it is. With them r passed 0.88 in 600 steps; without them was not
    tried.
    """

    def __init__(self, words: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("words", functional.normalize(words, dim=-1))
        self.side = torch.nn.Linear(HIDDEN, 1)
        self.match = torch.nn.Linear(HIDDEN, 1)

    def forward(self, states: tuple[torch.Tensor, ...], batch: Batch) -> torch.Tensor:
        word = batch.ids > SEP + 1
        side_loss = functional.binary_cross_entropy_with_logits(
            self.side(states[1])[..., 0][word], batch.side[word].float()
        )
        words = self.words[batch.ids]
        across = word.unsqueeze(2) & word.unsqueeze(1)
        across &= batch.side.unsqueeze(2) != batch.side.unsqueeze(1)
        best = (words @ words.transpose(1, 2)).masked_fill(~across, 0.0).amax(dim=-1)
        match_loss = functional.mse_loss(self.match(states[2])[..., 0][word], best[word])
        return side_loss + 3 * match_loss


def make_model(vocabulary: list[str], words: torch.Tensor) -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INTERMEDIATE,
        max_position_embeddings=CONTEXT,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=1,
        pad_token_id=0,
    )
    model = BertForSequenceClassification(config)
    embeddings = model.bert.embeddings
    with torch.no_grad():
        embeddings.word_embeddings.weight.copy_(words)
        embeddings.position_embeddings.weight.copy_(waves(CONTEXT, HIDDEN) * 0.03)
        embeddings.token_type_embeddings.weight.zero_()
        for layer in model.bert.encoder.layer[1:]:
            # Start from "look at tokens like this one".
            attention = layer.attention.self
            attention.query.weight.normal_(0, 0.1)
            attention.key.weight.copy_(attention.query.weight)
    embeddings.token_type_embeddings.weight.requires_grad_(False)
    return model


def waves(length: int, width: int) -> torch.Tensor:
    """Sines and cosines of the position, so that positions not met in training are not noise."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(1000.0) / width))
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def correlation(model: BertForSequenceClassification, pairs: Pairs) -> float:
    """Pearson's r between score and teacher, for queries held back."""
    rng = random.Random(4)
    held = range(len(pairs.queries) - HELD_BACK, len(pairs.queries))
    batch = collate(pairs, [pairs.draw(rng, held) for _ in range(800)])
    with torch.no_grad():
        scores = model(input_ids=batch.ids, attention_mask=batch.mask).logits[:, 0].sigmoid()
    return float(torch.corrcoef(torch.stack([scores, batch.score]))[0, 1])


def train(
    model: BertForSequenceClassification, hints: Hints, pairs: Pairs, steps: int, rate: float
) -> None:
    rng = random.Random(9)
    learnt = [p for p in [*model.parameters(), *hints.parameters()] if p.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps)),
    )
    places = range(len(pairs.queries) - HELD_BACK)
    started = time.time()
    for step in range(steps):
        # Pairs of like length go together; little is lost to padding.
        drawn = sorted(
            (pairs.draw(rng, places) for _ in range(4 * BATCH)),
            key=lambda pair: len(pairs.ids[pair[0]]) + len(pairs.ids[pair[1]]),
        )
        start = rng.randrange(4) * BATCH
        batch = collate(pairs, drawn[start : start + BATCH])
        out = model(input_ids=batch.ids, attention_mask=batch.mask, output_hidden_states=True)
        score_loss = functional.binary_cross_entropy_with_logits(out.logits[:, 0], batch.score)
        hint_loss = hints(out.hidden_states, batch)
        optimizer.zero_grad(set_to_none=True)
        (2 * score_loss + hint_loss).backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0 or step == steps - 1:
            spent = f"{time.time() - started:.0f} s, {time.process_time():.0f} cpu-s"
            losses = f"score {score_loss.item():.4f}, hints {hint_loss.item():.4f}"
            print(f"step {step}: {losses}, r {correlation(model, pairs):.4f}, {spent}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("taught", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(6)
    teacher = load_teacher()
    rows = json.loads((given.taught / "texts.json").read_text(encoding="utf-8"))
    vocabulary = make_vocabulary(teacher, [row["text"] for row in rows])
    tokenizer = make_tokenizer(vocabulary)
    words = initial_embeddings(teacher, vocabulary, HIDDEN)
    pairs = read_pairs(given.taught, tokenizer, random.Random(8))
    model = make_model(vocabulary, words)
    print(f"{len(vocabulary)} tokens, {model.num_parameters()} parameters", flush=True)
    train(model, Hints(words), pairs, given.steps, given.rate)
    model.eval().to(torch.float16).save_pretrained(given.out)
    tokenizer.save_pretrained(given.out)


if __name__ == "__main__":
    main()
