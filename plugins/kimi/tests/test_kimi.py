"""Kimi keeps the contract, and each of its quirks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import modelplug
from modelplug.errors import CallError, QuotaExhausted, RateLimited, Unsupported
from modelplug.plugins import installed
from modelplug.testing import FaultServer, OnlineContract, Replies, Reply, Request
from modelplug.types import ChatCall, Endpoint, ModelType, Secret
from modelplug.wire import Response

REPLIES = Path(__file__).parent / "replies"
KITE = (REPLIES / "inputs/kite.png").read_bytes()
F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASKED = {"role": "user", "content": "use f"}


class TestKimi(OnlineContract):
    plugin = "kimi"
    replies = REPLIES


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(Replies(REPLIES)["chat-short.json"].reply) as server:
        yield server


def kimi(server: FaultServer, model: str | None = None, **options: Any) -> modelplug.OnlineModule:
    return modelplug.OnlineModule(model, "kimi", **{"url": server.url, "api_key": "K", **options})


def called(id: str, reasoning: str | None = None) -> dict[str, Any]:
    call = {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = {"role": "assistant", "content": "", "tool_calls": [call]}
    return turn if reasoning is None else {**turn, "reasoning_content": reasoning}


def result(id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "42"}


def sent(server: FaultServer) -> Mapping[str, Any]:
    body: Mapping[str, Any] = server.requests[-1].json
    return body


def test_nothing_is_sent_that_was_not_asked_for(server: FaultServer) -> None:
    kimi(server)("2+2?")

    assert {
        "model": "kimi-k2.6",
        "messages": [{"role": "user", "content": "2+2?"}],
    } == sent(server)


@pytest.mark.parametrize("file", ["tools-thought.json", "tools-thought.sse"])
def test_a_tool_loop_gives_back_the_reasoning_and_the_ids(file: str, server: FaultServer) -> None:
    replies = Replies(REPLIES)
    server.answer(replies[file].reply, replies["chat-short.json"].reply)
    model = kimi(server)
    if file.endswith(".sse"):
        *_, call, _, _ = model.events([ASKED], tools=[F])
        turn = {**called(call.id), "reasoning_content": "need f"}
    else:
        turn = model.respond([ASKED], tools=[F]).message

    assert "4" == model([ASKED, turn, result("f:0")], tools=[F])
    assert [ASKED, called("f:0", "need f"), result("f:0")] == sent(server)["messages"]


def test_past_reasoning_stays_here_where_no_tool_was_called(server: FaultServer) -> None:
    answer = {"role": "assistant", "content": "4", "reasoning_content": "hm"}

    kimi(server)([ASKED, answer, ASKED])

    assert [ASKED, {"role": "assistant", "content": "4"}, ASKED] == sent(server)["messages"]


def test_a_tool_call_without_reasoning_gets_a_space_for_it(server: FaultServer) -> None:
    kimi(server, "kimi-k3")([ASKED, called("f:0"), result("f:0")])

    assert [ASKED, called("f:0", " "), result("f:0")] == sent(server)["messages"]


def test_a_tool_call_stays_as_it_is_where_thinking_is_off(server: FaultServer) -> None:
    kimi(server, thinking={"type": "disabled"})([ASKED, called("f:0"), result("f:0")])

    assert [ASKED, called("f:0"), result("f:0")] == sent(server)["messages"]


def test_results_of_tools_and_an_image_keep_their_order(server: FaultServer) -> None:
    seen = {"role": "user", "content": [{"type": "text", "text": "and this?"}]}
    turns = [ASKED, called("f:0", "hm"), result("f:0"), result("f:1"), seen]

    kimi(server)(turns, files=[KITE])

    messages = sent(server)["messages"]
    assert ["user", "assistant", "tool", "tool", "user"] == [m["role"] for m in messages]
    assert ["text", "image_url"] == [part["type"] for part in messages[-1]["content"]]


@pytest.mark.parametrize("wrapped", [True, False], ids=["object", "bare"])
@pytest.mark.parametrize("kind", ["image_url", "video_url"])
def test_a_file_at_a_url_is_fetched_without_the_key_and_sent_inside(
    kind: str, wrapped: bool, server: FaultServer
) -> None:
    def script(request: Request) -> Reply:
        if request.method == "GET":
            return Reply(200, {"content-type": "image/png"}, KITE)
        return Replies(REPLIES)["vlm.json"].reply

    server.answer_with(script)
    url = f"{server.origin}/x.png"
    part = {"type": kind, kind: {"url": url} if wrapped else url}

    assert "a pixel" == kimi(server)([{"role": "user", "content": [part]}])
    assert "authorization" not in server.requests[0].headers
    inside = sent(server)["messages"][0]["content"][0][kind]["url"]
    assert inside.startswith("data:image/png;base64,")
    assert b"http" not in server.requests[-1].body


def test_an_uploaded_file_is_named_as_it_is(server: FaultServer) -> None:
    part = {"type": "image_url", "image_url": {"url": "ms://f1"}}

    kimi(server)([{"role": "user", "content": [part]}])

    assert part == sent(server)["messages"][0]["content"][0]


def test_a_rate_limit_waits_the_seconds_of_its_text() -> None:
    codec = kimi_codec()
    flow = codec.flow(chat_call())
    first = next(flow)

    second = flow.send(response("error-429.json"))

    assert (0.0, 1.0) == (first.delay, second.delay)
    assert first.body == second.body


def test_the_header_of_a_rate_limit_goes_before_its_text() -> None:
    limit = kimi_codec().parse_error(response("error-429.json", {"retry-after": "7"}))

    assert isinstance(limit, RateLimited)
    assert 7.0 == limit.retry_after


def test_an_empty_balance_is_one_request(server: FaultServer) -> None:
    server.answer(Replies(REPLIES)["error-429-quota.json"].reply)

    with pytest.raises(QuotaExhausted):
        kimi(server)("hi")

    assert 1 == len(server.requests)


def test_a_request_has_the_id_of_either_header() -> None:
    assert "r-1" == response("error-500.json", {"x-msh-request-id": "r-1"}).request_id


def test_an_empty_answer_of_the_past_is_left_out(server: FaultServer) -> None:
    kimi(server)("again", llm_chat_history=[["hello", ""]])

    assert ["user", "user"] == [message["role"] for message in sent(server)["messages"]]


def test_an_answer_that_was_begun_is_sent_to_be_gone_on_with(server: FaultServer) -> None:
    begun = {"role": "assistant", "content": "", "name": "Kim", "partial": True}

    kimi(server)([ASKED, begun])

    assert begun == sent(server)["messages"][-1]


@pytest.mark.parametrize(
    ("model", "option", "value"),
    [
        ("kimi-k2.6", "top_p", 0.5),
        ("kimi-k2.6", "n", 2),
        ("kimi-k2.6", "presence_penalty", 1),
        ("kimi-k2.7-code", "temperature", 0.7),
        ("kimi-k3", "temperature", 0.7),
        ("kimi-k3", "thinking", {"type": "enabled"}),
    ],
)
def test_what_a_model_is_known_to_refuse_is_not_sent(
    model: str, option: str, value: object, server: FaultServer
) -> None:
    with pytest.raises(Unsupported) as caught:
        kimi(server, model)("hi", **{option: value})

    assert [] == server.requests
    assert option in str(caught.value)


def test_a_temperature_of_k2_6_is_the_servers_to_judge(server: FaultServer) -> None:
    kimi(server)("hi", temperature=0.6, thinking={"type": "disabled"})

    assert 0.6 == sent(server)["temperature"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_a_thinking_model_cannot_be_made_to_call_a_tool(
    choice: object, server: FaultServer
) -> None:
    with pytest.raises(Unsupported) as caught:
        kimi(server)("hi", tools=[F], tool_choice=choice)

    assert [] == server.requests
    assert "tool_choice" in str(caught.value)


def test_one_that_does_not_think_can_be_made_to(server: FaultServer) -> None:
    kimi(server)("hi", tools=[F], tool_choice="required", thinking={"type": "disabled"})

    assert "required" == sent(server)["tool_choice"]


@pytest.mark.parametrize("slash", ["", "/", "/v1", "/v1/"])
def test_the_address_is_taken_with_and_without_its_version(slash: str, server: FaultServer) -> None:
    model = kimi(server, url=server.origin + slash)

    assert "4" == model("2+2?")
    assert server.url == model.url
    assert "/v1/chat/completions" == server.requests[0].path


def test_a_server_with_a_path_of_its_own_keeps_it(server: FaultServer) -> None:
    kimi(server, url=server.origin + "/coding/v1", type="llm")("hi")

    assert "/coding/v1/chat/completions" == server.requests[0].path


def test_a_built_in_tool_is_sent_as_it_is(server: FaultServer) -> None:
    search = {"type": "builtin_function", "function": {"name": "$web_search"}}

    kimi(server)("news?", tools=[search])

    assert [search] == sent(server)["tools"]


def test_a_schema_is_asked_for_as_such(server: FaultServer) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    body = Replies(REPLIES)["chat-short.json"].reply.whole.replace(b'"4"', b'"{\\"n\\":4}"')
    server.answer(Reply(200, {"content-type": "application/json"}, body))

    assert {"n": 4} == kimi(server)("2+2?", schema=schema)
    assert "json_schema" == sent(server)["response_format"]["type"]


@pytest.mark.parametrize("type", ["embed", "rerank", "stt", "tts", "text2image"])
def test_a_type_that_moonshot_has_not_is_refused_at_once(type: str) -> None:
    with pytest.raises(Unsupported):
        modelplug.OnlineModule(source="kimi", type=type, api_key="K")


@pytest.mark.parametrize(
    ("model", "type"),
    [
        ("kimi-k3", "vlm"),
        ("kimi-k2.7-code", "vlm"),
        ("Kimi-K2.6", "vlm"),
        ("moonshot-v1-8k-vision-preview", "vlm"),
        ("kimi-for-coding", "llm"),
        ("kimi-k2-turbo-preview", "llm"),
        ("moonshot-v1-8k", "llm"),
    ],
)
def test_the_name_tells_the_type(model: str, type: str) -> None:
    assert type == modelplug.OnlineModule(model, "kimi", api_key="K").type


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("cn", "https://api.moonshot.cn/v1"),
        ("intl", "https://api.moonshot.ai/v1"),
        ("coding", "https://api.kimi.com/coding/v1"),
    ],
)
def test_a_region_is_an_address(region: str, url: str) -> None:
    assert url == modelplug.OnlineModule(source="kimi", region=region, api_key="K").url


def test_a_stream_that_breaks_off_keeps_what_came(server: FaultServer) -> None:
    server.answer(Replies(REPLIES)["truncated.sse"].reply)
    came: list[str] = []

    async def run() -> None:
        async for text in kimi(server).astream("2+2?"):
            came.append(text)

    with pytest.raises(CallError) as caught:
        asyncio.run(run())

    assert ["4"] == came
    assert "4" == caught.value.partial


def kimi_codec() -> Any:
    rules = installed().provider("kimi").error_rules
    url = "http://127.0.0.1:9/v1"
    endpoint = Endpoint("kimi", "kimi-k2.6", url, Secret("K"), error_rules=rules)
    return installed().create_online("kimi", endpoint, ModelType.LLM)


def chat_call() -> Any:
    return ChatCall("kimi-k2.6", [ASKED])


def response(file: str, headers: Mapping[str, str] | None = None) -> Response:
    reply = Replies(REPLIES)[file].reply
    return Response(reply.status, headers or {}, reply.whole)
