"""Embeddings of texts and of images, and rerank."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve

from modelplug.errors import BadReply, Unsupported
from modelplug.media import Media, Remote
from modelplug.openai_wire import OpenAIEmbed, OpenAIRerank
from modelplug.types import EmbedCall, Embeddings, Ranking, RerankCall
from modelplug.wire import Request, Response
from modelplug_qwen.dashscope import DashScope, usage_of


def part_of(item: object) -> Mapping[str, Any]:
    """A text, or a file by what it is, as an item of a native request; a mapping as it is."""
    if isinstance(item, Mapping):
        return item
    if isinstance(item, Remote):
        guessed = mimetypes.guess_type(urlsplit(item.url).path)[0] or ""
        kind = guessed.partition("/")[0]
        return {kind if kind in ("video", "audio") else "image": item.url}
    if isinstance(item, Media):
        if item.mime.startswith(("video/", "audio/")):
            msg = f"a file of {item.mime} is taken by its URL alone; give the URL"
            raise Unsupported(msg)
        return {"image": item.data_uri()}
    return {"text": item}


class _NativeEmbed(DashScope[EmbedCall, Embeddings], OpenAIEmbed):
    """What the native routes for embeddings have in common."""

    def parameters(self, call: EmbedCall) -> dict[str, Any]:
        """The call's options; the native name of `dimensions` is `dimension`."""
        given = dict(call.options)
        given.pop("encoding_format", None)
        if "dimensions" in given:
            given["dimension"] = given.pop("dimensions")
        return given

    def read_native(self, call: EmbedCall, raw: Any) -> Embeddings:
        """The vectors under `output`: a list, in any order, or the only one."""
        try:
            output = raw["output"]
            items = output.get("embeddings", [output])
            data = [{**item, "index": item.get("text_index", item.get("index"))} for item in items]
            usage = raw.get("usage")
        except (TypeError, KeyError, AttributeError) as exc:
            msg = f"the reply is no list of embeddings: {exc} @ $.output.embeddings"
            raise BadReply(msg) from exc
        return evolve(self.read(call, {"data": data}), usage=usage_of(usage), raw=raw)


class QwenEmbed(_NativeEmbed):
    """
    POST /compatible-mode/v1/embeddings.

    `text_type` (query or document) and `output_type` exist on the native route alone.
    """

    path = "/compatible-mode/v1/embeddings"
    options = OpenAIEmbed.options | {"output_type", "text_type"}

    def build_request(self, call: EmbedCall) -> Request:
        """The request for *call*."""
        if not _needs_native(call):
            return super().build_request(call)
        if call.options.get("output_type") == "sparse":
            msg = "output_type='sparse' gives no vectors; ask for 'dense&sparse' and read .raw"
            raise Unsupported(msg)
        payload = {
            "model": call.model,
            "input": {"texts": call.inputs},
            "parameters": self.parameters(call),
        }
        return self.native("/services/embeddings/text-embedding/text-embedding", payload)

    def parse_response(self, call: EmbedCall, response: Response) -> Embeddings:
        """The vectors in the order of the inputs."""
        if _needs_native(call):
            return self.read_native(call, response.json())
        return super().parse_response(call, response)


def _needs_native(call: EmbedCall) -> bool:
    return "text_type" in call.options or "output_type" in call.options


class QwenCrossModalEmbed(_NativeEmbed):
    """POST to the native route: one vector for each text or image, or one for them all."""

    options = frozenset({"dimensions", "enable_fusion"})

    def build_request(self, call: EmbedCall) -> Request:
        """The request for *call*."""
        payload: dict[str, Any] = {
            "model": call.model,
            "input": {"contents": [part_of(item) for item in call.inputs]},
        }
        if parameters := self.parameters(call):
            payload["parameters"] = parameters
        path = "/services/embeddings/multimodal-embedding/multimodal-embedding"
        return self.native(path, payload)

    def parse_response(self, call: EmbedCall, response: Response) -> Embeddings:
        """The vectors in the order of the inputs; the single one of a fusion."""
        if call.options.get("enable_fusion"):
            call = evolve(call, inputs=[call.inputs])
        return self.read_native(call, response.json())


class QwenRerank(DashScope[RerankCall, Ranking], OpenAIRerank):
    """
    POST to the native route.

    The compatible one, /compatible-api/v1/reranks, knows fewer models and is not needed.
    """

    options = frozenset({"instruct", "return_documents"})

    def build_request(self, call: RerankCall) -> Request:
        """The request for *call*; models that see take query and documents as parts."""
        query: object = call.query
        documents: list[object] = list(call.documents)
        if "-vl-" in call.model.lower():
            query, documents = part_of(query), [part_of(each) for each in documents]
        payload: dict[str, Any] = {
            "model": call.model,
            "input": {"query": query, "documents": documents},
        }
        top_n = {} if call.top_n is None else {"top_n": call.top_n}
        if parameters := {**call.options, **top_n}:
            payload["parameters"] = parameters
        return self.native("/services/rerank/text-rerank/text-rerank", payload)

    def parse_response(self, call: RerankCall, response: Response) -> Ranking:
        """(index, score), best first."""
        raw = response.json()
        if not isinstance(raw, dict) or not isinstance(raw.get("output"), dict):
            msg = "the reply is no ranking: required field missing @ $.output.results"
            raise BadReply(msg)
        ranking = self.read(call, raw["output"])
        return evolve(ranking, usage=usage_of(raw.get("usage")), raw=raw)
