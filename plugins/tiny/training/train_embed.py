"""
Train the embedding model `tiny-embed`: `python train_embed.py TAUGHT OUT`.

A three-layer BERT encoder learns the vectors that `teach.py` left in TAUGHT, brought down to
128 dimensions. OUT becomes a sentence-transformers folder in float16.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from teach import load_teacher
from torch.nn import functional
from transformers import BertConfig, BertModel, BertTokenizer
from wordpiece import CONTEXT, initial_embeddings, make_tokenizer, make_vocabulary, principal

HIDDEN = 128
LAYERS = 3
HEADS = 4
INTERMEDIATE = 384
BATCH = 128
HELD_BACK = 1000
WARM_UP = 100


def read_taught(folder: Path) -> tuple[list[str], np.ndarray]:
    rows = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    return [row["text"] for row in rows], np.load(folder / "vectors.npy")


def make_model(vocabulary: list[str], teacher: SentenceTransformer) -> BertModel:
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INTERMEDIATE,
        max_position_embeddings=CONTEXT,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    model = BertModel(config)
    with torch.no_grad():
        embeddings = model.embeddings
        embeddings.word_embeddings.weight.copy_(initial_embeddings(teacher, vocabulary, HIDDEN))
        # Positions no text here reaches stay zero, so a long text is read without positions
        # rather than with noise.
        embeddings.position_embeddings.weight.zero_()
        embeddings.token_type_embeddings.weight.zero_()
    embeddings.token_type_embeddings.weight.requires_grad_(False)
    return model


def embed(model: BertModel, tokenizer: BertTokenizer, texts: list[str]) -> torch.Tensor:
    read = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="pt")
    mask = read["attention_mask"].unsqueeze(-1)
    hidden = model(**read).last_hidden_state
    return functional.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=-1)


def batches(lengths: list[int], rng: random.Random) -> Iterator[list[int]]:
    """Endless batches of indices; each is of texts of like length out of one random chunk."""
    order = list(range(len(lengths)))
    while True:
        rng.shuffle(order)
        for start in range(0, len(order) - 16 * BATCH, 16 * BATCH):
            chunk = sorted(order[start : start + 16 * BATCH], key=lengths.__getitem__)
            cut = [chunk[n : n + BATCH] for n in range(0, len(chunk), BATCH)]
            rng.shuffle(cut)
            yield from cut


def loss_of(vectors: torch.Tensor, reduced: torch.Tensor, full: torch.Tensor) -> torch.Tensor:
    """How far the vectors are from their targets, and their similarities from the teacher's."""
    towards = (1 - (vectors * reduced).sum(dim=-1)).mean()
    alike = functional.mse_loss(vectors @ vectors.T, full @ full.T)
    return towards + 10 * alike


def correlation(
    model: BertModel, tokenizer: BertTokenizer, texts: list[str], full: torch.Tensor
) -> float:
    """Pearson's r between the student's and the teacher's similarities of unseen texts."""
    with torch.no_grad():
        vectors = torch.cat(
            [embed(model, tokenizer, texts[n : n + 100]) for n in range(0, len(texts), 100)]
        )
    upper = torch.triu_indices(len(texts), len(texts), offset=1)
    both = torch.stack([(v @ v.T)[upper[0], upper[1]] for v in (vectors, full)])
    return float(torch.corrcoef(both)[0, 1])


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def save(model: BertModel, tokenizer: BertTokenizer, out: Path) -> None:
    """
    Write the folder in the layout sentence-transformers has had since its version 2.

    Its version 6 would write new module names, which older ones and vLLM do not know.
    """
    model.eval().to(torch.float16).save_pretrained(out)
    # What the training cut and padded to would be kept with the tokenizer.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(out)
    folders = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": idx, "name": str(idx), "path": path, "type": f"sentence_transformers.models.{name}"}
        for idx, (name, path) in enumerate(folders.items())
    ]
    write_json(out / "modules.json", modules)
    write_json(
        out / "sentence_bert_config.json", {"max_seq_length": CONTEXT, "do_lower_case": False}
    )
    pooling = {"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": True}
    write_json(out / "1_Pooling" / "config.json", pooling)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("taught", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(3)
    teacher = load_teacher()
    texts, vectors = read_taught(given.taught)
    vocabulary = make_vocabulary(teacher, texts)
    tokenizer = make_tokenizer(vocabulary)
    model = make_model(vocabulary, teacher)
    full = functional.normalize(torch.tensor(vectors), dim=-1)
    reduced = torch.tensor(principal(vectors, HIDDEN, centre=False))
    reduced = functional.normalize(reduced, dim=-1)
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(1)).tolist()
    texts, full, reduced = [texts[n] for n in order], full[order], reduced[order]
    lengths = [len(tokenizer.tokenize(text)) for text in texts[:-HELD_BACK]]
    print(f"{len(vocabulary)} tokens, {model.num_parameters()} parameters", flush=True)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=given.rate, weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / given.steps))
        ),
    )
    started = time.time()
    for step, batch in enumerate(batches(lengths, random.Random(2))):
        if step % 400 == 0 or step == given.steps:
            r = correlation(model, tokenizer, texts[-HELD_BACK:], full[-HELD_BACK:])
            spent = f"{time.time() - started:.0f} s, {time.process_time():.0f} cpu-s"
            print(f"step {step}: r {r:.4f} on unseen texts, {spent}", flush=True)
        if step == given.steps:
            break
        vectors_now = embed(model, tokenizer, [texts[n] for n in batch])
        loss = loss_of(vectors_now, reduced[batch], full[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    save(model, tokenizer, given.out)


if __name__ == "__main__":
    main()
