"""Embeddings and rerank: requests, and replies in each form that servers give them."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from attrs import evolve
from core_helpers import ENDPOINT, finish
from hypothesis import given
from hypothesis import strategies as st

from modelplug.errors import BadReply, CallError
from modelplug.media import Media, Remote
from modelplug.openai_wire import CrossModalEmbed, OpenAIEmbed, OpenAIRerank
from modelplug.types import EmbedCall, Embeddings, Ranking, RerankCall, Usage
from modelplug.wire import Response

EMBED = OpenAIEmbed(ENDPOINT)
RERANK = OpenAIRerank(ENDPOINT)
PAIR = EmbedCall("e", ["a", "b"])
ASKED = RerankCall("r", "q", ["d0", "d1"])


def embedded(reply: object, call: EmbedCall = PAIR) -> Embeddings:
    result, _ = finish(EMBED.flow(call), Response(200, body=json.dumps(reply).encode()))
    assert isinstance(result, Embeddings)
    return result


def ranked(reply: object, call: RerankCall = ASKED) -> Ranking:
    result, _ = finish(RERANK.flow(call), Response(200, body=json.dumps(reply).encode()))
    assert isinstance(result, Ranking)
    return result


def data(*items: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(items)}


# Embeddings.


def test_texts_and_images_are_posted_as_objects_and_images_are_fetched_here() -> None:
    call = EmbedCall("e", ["a kite", Media(b"PNG", "image/png"), Remote("https://x.invalid/a.gif")])
    fetched = Response(200, {"content-type": "image/gif"}, b"GIF")
    found = Response(
        200,
        body=json.dumps(
            data({"embedding": [1.0]}, {"embedding": [2.0]}, {"embedding": [3.0]})
        ).encode(),
    )

    result, requests = finish(CrossModalEmbed(ENDPOINT).flow(call), fetched, found)

    assert ["https://x.invalid/a.gif", "http://127.0.0.1:9/v1/embeddings"] == [
        it.url for it in requests
    ]
    assert [
        {"text": "a kite"},
        {"image": "data:image/png;base64,UE5H"},
        {"image": "data:image/gif;base64,R0lG"},
    ] == json.loads(requests[1].body)["input"]
    assert [[1.0], [2.0], [3.0]] == result.vectors


def test_texts_are_posted_in_order_and_floats_asked_for() -> None:
    request = EMBED.build_request(evolve(PAIR, options={"dimensions": 2}))

    assert "http://127.0.0.1:9/v1/embeddings" == request.url
    assert {"model": "e", "input": ["a", "b"], "encoding_format": "float", "dimensions": 2} == (
        json.loads(request.body)
    )


def test_base64_is_asked_for_where_the_server_offers_it() -> None:
    codec = OpenAIEmbed(evolve(ENDPOINT, does=frozenset({"embed-base64"})))

    assert "base64" == json.loads(codec.build_request(PAIR).body)["encoding_format"]


def test_tv11_vectors_out_of_order_are_put_in_the_order_of_the_texts() -> None:
    reply = data({"index": 1, "embedding": [0.3]}, {"index": 0, "embedding": [0.1]}) | {
        "model": "m",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }

    embeddings = embedded(reply)

    assert [[0.1], [0.3]] == embeddings.vectors
    assert "m" == embeddings.model
    assert Usage(2, None, 2) == embeddings.usage
    assert reply == embeddings.raw
    assert "0.3" not in repr(embeddings)


def test_tv11b_base64_is_little_endian_float32() -> None:
    (vector,) = embedded(
        data({"index": 0, "embedding": "zczMPc3MTD4="}), evolve(PAIR, inputs=["a"])
    ).vectors

    assert [struct.unpack("<f", struct.pack("<f", x))[0] for x in (0.1, 0.2)] == vector


@pytest.mark.parametrize("index", [{}, {"index": None}, {"index": "0"}], ids=repr)
def test_without_an_index_the_order_is_that_of_the_texts(index: dict[str, Any]) -> None:
    reply = data({"embedding": [0.1], **index}, {"embedding": [0.2], **index})

    assert [[0.1], [0.2]] == embedded(reply).vectors


def test_a_vector_inside_a_list_is_taken_out() -> None:
    assert [[0.1, 0.2]] == embedded(
        data({"index": 0, "embedding": [[0.1, 0.2]]}), evolve(PAIR, inputs=["a"])
    ).vectors


@pytest.mark.parametrize("model", [None, 5], ids=repr)
def test_the_model_that_was_asked_for_stands_in_for_one_that_is_not_told(model: object) -> None:
    reply = data({"embedding": [0.1]}, {"embedding": [0.2]}) | {"model": model}

    assert ("e", Usage()) == (embedded(reply).model, embedded(reply).usage)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_base64_gives_each_float_exactly(numbers: list[float]) -> None:
    text = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()

    assert [numbers] == embedded(data({"embedding": text}), evolve(PAIR, inputs=["a"])).vectors


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ({}, "the reply is no list of embeddings: 'data' @ $.data"),
        (data({"embedding": [0.1]}), "2 texts were sent and 1 vectors came @ $.data"),
        (data(*[{"embedding": [0.1]}] * 3), "2 texts were sent and 3 vectors came @ $.data"),
        (data(*[{"index": 0, "embedding": [0.1]}] * 2), "2 texts were sent and 2 vectors came @ $.data"),
        (data(*[{"index": at, "embedding": [0.1]} for at in (1, 2)]), "2 texts were sent and 2 vectors came @ $.data"),
        (data({}, {}), "the reply is no list of embeddings: 'embedding' @ $.data"),
        (data({"embedding": []}, {}), "the reply is no list of embeddings: an embedding is no list of numbers @ $.data"),
        (data({"embedding": ["x"]}, {}), "the reply is no list of embeddings: an embedding is no list of numbers @ $.data"),
        (data({"embedding": [True]}, {}), "the reply is no list of embeddings: an embedding is no list of numbers @ $.data"),
        (data({"embedding": {"a": 1}}, {}), "the reply is no list of embeddings: an embedding is no list of numbers @ $.data"),
        (data({"embedding": ""}, {}), "the reply is no list of embeddings: an embedding is no list of numbers @ $.data"),
    ],
    ids=["none", "few", "many", "twice", "beyond", "absent", "empty", "texts", "bools", "sparse", "no text"],
)  # fmt: skip
def test_what_is_no_list_of_vectors_is_a_bad_reply(reply: object, told: str) -> None:
    with pytest.raises(BadReply) as caught:
        embedded(reply)

    assert told == str(caught.value)
    assert 200 == caught.value.status


@pytest.mark.parametrize("text", ["zczMPc3MTD4", "zczM", "~~~~", "zczMPc3MTD4=\n"])
def test_what_is_no_base64_of_floats_is_a_bad_reply(text: str) -> None:
    with pytest.raises(BadReply) as caught:
        embedded(data({"embedding": text}, {"embedding": text}))

    assert str(caught.value).startswith("an embedding is no base64 of float32: ")


# Rerank.


def test_a_query_and_its_documents_are_posted() -> None:
    request = RERANK.build_request(evolve(ASKED, top_n=1, options={"return_documents": False}))

    assert "http://127.0.0.1:9/v1/rerank" == request.url
    assert {
        "model": "r",
        "query": "q",
        "documents": ["d0", "d1"],
        "top_n": 1,
        "return_documents": False,
    } == json.loads(request.body)


def test_top_n_is_left_out_where_all_are_wanted() -> None:
    assert "top_n" not in json.loads(RERANK.build_request(ASKED).body)


JINA = {
    "model": "m",
    "usage": {"total_tokens": 10},
    "results": [
        {"index": 1, "relevance_score": 0.9, "document": {"text": "d1"}},
        {"index": 0, "relevance_score": 0.1, "document": {"text": "d0"}},
    ],
}
COHERE = {
    "id": "x",
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
    "meta": {"billed_units": {"search_units": 1}},
}
TEI = [{"index": 1, "score": 0.9, "text": "d1"}, {"index": 0, "score": 0.1, "text": "d0"}]
INFINITY = {
    "object": "rerank",
    "results": [
        {"index": 1, "relevance_score": 0.9, "document": "d1"},
        {"index": 0, "relevance_score": 0.1, "document": None},
    ],
}
UNSORTED = {"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]}


@pytest.mark.parametrize(
    "reply",
    [JINA, COHERE, TEI, INFINITY, UNSORTED],
    ids="jina cohere tei infinity unsorted".split(),
)
def test_tv12_every_form_of_a_ranking_is_the_same_list(reply: object) -> None:
    ranking = ranked(reply)

    assert [(1, 0.9), (0, 0.1)] == ranking.results
    assert [(1, 0.9), (0, 0.1)] == ranking.value


def test_a_ranking_keeps_model_usage_and_the_reply() -> None:
    ranking = ranked(JINA)

    assert ("m", Usage(None, None, 10)) == (ranking.model, ranking.usage)
    assert JINA == ranking.raw
    assert ("r", Usage(), {"results": TEI}) == (
        ranked(TEI).model,
        ranked(TEI).usage,
        ranked(TEI).raw,
    )


def test_top_n_is_kept_to_where_the_server_gives_more() -> None:
    assert [(1, 0.9)] == ranked(JINA, evolve(ASKED, top_n=1)).results


def test_scores_may_be_negative_and_whole() -> None:
    reply = {"results": [{"index": 0, "relevance_score": -4}, {"index": 1, "relevance_score": -9}]}

    results = ranked(reply).results

    assert [(0, -4.0), (1, -9.0)] == results
    assert all(type(score) is float for _, score in results)


def test_of_equal_scores_the_order_of_the_reply_stays() -> None:
    reply = {"results": [{"index": at, "relevance_score": 0.5} for at in (1, 0)]}

    assert [1, 0] == [at for at, _ in ranked(reply).results]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ({}, "the reply is no ranking: 'results' @ $.results"),
        ("x", "the reply is no ranking: string indices must be integers, not 'str' @ $.results"),
        ({"results": [{"index": 0}]}, "the reply is no ranking: 'score' @ $.results"),
        ({"results": [{"index": 0, "score": "1"}]}, "the reply is no ranking: a score is '1' @ $.results"),
        ({"results": [{"index": 0, "score": True}]}, "the reply is no ranking: a score is True @ $.results"),
        ({"results": [{"score": 1.0}]}, "the reply is no ranking: 'index' @ $.results"),
        ([{"index": 2, "score": 1}], "a ranking names a document that is none of the 2 @ $.results"),
        ([{"index": -1, "score": 1}], "a ranking names a document that is none of the 2 @ $.results"),
        ([{"index": True, "score": 1}], "a ranking names a document that is none of the 2 @ $.results"),
        ([{"index": "0", "score": 1}], "a ranking names a document that is none of the 2 @ $.results"),
    ],
    ids="none text scoreless words bools indexless beyond before bool digits".split(),
)  # fmt: skip
def test_what_is_no_ranking_is_a_bad_reply(reply: object, told: str) -> None:
    with pytest.raises(BadReply) as caught:
        ranked(reply)

    assert told == str(caught.value)


odd = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from("data index embedding results score relevance_score".split()), inner
        )
    ),
    max_leaves=12,
)


@given(odd, odd)
def test_any_json_is_vectors_or_a_call_error(reply: object, item: object) -> None:
    for each in (reply, {"data": reply}, {"data": [{"embedding": [0.5], "index": item}, item]}):
        try:
            vectors = embedded(each).vectors
        except CallError:
            continue
        assert 2 == len(vectors)


@given(odd, odd)
def test_any_json_is_a_ranking_or_a_call_error(reply: object, item: object) -> None:
    for each in (reply, {"results": reply}, {"results": [{"index": item, "score": reply}]}):
        try:
            results = ranked(each).results
        except CallError:
            continue
        assert all(at in (0, 1) and type(score) is float for at, score in results)
