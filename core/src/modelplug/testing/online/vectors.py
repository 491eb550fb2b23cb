"""Embeddings come in the order of the texts, also from several requests; rankings best first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from modelplug.errors import BadReply
from modelplug.testing.fault_server import FaultServer, Reply, Request
from modelplug.testing.online.answers import rounded
from modelplug.testing.online.base import Face, Make, OnlineBase, either_call, for_type


def vector_of(text: str) -> list[float]:
    """A vector that tells which text it is for."""
    return [float(text.removeprefix("text ")), 1.0]


class VectorTests(OnlineBase):
    """Embeddings and rankings."""

    @for_type("embed")
    @either_call
    def test_many_texts_are_sent_in_requests_of_the_manifests_size(
        self, call: Face, server: FaultServer, make: Make
    ) -> None:
        limit = self.limits("embed").embed_batch
        texts = [f"text {at}" for at in range(2 * (limit or 50) + 1)]
        server.answer_with(self._embed)

        vectors = call(make("embed"), texts)

        assert [vector_of(text) for text in texts] == vectors
        sizes = sorted(len(self.embedded_texts(request)) for request in server.requests)
        assert ([1, limit, limit] if limit else [len(texts)]) == sizes

    @for_type("embed")
    @either_call
    def test_one_text_gives_one_vector_and_a_list_of_one_a_list(
        self, call: Face, server: FaultServer, make: Make
    ) -> None:
        server.answer_with(self._embed)

        assert [7.0, 1.0] == call(make("embed"), "text 7")
        assert [[7.0, 1.0]] == call(make("embed"), ["text 7"])

    @for_type("embed")
    def test_the_usage_of_several_requests_is_their_sum(
        self, server: FaultServer, make: Make
    ) -> None:
        limit = self.limits("embed").embed_batch or 50
        texts = [f"text {at}" for at in range(2 * limit + 1)]
        server.answer_with(self._embed)

        assert len(texts) == make("embed").respond(texts).usage.total_tokens

    @for_type("embed")
    def test_no_texts_give_no_vectors_and_no_request(self, server: FaultServer, make: Make) -> None:
        assert [] == make("embed")([])
        assert 0 == len(server.requests)

    @for_type("embed")
    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_another_number_of_vectors_than_texts_is_a_bad_reply(
        self, count: int, server: FaultServer, make: Make
    ) -> None:
        server.answer(self.embed_reply([[1.0, 2.0]] * count))

        with pytest.raises(BadReply):
            make("embed")(["text 1", "text 2"])

    @for_type("embed")
    def test_embeddings_are_the_same_sync_and_async(self, server: FaultServer, make: Make) -> None:
        server.answer_with(self._embed)
        model = make("embed")
        texts = ["text 1", "text 2"]

        async def run() -> Sequence[float]:
            vectors: Sequence[float] = await model.acall(texts)
            return vectors

        assert model(texts) == asyncio.run(run())

    @for_type("rerank")
    @pytest.mark.parametrize("top_n", [1, 2])
    def test_a_ranking_is_best_first_and_no_longer_than_top_n(
        self, top_n: int, server: FaultServer, make: Make
    ) -> None:
        recorded = self.recorded()["rerank.json"]
        self.serve(server, recorded)
        options = {**recorded.expected.options, "top_n": top_n}

        results = make("rerank")(recorded.expected.input, **options)

        assert rounded(recorded.expected.value[:top_n]) == rounded(results)
        assert [(int, float)] * top_n == [(type(at), type(score)) for at, score in results]

    def _embed(self, request: Request) -> Reply:
        return self.embed_reply([vector_of(text) for text in self.embedded_texts(request)])
