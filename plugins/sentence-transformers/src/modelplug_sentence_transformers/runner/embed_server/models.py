"""Models of sentence-transformers as the server calls them: from one thread, a batch at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import batch_to_device, get_device_name
from tokenizers import Tokenizer

from .asked import pixels_of
from .unpadded import Unpadded

IMAGE_LENGTH = 256
"""Of an image, in tokens, for want of a better guess: batches are measured by it."""

_UNLIMITED = 10**6
"""Tokenizers say 1e30 where no limit is known."""


@dataclass(frozen=True)
class Common:
    """What all inputs of a batch share: the prompt before each, the task, text or image."""

    prompt: str = ""
    task: str = ""
    kind: str = "text"


class Model(Protocol):
    """What the server needs of a model, whatever it does."""

    encoder: Any
    prompts: Mapping[str, str]
    default_prompt: str | None
    longest: int | None
    pads: bool

    def lengths(self, common: Common, inputs: Sequence[Any]) -> list[int]:
        """Tokens of each input, uncut. Called from any thread."""

    def compute(self, common: Common, inputs: Sequence[Any]) -> Sequence[Any]:
        """A result for each input, or the exception that it raised."""


def load_encoder(settings: Mapping[str, Any]) -> Any:
    """The weights at `path`, as torch computes them."""
    dtype = settings.get("dtype") or ("float32" if _on_cpu(settings) else "auto")
    maker = CrossEncoder if settings["type"] == "rerank" else SentenceTransformer
    model = maker(
        settings["path"],
        device=settings.get("device") or None,
        trust_remote_code=settings["trust_remote_code"],
        local_files_only=True,
        model_kwargs={"dtype": dtype},
    )
    if settings.get("context"):
        model.max_seq_length = settings["context"]
    model.eval()
    return model


def _on_cpu(settings: Mapping[str, Any]) -> bool:
    # Half-precision weights, computed as they are, are slower and coarser on a CPU.
    return str(settings.get("device") or get_device_name()).startswith("cpu")


class Embedder:
    """Texts, and images where the model sees, to vectors: rows of float32."""

    def __init__(self, encoder: SentenceTransformer, normalize: bool) -> None:
        self.encoder = encoder
        self.prompts: Mapping[str, str] = encoder.prompts
        self.default_prompt: str | None = encoder.default_prompt_name
        self.longest = _longest(encoder)
        self.pads = not isinstance(getattr(encoder[0], "model", None), Unpadded)
        self.sees = "image" in encoder.modalities
        self._normalize = normalize
        self._count = _counter(encoder)

    def lengths(self, common: Common, inputs: Sequence[Any]) -> list[int]:
        """See Model."""
        if common.kind == "image":
            return [IMAGE_LENGTH] * len(inputs)
        return self._count([common.prompt + text for text in inputs])

    def compute(self, common: Common, inputs: Sequence[Any]) -> Sequence[Any]:
        """See Model."""
        if common.kind == "image":
            inputs = [pixels_of(image) for image in inputs]
        # What encode() does for one batch, without its bookkeeping, which takes a tenth of the
        # time of a short text (2026-11).
        encoder, task = self.encoder, {"task": common.task} if common.task else {}
        with torch.inference_mode():
            features = encoder.preprocess(list(inputs), prompt=common.prompt, **task)
            made = encoder(batch_to_device(features, encoder.device), **task)["sentence_embedding"]
            made = made[:, : encoder.truncate_dim]
            if self._normalize:
                made = torch.nn.functional.normalize(made, dim=1)
            found: Sequence[Any] = made.float().cpu().numpy()
        return found


class Ranker:
    """Pairs of a query and a document to scores."""

    def __init__(self, encoder: CrossEncoder) -> None:
        if encoder.num_labels != 1:
            msg = (
                f"modelplug: these weights tell {encoder.num_labels} classes apart, and a reranker "
                f"gives one score"
            )
            raise SystemExit(msg)
        self.encoder = encoder
        self.prompts: Mapping[str, str] = encoder.prompts
        self.default_prompt: str | None = encoder.default_prompt_name
        self.longest = _longest(encoder)
        self.pads = True
        self._count = _counter(encoder)

    def lengths(self, common: Common, inputs: Sequence[Any]) -> list[int]:
        """See Model."""
        return self._count([(common.prompt + query, document) for query, document in inputs])

    def compute(self, common: Common, inputs: Sequence[Any]) -> Sequence[Any]:
        """See Model."""
        found: Sequence[Any] = self.encoder.predict(
            list(inputs), prompt=common.prompt, batch_size=len(inputs), show_progress_bar=False
        )
        return found


def _longest(encoder: Any) -> int | None:
    length = encoder.max_seq_length
    return length if isinstance(length, int) and 0 < length < _UNLIMITED else None


def _counter(encoder: Any) -> Callable[[Sequence[Any]], list[int]]:
    """
    Counts the tokens of texts or pairs, special ones included and uncut, from any thread.

    On a copy of the tokenizer: the model's own changes its limits at each call, and must not
    be called from two threads at once.
    """
    tokenizer = encoder.tokenizer
    fast = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if isinstance(fast, Tokenizer):
        own = Tokenizer.from_str(fast.to_str())
        own.no_truncation()
        own.no_padding()

        def count(texts: Sequence[Any]) -> list[int]:
            return [len(encoding) for encoding in own.encode_batch_fast(list(texts))]

        return count
    slow = copy.deepcopy(tokenizer)

    def count_slowly(texts: Sequence[Any]) -> list[int]:
        pairs = [text if isinstance(text, tuple) else (text,) for text in texts]
        return [len(slow(*pair)["input_ids"]) for pair in pairs]

    return count_slowly
