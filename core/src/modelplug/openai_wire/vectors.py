"""Embeddings and rerank."""

from __future__ import annotations

import base64
import binascii
from array import array
from collections.abc import Iterable, Mapping
from sys import byteorder
from typing import Any, cast

from attrs import evolve

from modelplug.errors import BadReply
from modelplug.openai_wire.base import OpenAICodec, read_usage
from modelplug.types import EmbedCall, Embeddings, Ranking, RerankCall
from modelplug.wire import Flow, Request, Response


class OpenAIEmbed(OpenAICodec[EmbedCall, Embeddings]):
    """POST /embeddings."""

    path = "/embeddings"
    options = frozenset({"dimensions", "encoding_format", "user"})

    def payload(self, call: EmbedCall) -> dict[str, Any]:
        """The request body as a mapping; a subclass changes it for its vendor."""
        encoding = "base64" if "embed-base64" in self.endpoint.does else "float"
        return {
            "model": call.model,
            "input": call.inputs,
            "encoding_format": encoding,
            **call.options,
        }

    def build_request(self, call: EmbedCall) -> Request:
        """The request for *call*."""
        return self.post(self.payload(call))

    def parse_response(self, call: EmbedCall, response: Response) -> Embeddings:
        """The vectors in the order of the inputs; servers may answer in any order."""
        return self.read(call, response.json())

    def read(self, call: EmbedCall, raw: Any) -> Embeddings:
        """The vectors that *raw*, a parsed reply, holds under `data`."""
        try:
            items = raw["data"]
            vectors = dict(zip(_indexes(items), map(_vector, items), strict=True))
            usage = raw.get("usage")
        except (TypeError, KeyError, AttributeError) as exc:
            msg = f"the reply is no list of embeddings: {exc} @ $.data"
            raise BadReply(msg) from exc
        if sorted(vectors) != list(range(len(call.inputs))):
            msg = f"{len(call.inputs)} texts were sent and {len(items)} vectors came @ $.data"
            raise BadReply(msg)
        ordered = [vectors[index] for index in range(len(vectors))]
        model = raw.get("model")
        return Embeddings(
            ordered, model if isinstance(model, str) else call.model, read_usage(usage), raw=raw
        )


class CrossModalEmbed(OpenAIEmbed):
    """
    POST /embeddings with {"text"} or {"image"} for each input, as Jina's API takes them.

    Images travel in the request: our engines fetch no URL.
    """

    def prepare(self, call: EmbedCall) -> Flow[EmbedCall]:
        """Fetch the images that are named by a URL."""
        inputs: list[Any] = []
        for each in call.inputs:
            inputs.append(each if isinstance(each, str) else (yield from self.local_copy(each)))
        return evolve(call, inputs=inputs)

    def payload(self, call: EmbedCall) -> dict[str, Any]:
        """The request body as a mapping; a subclass changes it for its vendor."""
        items = [
            {"text": each} if isinstance(each, str) else {"image": each.data_uri()}
            for each in call.inputs
        ]
        return super().payload(call) | {"input": items}


def _indexes(items: list[dict[str, Any]]) -> Iterable[int]:
    # Some servers leave `index` out or null; then the order is the inputs'.
    told = [item.get("index") for item in items]
    return [place if type(at) is not int else at for place, at in enumerate(told)]


def _vector(item: dict[str, Any]) -> list[float]:
    vector = item["embedding"]
    if isinstance(vector, str):
        vector = _floats(vector)
    if isinstance(vector, list) and vector and isinstance(vector[0], list):
        vector = vector[0]
    if not isinstance(vector, list) or not vector or type(vector[0]) not in (float, int):
        msg = "an embedding is no list of numbers"
        raise TypeError(msg)
    return cast("list[float]", vector)


def _floats(text: str) -> list[float]:
    """Base64 of little-endian float32, as OpenAI's `encoding_format: base64` gives it."""
    numbers = array("f")
    try:
        numbers.frombytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as exc:
        msg = f"an embedding is no base64 of float32: {exc} @ $.data"
        raise BadReply(msg) from exc
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


class OpenAIRerank(OpenAICodec[RerankCall, Ranking]):
    """POST /rerank in Jina's form, which vLLM, llama.cpp, infinity and others speak."""

    path = "/rerank"
    options = frozenset({"return_documents"})

    def payload(self, call: RerankCall) -> dict[str, Any]:
        """The request body as a mapping; a subclass changes it for its vendor."""
        payload = {
            "model": call.model,
            "query": call.query,
            "documents": call.documents,
            **call.options,
        }
        # infinity refuses top_n 0 and vLLM reads it as all: left out when all are wanted.
        return payload if call.top_n is None else payload | {"top_n": call.top_n}

    def build_request(self, call: RerankCall) -> Request:
        """The request for *call*."""
        return self.post(self.payload(call))

    def parse_response(self, call: RerankCall, response: Response) -> Ranking:
        """(index, score), best first; Jina's, Cohere's and TEI's forms are read alike."""
        return self.read(call, response.json())

    def read(self, call: RerankCall, raw: Any) -> Ranking:
        """The ranking that *raw*, a parsed reply, holds under `results`."""
        try:
            items = raw if isinstance(raw, list) else raw["results"]
            results = [(item["index"], _score(item)) for item in items]
            usage, model = (
                (None, None) if isinstance(raw, list) else (raw.get("usage"), raw.get("model"))
            )
        except (TypeError, KeyError) as exc:
            msg = f"the reply is no ranking: {exc} @ $.results"
            raise BadReply(msg) from exc
        if not results:
            msg = f"{len(call.documents)} documents were sent and none was ranked @ $.results"
            raise BadReply(msg)
        if any(type(at) is not int or not 0 <= at < len(call.documents) for at, _ in results):
            msg = (
                f"a ranking names a document that is none of the {len(call.documents)} @ $.results"
            )
            raise BadReply(msg)
        results.sort(key=lambda result: result[1], reverse=True)
        return Ranking(
            results[: call.top_n],
            model if isinstance(model, str) else call.model,
            read_usage(usage),
            raw=raw if isinstance(raw, dict) else {"results": raw},
        )


def _score(item: Mapping[str, Any]) -> float:
    score = item["relevance_score"] if "relevance_score" in item else item["score"]
    if type(score) not in (int, float):
        msg = f"a score is {score!r}"
        raise TypeError(msg)
    return float(score)
