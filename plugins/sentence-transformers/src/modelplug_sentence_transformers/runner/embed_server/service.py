"""The routes: embeddings on OpenAI's wire, rankings on Jina's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from typing import Any

import numpy as np
import torch
from engine_replies import embeddings, ranking
from engine_server import CallerGone, Fields, Refused, Request, Service

from .asked import check_lengths, documents_of, flag, inputs_of, prompt_of, text_of
from .backends import reads_texts_only, use_fastest
from .batching import Batcher, Busy, Input, Job
from .models import Common, Embedder, Model, Ranker, load_encoder
from .unpadded import TOKENS, unpad

WORKERS, QUEUE = 64, 64
"""Requests whose inputs are in the batches' queue, and requests that wait to be read."""

BATCH_CPU, BATCH_LARGE = 16, 128
"""Nearly all that batching gives on a CPU is there at 8 (2026-11); two batches' worth of callers
keep it busy while the answers of one are on their way. GPUs gain from more, and where nothing
is padded the tokens are the limit."""

TOKENS_EACH = 512
"""Padded tokens of a batch for each input that it may have: of long texts it takes fewer."""

_LOOK_UP = 1.0
"""Seconds after which it is seen whether the caller is still there."""


class Served:
    """A model and the queue before it, as both routes use them."""

    def __init__(self, model: Model, settings: Mapping[str, Any]) -> None:
        self.model = model
        self.name: str = settings["model"]
        self._truncate: bool = settings["truncate"]
        on_cpu = model.encoder.device.type == "cpu"
        size = settings.get("batch") or (BATCH_CPU if on_cpu and model.pads else BATCH_LARGE)
        self._batcher = Batcher(
            model.compute,
            size=size,
            tokens=TOKENS_EACH * size if model.pads else TOKENS,
            waiting=settings["queue"],
            pads=model.pads,
        )

    def lengths(
        self, fields: Fields, common: Common, inputs: Sequence[Any], names: Sequence[str]
    ) -> list[int]:
        """Tokens that the model reads of each input; Refused where it would cut one unasked."""
        lengths = self.model.lengths(common, inputs)
        longest = self.model.longest
        if common.kind == "image" or longest is None:
            return lengths
        if not flag(fields, "truncate", self._truncate):
            check_lengths(lengths, longest, names)
        return [min(length, longest) for length in lengths]

    def begin(self, common: Common, inputs: Sequence[Any], lengths: Sequence[int]) -> Job:
        """Put them into the queue; Refused where it is full."""
        pieces = [Input(content, length) for content, length in zip(inputs, lengths, strict=True)]
        try:
            return self._batcher.submit(common, pieces)
        except Busy as busy:
            message = "the engine is busy and its queue is full; try again, or send less at once"
            code = "rate_limit_exceeded"
            raise Refused(429, message, code, retry_after=busy.retry_after) from None


def results_of(job: Job, request: Request) -> list[Any]:
    """What came of *job*; CallerGone, and it is dropped, when the caller has hung up."""
    try:
        while not wait([job.results], _LOOK_UP).done:
            request.check_caller()
    except CallerGone:
        job.dropped = True
        raise
    return job.results.result()


class Embeddings:
    """POST /v1/embeddings."""

    def __init__(self, served: Served, model: Embedder) -> None:
        self._served, self._model = served, model

    def __call__(self, request: Request) -> dict[str, Any]:
        fields = request.json()
        inputs = inputs_of(fields, self._model.sees)
        encoding = fields.one_of("encoding_format", "float", ("float", "base64"))
        rows, tokens = self._rows(request, fields, inputs)
        vectors = _shortened(np.stack([rows[at] for at in range(len(inputs))]), fields)
        return embeddings(self._served.name, vectors, encoding, tokens)

    def _rows(
        self, request: Request, fields: Fields, inputs: Sequence[Any]
    ) -> tuple[dict[int, Any], int]:
        """(a vector by each input's place, the texts' tokens)."""
        prompt, task = prompt_of(fields, self._model.prompts, self._model.default_prompt)
        texts = [at for at, each in enumerate(inputs) if isinstance(each, str)]
        images = [at for at, each in enumerate(inputs) if not isinstance(each, str)]
        jobs: list[tuple[list[int], Job]] = []
        rows: dict[int, Any] = {}
        tokens = 0
        try:
            for places, common in ((texts, Common(prompt, task)), (images, Common(kind="image"))):
                if not places:
                    continue
                contents, names = [inputs[at] for at in places], [f"input[{at}]" for at in places]
                lengths = self._served.lengths(fields, common, contents, names)
                tokens += sum(lengths) if common.kind == "text" else 0
                jobs.append((places, self._served.begin(common, contents, lengths)))
            for places, job in jobs:
                rows |= zip(places, results_of(job, request), strict=True)
        except BaseException:
            for _, job in jobs:  # what began before the failure is of no use any more
                job.dropped = True
            raise
        return rows, tokens


def _shortened(vectors: Any, fields: Fields) -> Any:
    """
    The first `dimensions` of each, for models that were taught so (Matryoshka).

    What had the length 1 has it again: similarities are read off it.
    """
    vectors = vectors.astype(np.float32, copy=False)
    if not np.isfinite(vectors).all():
        msg = "the model gave vectors that are no numbers"
        raise ArithmeticError(msg)
    if not fields.has("dimensions"):
        return vectors
    width = fields.whole("dimensions", None, least=1, most=vectors.shape[1])
    short = vectors[:, :width]
    is_unit = np.abs(np.linalg.norm(vectors, axis=1, keepdims=True) - 1) < 1e-3
    lengths = np.linalg.norm(short, axis=1, keepdims=True)
    return np.where(is_unit, short / np.maximum(lengths, 1e-12), short)


class Rerank:
    """POST /v1/rerank."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def __call__(self, request: Request) -> dict[str, Any]:
        fields = request.json()
        query, documents = text_of(fields, "query"), documents_of(fields)
        top = fields.whole("top_n", len(documents), least=1, most=2**31)
        return_documents = flag(fields, "return_documents", False)
        model = self._served.model
        common = Common(*prompt_of(fields, model.prompts, model.default_prompt))
        pairs = [(query, document) for document in documents]
        names = [f"documents[{at}]" for at in range(len(documents))]
        lengths = self._served.lengths(fields, common, pairs, names)
        scores = results_of(self._served.begin(common, pairs, lengths), request)
        name, total = self._served.name, sum(lengths)
        return ranking(name, scores, documents, top, total, shown=return_documents)


def load(settings: dict[str, Any]) -> Service:
    """The model at `path`, on the fastest back end, behind its route."""
    torch.set_num_threads(settings["threads"])
    encoder = load_encoder(settings)
    is_ranker = settings["type"] == "rerank"
    # Rerankers read the first token of each row, and GPUs have padding to spare.
    if not is_ranker and encoder.device.type == "cpu" and reads_texts_only(encoder):
        unpad(encoder)
    use_fastest(encoder, settings)
    if is_ranker:
        ranker = Ranker(encoder)
        routes: dict[str, Any] = {"/v1/rerank": Rerank(Served(ranker, settings))}
    else:
        embedder = Embedder(encoder, settings["normalize"])
        routes = {"/v1/embeddings": Embeddings(Served(embedder, settings), embedder)}
    return Service(routes, settings["model"], workers=WORKERS, queue=QUEUE)
