"""Attaching by a URL, old and new: what is asked of the server, and which wire is spoken."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from core_helpers import chat_body
from hypothesis import given
from hypothesis import strategies as st

import modelplug
from modelplug.errors import (
    ConfigError,
    NotFound,
    Overloaded,
    TransportFailed,
    UnknownOption,
    Unsupported,
)
from modelplug.local.generate_wire import GenerateDecoder
from modelplug.testing import FaultServer, Reply, Request
from modelplug.types import Event, Finish, Text, Usage

JSON = {"content-type": "application/json"}


def reply(data: object, status: int = 200) -> Reply:
    return Reply(status, JSON, json.dumps(data).encode())


class Modern:
    """A server with the OpenAI routes under *prefix*, which serves *models*."""

    def __init__(self, *models: str, prefix: str = "/v1", status: int = 200) -> None:
        self.models, self.prefix, self.status = models, prefix, status

    def __call__(self, request: Request) -> Reply:
        if request.path == f"{self.prefix}/models":
            return reply({"data": [{"id": name} for name in self.models]}, self.status)
        if request.path == f"{self.prefix}/chat/completions":
            return Reply(200, JSON, chat_body(f"from {request.json['model']}"))
        return reply({"detail": "Not Found"}, 404)


def old(request: Request) -> Reply:
    """vLLM's first server: /generate and nothing else."""
    if request.path.rstrip("/") != "/generate":
        return reply({"detail": "Not Found"}, 404)
    prompt, said = request.json["prompt"], ["", "你", "你好", "你好!"]
    if not request.json["stream"]:
        return reply({"text": [prompt + said[-1]]})
    lines = [json.dumps({"text": [prompt + text]}).encode() + b"\n" for text in said]
    return Reply(200, {}, lines)  # Starlette names no type of a stream that is given none


def attached(url: str, model: str = "", **more: Any) -> Any:
    module = modelplug.TrainableModule(model, type=more.pop("type", None))
    return module.deploy_method("quick", url=url, **more)


@pytest.mark.parametrize("path", ["/generate", "/generate/", "/", "", "/v1", "/v1/"])
def test_the_seeds_url_works_with_a_modern_server(
    local_world: Any, server: FaultServer, path: str
) -> None:
    server.answer_with(Modern("qwen2"))

    m = attached(server.origin + path)

    assert ("from qwen2", "from qwen2") == (m("你好"), asyncio.run(m.acall("你好")))
    assert f"{server.origin}/v1" == m.url
    assert ["/v1/models", "/v1/chat/completions", "/v1/chat/completions"] == [
        request.path for request in server.requests
    ]
    assert [] == local_world.log


def test_a_server_behind_a_prefix_is_found_there(local_world: Any, server: FaultServer) -> None:
    server.answer_with(Modern("m", prefix="/gpu-3/v1"))

    assert "from m" == attached(f"{server.origin}/gpu-3/generate/")("q")


def test_the_model_that_is_named_is_asked_for_where_it_is_served(
    local_world: Any, server: FaultServer
) -> None:
    server.answer_with(Modern("base", "lora-1"))

    assert "from lora-1" == attached(f"{server.origin}/generate", "lora-1")("q")


def test_the_only_model_is_meant_whatever_it_is_called_there(
    local_world: Any, server: FaultServer
) -> None:
    server.answer_with(Modern("/data/qwen2-1.5b"))

    assert "from /data/qwen2-1.5b" == attached(f"{server.origin}/generate", "qwen2-1.5b")("q")


def test_a_base_url_and_a_name_are_taken_as_they_are(local_world: Any, server: FaultServer) -> None:
    server.answer_with(Modern("other"))

    assert "from mine" == attached(f"{server.origin}/v1", "mine")("q")
    assert 1 == len(server.requests)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_hides_its_models_is_still_a_modern_one(
    local_world: Any, server: FaultServer, status: int
) -> None:
    server.answer_with(Modern(status=status))

    assert "from mine" == attached(f"{server.origin}/generate", "mine", api_key="k")("q")
    assert "Bearer k" == server.requests[0].headers["authorization"]


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("", "{url}/generate serves a, b; name one: TrainableModule('a')"),
        ("c", "{url}/generate serves a, b: 'c' is none of them; name one"),
    ],
)
def test_which_of_several_models_is_meant_must_be_said(
    local_world: Any, server: FaultServer, model: str, told: str
) -> None:
    server.answer_with(Modern("a", "b"))

    with pytest.raises(ConfigError) as caught:
        attached(f"{server.origin}/generate", model)("q")

    assert told.format(url=server.origin) == str(caught.value)


