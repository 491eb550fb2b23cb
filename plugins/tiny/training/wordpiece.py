"""The WordPiece vocabulary that `tiny-embed` and `tiny-rerank` share, cut out of the teacher's."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from texts import chinese_characters
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertTokenizer

CONTEXT = 512
VOCABULARY = 4096
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def make_vocabulary(teacher: SentenceTransformer, texts: Iterable[str]) -> list[str]:
    """Letters, digits, marks and Chinese characters, then the pieces the texts use most."""
    counted: Counter[str] = Counter()
    for text in texts:
        counted.update(teacher.tokenizer.tokenize(text))
    plain = string.ascii_lowercase + string.digits
    pieces = [*SPECIAL, *plain, *string.punctuation, *(f"##{character}" for character in plain)]
    pieces += chinese_characters()
    pieces += [piece for piece, _ in counted.most_common()]
    return list(dict.fromkeys(pieces))[:VOCABULARY]


def make_tokenizer(vocabulary: list[str]) -> BertTokenizer:
    """
    A BERT tokenizer that gives no segment ids.

    llama.cpp takes all of them for 0 (2026-11). An engine that makes its own does no harm:
    both models keep the vectors of both segments at zero.
    """
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    inner = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return BertTokenizer(
        tokenizer_object=inner,
        do_lower_case=True,
        model_max_length=CONTEXT,
        model_input_names=["input_ids", "attention_mask"],
    )


def principal(vectors: np.ndarray, width: int, *, centre: bool) -> np.ndarray:
    """*vectors* on their *width* strongest directions."""
    moved = vectors - vectors.mean(axis=0) if centre else vectors
    _, directions = np.linalg.eigh(moved.T @ moved)
    projected: np.ndarray = moved @ directions[:, ::-1][:, :width]
    return projected


def initial_embeddings(
    teacher: SentenceTransformer, vocabulary: list[str], width: int
) -> torch.Tensor:
    """The teacher's word vectors in fewer dimensions; small noise for what it has no word for."""
    weights = teacher[0].auto_model.embeddings.word_embeddings.weight.detach().numpy()
    known = teacher.tokenizer.get_vocab()
    found = [(row, known[piece]) for row, piece in enumerate(vocabulary) if piece in known]
    rows, ids = zip(*found, strict=True)
    vectors = principal(weights[list(ids)], width, centre=True)
    made = np.random.default_rng(0).normal(0, vectors.std(), (len(vocabulary), width))
    made[list(rows)] = vectors
    return torch.tensor(made / vectors.std() * 0.05, dtype=torch.float32)
