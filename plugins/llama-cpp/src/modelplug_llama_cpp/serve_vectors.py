"""
Serves one embedder or reranker with llama-cpp-python: `serve_vectors.py '{"path": ..., ...}'`.

The package's own server sets no pooling, normalises nothing, cuts long texts off unsaid, and
has no route to rerank (0.3.36). Run by path, in any interpreter that has llama-cpp-python, with
modelplug-local's engine_server on its path; it imports nothing else of modelplug.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np
from engine_replies import embeddings, ranking
from engine_server import Fields, Refused, Request, Service, run

QUEUE = 64
"""Requests that wait: one is computed at a time, text by text, which is fastest on a CPU."""

MOST_INPUTS = 2048


class Model:
    """The weights, and one context, cleared for each text."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.name: str = settings["model"]
        self._llama = llama_cpp.Llama(settings["path"], embedding=True, **settings["load"])
        self._vocab = llama_cpp.llama_model_get_vocab(self._llama.model)
        # Of a reranker there is one number, and the library would read a whole vector.
        ranks = self._llama.pooling_type() == llama_cpp.LLAMA_POOLING_TYPE_RANK
        self._width = 1 if ranks else self._llama.n_embd()

    def text(self, text: str) -> list[int]:
        """The ids of *text*, with the marks around it."""
        return self._ids(text, marked=True)

    def pair(self, query: str, document: str) -> list[int]:
        """The ids of both, put together as llama.cpp's own server does."""
        template = llama_cpp.llama_model_chat_template(self._llama.model, b"rerank")
        if template is not None:
            given = {"{query}": query, "{document}": document}
            filled = re.sub(r"{query}|{document}", lambda found: given[found[0]], template.decode())
            return self._ids(filled, marked=True, special=True)
        begin, between, end = self._marks()
        first, second = self._ids(query), self._ids(document)
        return [*begin, *first, *end, *between, *second, *end]

    def _marks(self) -> tuple[list[int], list[int], list[int]]:
        """What stands before both, between them, and after each."""
        vocab = self._vocab
        separator, end = llama_cpp.llama_vocab_sep(vocab), llama_cpp.llama_vocab_eos(vocab)
        if end == llama_cpp.LLAMA_TOKEN_NULL:
            end = separator
        return (
            [llama_cpp.llama_vocab_bos(vocab)] if llama_cpp.llama_vocab_get_add_bos(vocab) else [],
            [separator] if llama_cpp.llama_vocab_get_add_sep(vocab) else [],
            [end] if llama_cpp.llama_vocab_get_add_eos(vocab) else [],
        )

    def _ids(self, text: str, *, marked: bool = False, special: bool = False) -> list[int]:
        try:
            data = text.encode()
        except UnicodeEncodeError:  # JSON can say half of a surrogate pair
            raise Refused(400, "a text holds half a surrogate pair") from None
        return list(self._llama.tokenize(data, add_bos=marked, special=special))

    def compute(self, ids: Sequence[int], what: str) -> Any:
        """The vector of a text, or the score of a pair, as an array of floats."""
        room = self._llama.n_batch
        if not 0 < len(ids) <= room:
            message = f"{what} has {len(ids)} tokens and may have 1 to {room}; divide it"
            code = "context_length_exceeded" if ids else "invalid_request_error"
            raise Refused(400, message, code)
        context = self._llama.ctx
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        tokens = (llama_cpp.llama_token * len(ids))(*ids)
        if status := llama_cpp.llama_decode(
            context, llama_cpp.llama_batch_get_one(tokens, len(ids))
        ):
            msg = f"llama_decode answers {status}"
            raise RuntimeError(msg)
        numbers = llama_cpp.llama_get_embeddings_seq(context, 0)[: self._width]
        return np.array(numbers, np.float32)


class Embeddings:
    """POST /v1/embeddings, as OpenAI has it; vectors have length 1, as those of xllamacpp."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, request: Request) -> dict[str, Any]:
        fields = request.json()
        fields.only("model", "input", "encoding_format", "user")
        encoding = fields.one_of("encoding_format", "float", ("float", "base64"))
        texts = _texts(fields, "input")
        tokens = [self._model.text(text) for text in texts]
        vectors = []
        for at, ids in enumerate(tokens):
            request.check_caller()
            vector = self._model.compute(ids, f"input[{at}]")
            vectors.append(vector / max(float(np.linalg.norm(vector)), 1e-12))
        return embeddings(self._model.name, vectors, encoding, sum(map(len, tokens)))


class Rerank:
    """POST /v1/rerank, as Jina has it; a score is what the model's head says."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, request: Request) -> dict[str, Any]:
        fields = request.json()
        fields.only("model", "query", "documents", "top_n", "return_documents")
        query, documents = fields.text("query"), _texts(fields, "documents")
        top = fields.whole("top_n", len(documents), least=1, most=2**31)
        tokens = [self._model.pair(query, document) for document in documents]
        scores = []
        for at, ids in enumerate(tokens):
            request.check_caller()
            scores.append(float(self._model.compute(ids, f"documents[{at}] with the query")[0]))
        shown = fields.values.get("return_documents") is True
        total = sum(map(len, tokens))
        return ranking(self._model.name, scores, documents, top, total, shown=shown)


def _texts(fields: Fields, name: str) -> list[str]:
    given = fields.values.get(name)
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise Refused(400, f"{name} must be a text or a list of texts, at least one")
    if len(texts) > MOST_INPUTS:
        raise Refused(400, f"{name} has {len(texts)} items and may have {MOST_INPUTS}")
    return texts


def load(settings: dict[str, Any]) -> Service:
    """The model, behind the route of its type."""
    model = Model(settings)
    if settings["type"] == "rerank":
        return Service({"/v1/rerank": Rerank(model)}, model.name, queue=QUEUE)
    return Service({"/v1/embeddings": Embeddings(model)}, model.name, queue=QUEUE)


if __name__ == "__main__":
    run(load)