def test_a_server_that_is_still_loading_is_not_taken_for_an_old_one(
    local_world: Any, server: FaultServer
) -> None:
    server.answer_with(Modern(status=503))
    m = attached(f"{server.origin}/generate")

    with pytest.raises(Overloaded, match="answered 503 when it was asked for its models"):
        m("q")

    server.answer_with(Modern("m"))
    assert "from m" == m("q")


def test_where_nothing_listens_it_is_said(local_world: Any, server: FaultServer) -> None:
    with pytest.raises(TransportFailed):
        attached("http://127.0.0.1:9/generate")("q")


def test_an_address_that_is_none_is_refused(local_world: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        attached("localhost:8000/generate")("q")

    assert (
        "url= is an address such as http://localhost:8000/v1, not 'localhost:8000/generate'"
    ) == str(caught.value)


# The old route alone.


def test_a_server_with_nothing_but_generate_is_spoken_to_as_it_was(
    local_world: Any, server: FaultServer
) -> None:
    server.answer_with(old)
    m = attached(f"{server.origin}/generate/")

    assert "你好!" == m("你好吗", temperature=0.5, max_tokens=9)
    assert "你好!" == asyncio.run(m.acall("你好吗"))
    assert ["你", "好", "!"] == list(m.stream("你好吗"))
    assert {"prompt": "你好吗", "stream": False, "temperature": 0.5, "max_tokens": 9} == (
        server.requests[1].json
    )
    kinds = [event.kind for event in m.events("q")]
    assert ["text", "text", "text", "usage", "finish"] == kinds
    assert {"input_tokens", "output_tokens"} <= m.respond("q").usage.estimated


def test_several_messages_are_written_as_a_dialogue(local_world: Any, server: FaultServer) -> None:
    server.answer_with(old)
    m = attached(f"{server.origin}/generate").prompt("Be brief.", history=[["a", "b"]])

    assert "你好!" == m("c")

    assert (
        "system: Be brief.\nuser: a\nassistant: b\nuser: c\nassistant:"
        == (server.requests[-1].json["prompt"])
    )


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda m: m("q", tools=[{"type": "function"}]), Unsupported),
        (lambda m: m("q", schema={"type": "object"}), Unsupported),
        (lambda m: m("q", temprature=1), UnknownOption),
    ],
    ids="tools schema option".split(),
)
def test_what_the_old_route_cannot_do_is_refused(
    local_world: Any, server: FaultServer, call: Any, kind: type[Exception]
) -> None:
    server.answer_with(old)

    with pytest.raises(kind):
        call(attached(f"{server.origin}/generate"))


def test_the_old_route_makes_no_vectors(local_world: Any, server: FaultServer) -> None:
    server.answer_with(old)

    with pytest.raises(Unsupported) as caught:
        attached(f"{server.origin}/generate", type="embed")("q")

    assert (
        f"{server.origin}/generate knows the old route /generate alone, which only completes "
        f"text, not embed"
    ) == str(caught.value)


def test_an_url_that_has_neither_route_is_not_found(local_world: Any, server: FaultServer) -> None:
    server.answer_with(lambda _: reply({"detail": "Not Found"}, 404))

    with pytest.raises(NotFound):
        attached(f"{server.origin}/generate")("q")


def test_a_stream_that_breaks_off_before_it_says_anything_is_an_error(
    local_world: Any, server: FaultServer
) -> None:
    server.answer(Reply(200, JSON, [b""]))
    decoder = GenerateDecoder("q")

    with pytest.raises(TransportFailed, match="before the answer began"):
        decoder.finish([])


@given(
    st.lists(st.text(min_size=1), max_size=6), st.sampled_from([b"\n", b"\0", b"\0\n"]), st.data()
)
def test_however_a_stream_is_cut_the_pieces_add_up(
    pieces: list[str], end: bytes, data: st.DataObject
) -> None:
    so_far = ["".join(pieces[: at + 1]) for at in range(len(pieces))] or [""]
    body = b"".join(json.dumps({"text": ["q" + text]}).encode() + end for text in so_far)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    decoder, events = GenerateDecoder("q"), list[Event]()

    for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True):
        decoder.feed(body[start:stop], events)
    decoder.finish(events)

    assert "".join(pieces) == "".join(e.text for e in events if isinstance(e, Text))
    assert [Usage(), Finish("stop")] == events[-2:]
    assert decoder.finished
