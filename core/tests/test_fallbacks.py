"""Several models as one: who is asked next, and when nobody is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from core_helpers import Site, chat_body, chat_stream, delta, failing, ok, sse, streaming

import modelplug
from modelplug.errors import (
    AuthRefused,
    BadReply,
    ConfigError,
    InvalidRequest,
    Overloaded,
    TransportFailed,
)
from modelplug.testing import FaultServer, Reply
from modelplug.types import Reset, Text


@pytest.fixture
def second() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def pair(site: Site, server: FaultServer, second: FaultServer) -> Any:
    """`pair(type)` gives two models behind the two servers."""
    site.plugin("acme")

    def made(type_: str = "llm", *names: str) -> list[modelplug.OnlineModule]:
        given = names or (None, None)
        return [
            modelplug.OnlineModule(
                name, "acme", type=type_, url=each.url, api_key="k", max_retries=0
            )
            for name, each in zip(given, (server, second), strict=True)
        ]

    return made


def test_the_first_answers_while_it_can(
    pair: Any, server: FaultServer, second: FaultServer
) -> None:
    server.answer(ok(chat_body("1")))
    models = pair()
    m = modelplug.fallback(*models)

    assert "1" == m("q")
    assert [repr(models[0])] == [attempt.model for attempt in m.respond("q").attempts]
    assert 0 == second.connections


def test_the_next_answers_where_the_first_fails(
    pair: Any, server: FaultServer, second: FaultServer
) -> None:
    server.answer(failing(503))
    second.answer(ok(chat_body("2")))
    m = modelplug.fallback(*pair())

    assert ["2", "2"] == [m("q"), asyncio.run(m.acall("q"))]
    first, then = m.respond("q").attempts
    assert "Overloaded: acme answered 503" == first.error
    assert not then.error


def test_the_last_error_tells_who_was_tried(
    pair: Any, server: FaultServer, second: FaultServer
) -> None:
    server.answer(failing(429))
    second.answer(failing(503))

    with pytest.raises(Overloaded) as caught:
        modelplug.fallback(*pair())("q")

    notes = "\n".join(caught.value.__notes__)
    assert "RateLimited: acme answered 429" in notes
    assert "Overloaded: acme answered 503" in notes


@pytest.mark.parametrize(("status", "kind"), [(400, InvalidRequest), (401, AuthRefused)])
def test_an_error_of_the_request_leads_nowhere(
    pair: Any, server: FaultServer, second: FaultServer, status: int, kind: type[Exception]
) -> None:
    server.answer(failing(status))

    with pytest.raises(kind):
        modelplug.fallback(*pair())("q")

    assert 0 == second.connections


def test_the_errors_that_lead_on_may_be_chosen(
    pair: Any, server: FaultServer, second: FaultServer
) -> None:
    server.answer(failing(401))
    second.answer(ok(chat_body("2")))

    assert "2" == modelplug.fallback(*pair(), on=(AuthRefused,))("q")


def test_a_stream_moves_on_until_its_first_event(
    pair: Any, server: FaultServer, second: FaultServer
) -> None:
    server.answer(failing(503))
    second.answer(streaming(chat_stream("2")))
    m = modelplug.fallback(*pair())

    async def astream() -> list[str]:
        return [text async for text in m.astream("q")]

    assert ["2"] == list(m.stream("q")) == asyncio.run(astream())


def cut_after(*texts: str) -> Reply:
    body = sse(*(delta(content=text) for text in texts), done=False)
    return streaming(body, close_after=len(body))


def test_a_stream_that_broke_after_text_is_an_error_with_it(
    pair: Any, server: FaultServer, second: FaultServer
) -> None:
    server.answer(cut_after("a"))

    with pytest.raises(TransportFailed) as caught:
        list(modelplug.fallback(*pair()).stream("q"))

    assert ("a", 0) == (caught.value.partial, second.connections)


def test_a_stream_may_begin_again_and_says_so(
    pair: Any, server: FaultServer, second: FaultServer,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    server.answer(cut_after("a", "b"))
    second.answer(streaming(chat_stream("2")))
    m = modelplug.fallback(*pair(), restart=True)

    events = list(m.events("q"))

    assert [Text, Text, Reset, Text] == [type(event) for event in events[:4]]
    assert "finish" == events[-1].kind
    assert "2" == m("q", stream=True)


def test_a_view_of_a_fallback_is_a_view_of_each(
    pair: Any, server: FaultServer, second: FaultServer
) -> None:
    server.answer(failing(503))
    second.answer(ok(chat_body("2")))
    models = pair()
    models[1].prompt("its own")
    m = modelplug.fallback(*models)
    shared = m.share(prompt="s", history=[["a", "b"]]) | str.split

    assert ["2"] == shared("q")
    assert "2" == m("q")

    assert [["s", "a", "b", "q"], ["its own", "q"]] == [
        [message["content"] for message in request.json["messages"]] for request in second.requests
    ]


def test_a_fallback_is_known_by_its_first_model(pair: Any, server: FaultServer) -> None:
    models = pair()
    m = modelplug.fallback(*models)

    assert (models[0].type, models[0].model, server.url, models[0].api_key) == (
        m.type, m.model, m.url, m.api_key,
    )  # fmt: skip
    assert repr(models[0]) in repr(m)
    m.close()


def test_models_that_do_not_fit_are_refused(pair: Any) -> None:
    with pytest.raises(ConfigError, match="a fallback needs at least one model"):
        modelplug.fallback()
    with pytest.raises(ConfigError) as caught:
        modelplug.fallback(pair()[0], pair("rerank")[1])
    assert "the models of a fallback are of different types: chat, rerank" == str(caught.value)
    with pytest.raises(ConfigError, match="cannot stand in for each other"):
        modelplug.fallback(*pair("embed", "one", "two"))
    assert modelplug.fallback(*pair("embed", "BAAI/bge-m3", "bge-M3"))


def vectors(*numbers: float) -> Reply:
    return ok(json.dumps({"data": [{"embedding": list(numbers)}]}).encode())


def test_vectors_that_do_not_compare_are_refused(
    pair: Any, server: FaultServer, second: FaultServer
) -> None:
    server.answer(vectors(1.0, 0.0), failing(503))
    second.answer(vectors(0.0, 1.0), vectors(3.0, 4.0))
    m = modelplug.fallback(*pair("embed", "e", "e"))

    assert [[1.0, 0.0], [0.0, 1.0]] == [m("a"), m("a")]
    with pytest.raises(BadReply) as caught:
        m("a")
    assert (
        "the vectors of 'e' are 2 numbers, normalised: False; those before were 2, normalised: True"
    ) == str(caught.value)
