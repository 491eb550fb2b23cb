"""Tapes: what was recorded plays back, strictly, without a key and without the network."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from core_helpers import KEY, Site, chat_body, chat_stream, delta, failing, ok, sse, streaming

import modelplug
from modelplug.errors import ConfigError, RateLimited, TapeMismatch, TransportFailed
from modelplug.media import Media
from modelplug.tapes import describe, pack, unpack
from modelplug.testing import FaultServer, outside_world
from modelplug.types import Secret
from modelplug.wire import Request


@pytest.fixture
def model(site: Site, server: FaultServer) -> modelplug.OnlineModule:
    site.plugin("acme")
    return modelplug.OnlineModule(source="acme", url=server.url, api_key=KEY, max_retries=0)


def everything(model: modelplug.OnlineModule) -> list[Any]:
    """A call, a stream, an async call and an async stream."""

    async def both() -> list[Any]:
        return [await model.acall("c"), [text async for text in model.astream("d")]]

    return [model("a"), list(model.stream("b")), *asyncio.run(both())]


def test_what_was_recorded_is_played_without_the_network(
    model: modelplug.OnlineModule, server: FaultServer, tmp_path: Path
) -> None:
    server.answer_with(
        lambda request: (
            streaming([sse(delta(content="x"), done=False), chat_stream("y")])
            if request.json.get("stream")
            else ok(chat_body(request.json["messages"][0]["content"]))
        )
    )
    path = tmp_path / "tape.jsonl"

    with modelplug.tape(path) as recording:
        recorded = everything(model)
    with outside_world() as seen, modelplug.tape(path) as playing:
        played = everything(model)

    assert ["a", ["x", "y"], "c", ["x", "y"]] == recorded == played
    assert (True, False, 4) == (recording.records, playing.records, playing.played)
    assert [] == [event for event in seen if event != "socket.connect"]
    assert 4 == len(server.requests)
    assert KEY not in path.read_text()
    assert 4 == len(path.read_bytes().splitlines())


def test_an_error_is_played_as_one(
    model: modelplug.OnlineModule, server: FaultServer, tmp_path: Path
) -> None:
    server.answer(failing(429, b'{"error":{"message":"slow"}}'))

    for _ in range(2):
        with modelplug.tape(tmp_path / "t"), pytest.raises(RateLimited) as caught:
            model("q")
        assert ("acme answered 429: slow", 0.0) == (str(caught.value), caught.value.retry_after)
    assert 1 == len(server.requests)


def test_a_stream_that_broke_is_played_as_far_as_it_came(
    model: modelplug.OnlineModule, server: FaultServer, tmp_path: Path
) -> None:
    body = sse(delta(content="a"), done=False)
    server.answer(streaming(body, close_after=len(body)))

    for _ in range(2):
        with modelplug.tape(tmp_path / "t"), pytest.raises(TransportFailed) as caught:
            list(model.stream("q"))
        assert "a" == caught.value.partial


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_timing_pauses_as_the_provider_did(
    model: modelplug.OnlineModule, tmp_path: Path, asynchronous: bool
) -> None:
    request = {"method": "POST", "url": "http://127.0.0.1/v1/chat/completions", "stream": True,
               "headers": {"content-type": "application/json"},
               "body": {"model": "acme-1", "messages": [{"role": "user", "content": "q"}],
                        "stream": True, "stream_options": {"include_usage": True}}}  # fmt: skip
    pieces = [[0.0, sse(delta(content="a"), done=False).decode()], [0.2, chat_stream("b").decode()]]
    response = {"status": 200, "headers": {}, "pieces": pieces}
    (tmp_path / "t").write_text(json.dumps({"request": request, "response": response}) + "\n")

    async def collect() -> list[str]:
        return [text async for text in model.astream("q")]

    took = []
    for timing in (False, True):
        with modelplug.tape(tmp_path / "t", timing=timing):
            begin = time.monotonic()
            assert ["a", "b"] == (
                asyncio.run(collect()) if asynchronous else list(model.stream("q"))
            )
            took.append(time.monotonic() - begin)
    assert took[0] < 0.2 <= took[1]


def test_a_call_that_is_not_on_the_tape_shows_the_nearest(
    model: modelplug.OnlineModule, server: FaultServer, tmp_path: Path
) -> None:
    server.answer(ok())
    with modelplug.tape(tmp_path / "t"):
        model("question one")
        model("something else entirely, and longer than that")

    with modelplug.tape(tmp_path / "t"), pytest.raises(TapeMismatch) as caught:
        model("question two")

    told = str(caught.value)
    assert '-        "content": "question one",' in told
    assert '+        "content": "question two",' in told
    assert "something else" not in told
    assert told.endswith("; record the tape again if the change is meant")
    assert 2 == len(server.requests)


def test_each_reply_is_played_once(
    model: modelplug.OnlineModule, server: FaultServer, tmp_path: Path
) -> None:
    server.answer(ok(chat_body("1")), ok(chat_body("2")))
    with modelplug.tape(tmp_path / "t"):
        model("q"), model("q")  # noqa: B018 - for the tape

    with modelplug.tape(tmp_path / "t"):
        assert ["1", "2"] == [model("q"), model("q")]
        with pytest.raises(TapeMismatch, match="every call on .* was played and another one came"):
            model("q")


def test_the_mode_decides_over_what_is_there(
    model: modelplug.OnlineModule, server: FaultServer, tmp_path: Path
) -> None:
    path = tmp_path / "t"
    server.answer(ok(chat_body("1")), ok(chat_body("2")))
    with modelplug.tape(path, mode="record"):
        model("q")
    with modelplug.tape(path, mode="record"):
        model("q")
    with modelplug.tape(path, mode="replay"):
        assert "2" == model("q")
    assert 1 == len(path.read_bytes().splitlines())


def test_a_recording_without_a_call_can_be_played(tmp_path: Path) -> None:
    with modelplug.tape(tmp_path / "t"):
        pass

    with modelplug.tape(tmp_path / "t") as played:
        assert not played.records


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (None, "replay", "cannot be read: No such file or directory; record it first"),
        ("{}\n{", "auto", "is damaged: "),
        ("", "rewind", "mode= is auto, record or replay, not 'rewind'"),
        ("5\n", "auto", "is damaged: "),
        ("{}\n", "auto", "is damaged: "),
    ],
)
def test_a_tape_that_cannot_be_played_is_told(
    text: str | None, mode: Any, told: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "t").write_text(text)

    with pytest.raises(ConfigError) as caught, modelplug.tape(tmp_path / "t", mode=mode):
        pass

    assert told in str(caught.value)


def test_a_tape_ends_with_its_block(
    model: modelplug.OnlineModule, server: FaultServer, tmp_path: Path
) -> None:
    server.answer(ok())
    with modelplug.tape(tmp_path / "t"):
        model("q")
    model("q")

    assert 2 == len(server.requests)
    assert 1 == len((tmp_path / "t").read_bytes().splitlines())


def test_no_secret_is_in_a_description() -> None:
    request = Request(
        "POST",
        f"http://h/{KEY}",
        headers={"x": KEY, "a": "b"},
        body=json.dumps({"key": KEY}).encode(),
        auth=Secret(KEY),
        secret_headers={"x-key": Secret("other")},
    )

    described = describe(request)

    assert KEY not in json.dumps(described)
    assert ["a", "x"] == list(described["headers"])
    assert {"key": "***"} == described["body"]


def test_forms_files_and_bodies_that_are_no_json_are_described() -> None:
    files = [("file", Media(b"sound", "audio/mpeg", "a.mp3"))]

    described = describe(Request("POST", "http://h", form={"b": "2", "a": "1"}, files=files))
    again = describe(Request("POST", "http://h", form={"a": "1", "b": "2"}, files=files))
    raw = describe(Request("POST", "http://h", body=b"\xff\xfe"))

    assert described == again
    assert ["file", "a.mp3"] == described["files"][0][:2]
    assert 64 == len(described["files"][0][2])
    assert 64 == len(raw["body"])


@pytest.mark.parametrize("data", [b"", b"text", "你".encode(), b"\xff\x00", b"\xe4\xbd"])
def test_bytes_are_packed_and_unpacked(data: bytes) -> None:
    assert data == unpack(json.loads(json.dumps(pack(data))))
