"""Embeddings of texts and images, and rerank."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import modelplug
from modelplug.errors import BadReply, Unsupported
from modelplug.media import Media, Remote
from modelplug.testing import FaultServer, Reply, Request
from modelplug.types import EmbedCall, RerankCall
from modelplug.wire import Response

PNG = Media(b"\x89PNG\r\n\x1a\n", "image/png")
PNG_URI = "data:image/png;base64,iVBORw0KGgo="


def shuffled(request: Request) -> Reply:
    """A vector for each text, the last first."""
    items = [{"index": at, "embedding": [float(t)]} for at, t in enumerate(request.json["input"])]
    body = {"data": items[::-1], "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    return Reply(200, {"content-type": "application/json"}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("model", "sizes"), [("text-embedding-v4", [2, 10]), ("text-embedding-v2", [12])]
)
def test_texts_go_in_requests_of_the_models_size(model: str, sizes: list[int]) -> None:
    with FaultServer() as server:
        server.answer_with(shuffled)
        embed = modelplug.OnlineModule(model, source="qwen", url=server.origin, api_key="k")

        vectors = embed([str(at) for at in range(12)])

        assert [[float(at)] for at in range(12)] == vectors
        assert sizes == sorted(len(request.json["input"]) for request in server.requests)


def test_the_two_routes_for_texts_have_their_names_for_the_same_things(
    codec: Callable[..., Any],
) -> None:
    options = {"dimensions": 64, "encoding_format": "float"}
    plain = EmbedCall("text-embedding-v4", ["a"], options)
    native = EmbedCall("text-embedding-v4", ["a"], {**options, "text_type": "query"})

    bodies = [json.loads(codec("embed").build_request(call).body) for call in (plain, native)]

    assert [
        {"model": "text-embedding-v4", "input": ["a"], **options},
        {
            "model": "text-embedding-v4",
            "input": {"texts": ["a"]},
            "parameters": {"dimension": 64, "text_type": "query"},
        },
    ] == bodies


def test_vectors_that_are_only_sparse_are_refused(codec: Callable[..., Any]) -> None:
    call = EmbedCall("text-embedding-v4", ["a"], {"output_type": "sparse"})

    with pytest.raises(Unsupported, match="dense&sparse"):
        codec("embed").build_request(call)


def test_images_go_as_data_uris_and_videos_as_addresses(codec: Callable[..., Any]) -> None:
    inputs = ["cat", PNG, Remote("https://x.invalid/c"), Remote("https://x.invalid/c.mp4?v=1")]

    request = codec("cross_modal_embed").build_request(EmbedCall("qwen3-vl-embedding", inputs))

    assert {
        "model": "qwen3-vl-embedding",
        "input": {
            "contents": [
                {"text": "cat"},
                {"image": PNG_URI},
                {"image": "https://x.invalid/c"},
                {"video": "https://x.invalid/c.mp4?v=1"},
            ]
        },
    } == json.loads(request.body)


def test_a_video_file_is_refused(codec: Callable[..., Any]) -> None:
    call = EmbedCall("qwen3-vl-embedding", [Media(b"x", "video/mp4")])

    with pytest.raises(Unsupported, match="URL"):
        codec("cross_modal_embed").build_request(call)


def test_a_model_that_answers_with_one_vector_gets_one_content_at_a_time() -> None:
    model = "multimodal-embedding-one-peace-v1"
    body = b'{"output":{"embedding":[0.5]},"usage":{"total_tokens":1},"request_id":"r"}'
    with FaultServer(Reply(200, {"content-type": "application/json"}, body)) as server:
        embed = modelplug.OnlineModule(model, source="qwen", url=server.origin, api_key="k")

        assert [[0.5], [0.5]] == embed(["a", "b"])
        assert 2 == len(server.requests)


@pytest.mark.parametrize(
    "output", [{}, {"embeddings": None}, {"embeddings": [{"index": 0}]}, {"embeddings": []}, []]
)
def test_an_output_without_vectors_is_a_bad_reply(
    output: object, codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    flow = codec("cross_modal_embed").flow(EmbedCall("qwen3-vl-embedding", ["a"]))

    played = play(flow, {"output": output, "request_id": "r"})

    assert isinstance(played.error, BadReply)
    assert "qwen" == played.error.provider


def test_a_ranking_of_texts_sends_no_parameters_unasked(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    flow = codec("rerank", "gte-rerank-v2").flow(RerankCall("gte-rerank-v2", "q", ["a", "b"]))

    played = play(flow, {"output": {"results": [{"index": 1, "relevance_score": 0.9}]}})

    sent = {"model": "gte-rerank-v2", "input": {"query": "q", "documents": ["a", "b"]}}
    assert [sent] == played.bodies
    assert [(1, 0.9)] == played.result.results


def test_a_model_that_sees_ranks_texts_and_images_as_parts(codec: Callable[..., Any]) -> None:
    call = RerankCall("qwen3-vl-rerank", "q", ["a", PNG, {"video": "https://x.invalid/v.mp4"}], 2)

    request = codec("rerank", "qwen3-vl-rerank").build_request(call)

    assert {
        "model": "qwen3-vl-rerank",
        "input": {
            "query": {"text": "q"},
            "documents": [{"text": "a"}, {"image": PNG_URI}, {"video": "https://x.invalid/v.mp4"}],
        },
        "parameters": {"top_n": 2},
    } == json.loads(request.body)


@pytest.mark.parametrize("body", [{"output": {}}, {"output": None}, {"results": []}])
def test_an_output_without_a_ranking_is_a_bad_reply(
    body: object, codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    played = play(codec("rerank").flow(RerankCall("qwen3-rerank", "q", ["a"])), body)

    assert isinstance(played.error, BadReply)


@pytest.mark.parametrize(
    ("headers", "body", "id"),
    [
        ({}, b'{"code": "Throttling", "message": "slower", "request_id": "in-body"}', "in-body"),
        ({"x-request-id": "in-head"}, b'{"code": "X", "request_id": "in-body"}', "in-head"),
        ({}, b"<html>bad gateway</html>", None),
        ({}, b'{"code": "X", "request_id": 7}', None),
    ],
)
def test_an_error_has_the_requests_id_from_the_header_or_else_the_body(
    headers: dict[str, str], body: bytes, id: str | None, codec: Callable[..., Any]
) -> None:
    assert id == codec("rerank").parse_error(Response(429, headers, body)).request_id
