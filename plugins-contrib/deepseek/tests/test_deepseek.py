"""DeepSeek keeps the contract, and each of its quirks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import modelplug
from modelplug.errors import CallError, FormatError, NotFound, Unsupported
from modelplug.testing import FaultServer, OnlineContract, Replies, Reply, Request
from modelplug.types import Completion

REPLIES = Path(__file__).parent / "replies"
KITE = REPLIES / "inputs/kite.png"
JSON = {"content-type": "application/json"}
OFF = {"type": "disabled"}
NAMED = {"type": "function", "function": {"name": "f"}}
F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASKED = {"role": "user", "content": "use f"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class TestDeepSeek(OnlineContract):
    plugin = "deepseek"
    replies = REPLIES


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(recorded("no-thinking.json")) as server:
        yield server


def recorded(file: str) -> Reply:
    return Replies(REPLIES)[file].reply


def deepseek(
    server: FaultServer, model: str | None = None, **options: Any
) -> modelplug.OnlineModule:
    settings = {"url": server.origin, "api_key": "K", **options}
    return modelplug.OnlineModule(model, "deepseek", **settings)


def called(id: str, **fields: Any) -> dict[str, Any]:
    call = {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return {"role": "assistant", "content": "", "tool_calls": [call], **fields}


def result(id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "42"}


def sent(server: FaultServer) -> Mapping[str, Any]:
    body: Mapping[str, Any] = server.requests[-1].json
    return body


def saying(text: str) -> Reply:
    body = recorded("no-thinking.json").whole.replace(b'"4"', text.encode())
    return Reply(200, JSON, body)


def test_nothing_is_sent_that_was_not_asked_for(server: FaultServer) -> None:
    assert "4" == deepseek(server)("2+2?")
    assert {
        "model": "deepseek-v4-flash",
        "messages": [{"role": "user", "content": "2+2?"}],
    } == sent(server)


@pytest.mark.parametrize("version", ["", "/", "/v1", "/beta"])
def test_the_address_is_taken_with_and_without_a_version(version: str, server: FaultServer) -> None:
    deepseek(server, url=server.origin + version)("2+2?")

    assert version.rstrip("/") + "/chat/completions" == server.requests[0].path


def test_the_beta_is_a_region() -> None:
    model = modelplug.OnlineModule(source="deepseek", region="beta", api_key="K")

    assert "https://api.deepseek.com/beta" == model.url


@pytest.mark.parametrize("file", ["tools-thought.json", "tools-thought.sse"])
def test_a_tool_loop_gives_back_the_reasoning(file: str, server: FaultServer) -> None:
    server.answer(recorded(file), recorded("no-thinking.json"))
    model = deepseek(server)
    if file.endswith(".sse"):
        turn = Completion.of(model.events([ASKED], tools=[F])).message
    else:
        turn = model.respond([ASKED], tools=[F]).message

    assert "4" == model([ASKED, turn, result("call_0")], tools=[F])
    assert [
        ASKED,
        called("call_0", reasoning_content="need f"),
        result("call_0"),
    ] == sent(server)["messages"]


def test_past_reasoning_stays_here_where_no_tool_was_called(server: FaultServer) -> None:
    answer = {"role": "assistant", "content": "4", "reasoning_content": "hm"}

    deepseek(server)([ASKED, answer, ASKED])

    assert [ASKED, {"role": "assistant", "content": "4"}, ASKED] == sent(server)["messages"]


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
@pytest.mark.parametrize("options", [{}, {"thinking": OFF}], ids=["unsaid", "off"])
def test_a_forced_tool_call_switches_thinking_off(
    options: dict[str, Any], choice: object, server: FaultServer
) -> None:
    deepseek(server)("hi", tools=[F], tool_choice=choice, **options)

    assert {
        "model": "deepseek-v4-flash",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [F],
        "tool_choice": choice,
        "thinking": OFF,
    } == sent(server)


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
@pytest.mark.parametrize(
    "options", [{"thinking": {"type": "enabled"}}, {"reasoning_effort": "max"}]
)
def test_a_model_that_is_told_to_think_cannot_be_made_to_call_a_tool(
    options: dict[str, Any], choice: object, server: FaultServer
) -> None:
    with pytest.raises(Unsupported) as caught:
        deepseek(server)("hi", tools=[F], tool_choice=choice, **options)

    assert [] == server.requests
    assert "tool_choice" in str(caught.value)


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_choice_that_forces_nothing_leaves_thinking_as_it_is(
    choice: str, server: FaultServer
) -> None:
    deepseek(server)("hi", tools=[F], tool_choice=choice)

    assert choice == sent(server)["tool_choice"]
    assert "thinking" not in sent(server)


def test_an_empty_answer_in_json_mode_is_asked_for_once_more(server: FaultServer) -> None:
    server.answer(recorded("json-empty.json"), saying('"{\\"n\\":4}"'))

    assert {"n": 4} == deepseek(server)("2+2?", schema=SCHEMA)
    first, second = server.requests
    assert first.body == second.body
    assert {"type": "json_object"} == second.json["response_format"]
    assert "JSON" in second.json["messages"][0]["content"]


def test_an_empty_answer_in_json_mode_is_asked_for_no_more_than_twice(server: FaultServer) -> None:
    server.answer(recorded("json-empty.json"))

    with pytest.raises(FormatError):
        deepseek(server)("2+2?", schema=SCHEMA)

    assert 2 == len(server.requests)


def test_json_mode_is_told_by_the_option_as_well(server: FaultServer) -> None:
    server.answer(recorded("json-empty.json"), saying('"{}"'))
    model = deepseek(server, response_format={"type": "json_object"})

    assert "{}" == asyncio.run(model.acall("an empty JSON object"))
    assert 2 == len(server.requests)


def test_an_empty_answer_that_is_no_json_is_not_asked_for_again(server: FaultServer) -> None:
    server.answer(recorded("json-empty.json"))

    assert "" == deepseek(server)("say nothing")
    assert 1 == len(server.requests)


def test_a_busy_server_is_asked_again(server: FaultServer) -> None:
    server.answer(recorded("error-503.json"), recorded("no-thinking.json"))

    assert "4" == deepseek(server)("2+2?")
    assert 2 == len(server.requests)


def test_an_error_after_blank_lines_is_an_error(server: FaultServer) -> None:
    body = b"\n\n\n" + recorded("error-400-model.json").whole
    server.answer(Reply(200, JSON, body))

    with pytest.raises(NotFound):
        deepseek(server)("2+2?")


@pytest.mark.parametrize("model", ["deepseek-v4-flash-vision-exp", "deepseek-v4-flash"])
def test_an_image_is_sent_as_a_data_url(model: str, server: FaultServer) -> None:
    def script(request: Request) -> Reply:
        part = request.json["messages"][0]["content"][1]
        assert part["image_url"]["url"].startswith("data:image/png;base64,")
        return recorded("vlm.json")

    server.answer_with(script)

    assert "a pixel" == deepseek(server, model)("What is this?", files=[KITE])


def test_an_image_for_a_model_that_reads_alone_is_not_sent(server: FaultServer) -> None:
    with pytest.raises(Unsupported):
        deepseek(server, "deepseek-v4-pro")("What is this?", files=[KITE])

    assert [] == server.requests


def test_an_answer_that_was_begun_is_sent_to_be_gone_on_with(server: FaultServer) -> None:
    begun = {"role": "assistant", "content": "{", "prefix": True}

    deepseek(server, url=f"{server.origin}/beta")([ASKED, begun])

    assert begun == sent(server)["messages"][-1]


def test_an_answer_that_the_server_gave_up_keeps_its_text(server: FaultServer) -> None:
    server.answer(recorded("finish-insufficient-system-resource.json"))

    answer = deepseek(server).respond("2+2?")

    assert ("4", "insufficient_system_resource") == (answer.text, answer.finish_reason)


def test_a_stream_that_breaks_off_keeps_what_came(server: FaultServer) -> None:
    server.answer(recorded("truncated.sse"))
    came: list[str] = []

    async def run() -> None:
        async for text in deepseek(server).astream("2+2?"):
            came.append(text)

    with pytest.raises(CallError) as caught:
        asyncio.run(run())

    assert ["4"] == came
    assert "4" == caught.value.partial


@pytest.mark.parametrize("type", ["embed", "rerank", "stt", "tts", "text2image"])
def test_a_type_that_deepseek_has_not_is_refused_at_once(type: str) -> None:
    with pytest.raises(Unsupported):
        modelplug.OnlineModule(source="deepseek", type=type, api_key="K")


@pytest.mark.parametrize(
    ("model", "type"),
    [
        ("deepseek-v4-flash", "llm"),
        ("deepseek-flash", "llm"),
        ("DeepSeek-V4-Pro", "llm"),
        ("deepseek-v4-flash-vision-exp", "vlm"),
        ("deepseek-vl2", "vlm"),
        ("deepseek-ocr", "vlm"),
    ],
)
def test_the_name_tells_the_type(model: str, type: str) -> None:
    assert type == modelplug.OnlineModule(model, "deepseek", api_key="K").type
