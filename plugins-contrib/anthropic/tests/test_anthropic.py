"""Anthropic keeps the contract, and each rule of its wire."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import modelplug
from modelplug.errors import (
    BadReply,
    CallError,
    ConfigError,
    ContextTooLong,
    InvalidRequest,
    Unsupported,
)
from modelplug.plugins import installed
from modelplug.testing import FaultServer, OnlineContract, Replies, Request
from modelplug.testing.leaks import CANARY
from modelplug.types import ChatCall, Completion, Endpoint, Event, Secret
from modelplug.wire import Response
from modelplug_anthropic import AnthropicChat

REPLIES = Path(__file__).parent / "replies"
F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASKED = {"role": "user", "content": "use f"}
THOUGHT = {"type": "thinking", "thinking": "t", "signature": "s"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "text"]), inner),
)


class TestAnthropic(OnlineContract):
    plugin = "anthropic"
    model = "claude-sonnet-5-5"
    wire = "own"
    base_path = ""
    replies = REPLIES

    def key_is_sent(self, request: Request) -> bool:
        return request.headers.get("x-api-key") == CANARY


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(Replies(REPLIES)["tv1-chat.json"].reply) as server:
        yield server


def claude(server: FaultServer, **options: Any) -> modelplug.OnlineModule:
    settings = {"url": server.origin, "api_key": "K", **options}
    return modelplug.OnlineModule("claude-sonnet-5-5", "anthropic", **settings)


def codec(url: str = "https://api.anthropic.com") -> AnthropicChat:
    told = installed().provider("anthropic")
    endpoint = Endpoint("anthropic", "claude-sonnet-5-5", url, Secret("K"))
    return AnthropicChat(evolve(endpoint, codes=told.codes, error_rules=told.error_rules))


def payload(*messages: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    return codec().payload(ChatCall("claude-sonnet-5-5", messages, options))


def turns(*messages: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = payload(*messages)["messages"]
    return found


def called(id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def result(id: str, content: object = "42") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


def test_the_key_and_the_version_are_headers() -> None:
    request = codec().build_request(ChatCall("m", [ASKED]))

    assert {"x-api-key": Secret("K")} == request.secret_headers
    assert None is request.auth
    assert {"content-type": "application/json", "anthropic-version": "2023-06-01"} == dict(
        request.headers
    )


def test_on_another_host_the_key_is_a_bearer_token_as_well() -> None:
    request = codec("http://127.0.0.1:8000").build_request(ChatCall("m", [ASKED]))

    assert {"x-api-key": Secret("K")} == request.secret_headers
    assert Secret("K") == request.auth


def test_without_a_key_none_is_sent() -> None:
    keyless = AnthropicChat(Endpoint("anthropic", "m", "http://127.0.0.1:8000"))

    assert {} == keyless.build_request(ChatCall("m", [ASKED])).secret_headers


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/messages"])
def test_the_path_is_added_once_whatever_the_base_ends_with(end: str) -> None:
    request = codec("https://h.example/anthropic" + end).build_request(ChatCall("m", [ASKED]))

    assert "https://h.example/anthropic/v1/messages" == request.url


def test_betas_are_a_header_and_no_part_of_the_body() -> None:
    call = ChatCall("m", [ASKED], {"betas": ["a-1", "b-2"]})

    assert "a-1,b-2" == codec().build_request(call).headers["anthropic-beta"]
    assert "betas" not in codec().payload(call)


def test_nothing_is_sent_that_was_not_asked_for(server: FaultServer) -> None:
    claude(server)("2+2?")

    assert {
        "model": "claude-sonnet-5-5",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "2+2?"}],
    } == server.requests[0].json


def test_the_answer_has_room_beside_a_budget_for_thinking() -> None:
    thinking = {"type": "enabled", "budget_tokens": 10000}

    assert 18192 == payload(ASKED, thinking=thinking)["max_tokens"]


@pytest.mark.parametrize("file", ["tools.json", "tools.sse"])
def test_a_tool_loop_gives_back_the_thoughts_with_their_signatures(
    file: str, server: FaultServer
) -> None:
    replies = Replies(REPLIES)
    server.answer(replies[file].reply, replies["tv1-chat.json"].reply)
    model = claude(server)
    if file.endswith(".sse"):
        turn = Completion.of(model.events([ASKED], tools=[F])).message
    else:
        turn = model.respond([ASKED], tools=[F]).message

    assert "4" == model([ASKED, turn, result("tu1"), result("tu2", "43")], tools=[F])
    assert [
        {"role": "user", "content": "use f"},
        {
            "role": "assistant",
            "content": [
                THOUGHT,
                {"type": "tool_use", "id": "tu1", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "tu2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "tu1", "content": "42"},
                {"type": "tool_result", "tool_use_id": "tu2", "content": "43"},
            ],
        },
    ] == server.requests[1].json["messages"]


@pytest.mark.parametrize("ending", [".json", ".sse"])
@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("redacted", {"type": "redacted_thinking", "data": "b64"}),
        (
            "pause",
            {"type": "server_tool_use", "id": "st1", "name": "web_search", "input": {"query": "q"}},
        ),
    ],
)
def test_a_block_that_only_this_wire_knows_goes_back(
    name: str, block: Mapping[str, Any], ending: str, server: FaultServer
) -> None:
    server.answer(Replies(REPLIES)[name + ending].reply)
    if ending == ".sse":
        turn = Completion.of(claude(server).events("2+2?")).message
    else:
        turn = claude(server).respond("2+2?").message

    assert block == turns(ASKED, turn)[1]["content"][0]


def test_a_turn_of_plain_text_stays_plain(server: FaultServer) -> None:
    assert {"role": "assistant", "content": "4"} == claude(server).respond("2+2?").message


def test_a_call_of_another_providers_model_is_read_from_its_text() -> None:
    turn = {"role": "assistant", "content": "", "tool_calls": [called("c1", '{"x": 1}')]}

    assert [{"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}}] == turns(
        ASKED, turn, result("c1")
    )[1]["content"]


def test_reasoning_without_a_signature_is_not_sent() -> None:
    turn = {"role": "assistant", "content": "4", "reasoning_content": "hm"}

    assert {"role": "assistant", "content": "4"} == turns(ASKED, turn, ASKED)[1]


def test_system_texts_are_hoisted_from_everywhere() -> None:
    sent = payload(
        {"role": "system", "content": "Be brief."},
        ASKED,
        {"role": "developer", "content": "Be kind."},
        ASKED,
    )

    assert "Be brief.\n\nBe kind." == sent["system"]
    assert ["user"] == [turn["role"] for turn in sent["messages"]]


def test_a_system_block_with_a_cache_mark_stays_a_block() -> None:
    block = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}

    assert [block] == payload({"role": "system", "content": [block]}, ASKED)["system"]


def test_results_of_tools_come_before_the_users_words() -> None:
    turn = {"role": "assistant", "content": "", "tool_calls": [called("c1")]}

    assert [
        {"type": "tool_result", "tool_use_id": "c1", "content": "42"},
        {"type": "text", "text": "use f"},
    ] == turns(ASKED, turn, result("c1"), ASKED)[2]["content"]


def test_a_tools_result_may_hold_an_image() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "https://h.example/a.png"}}]

    assert [{"type": "image", "source": {"type": "url", "url": "https://h.example/a.png"}}] == (
        turns(ASKED, result("c1", parts))[0]["content"][1]["content"]
    )


@pytest.mark.parametrize("given", ["https://h.example/a.png", {"url": "https://h.example/a.png"}])
def test_an_image_at_a_url_is_fetched_by_the_server(given: object) -> None:
    parts = [{"type": "image_url", "image_url": given}]

    assert [{"type": "image", "source": {"type": "url", "url": "https://h.example/a.png"}}] == (
        turns({"role": "user", "content": parts})[0]["content"]
    )


def test_an_image_that_is_no_base64_is_the_callers_mistake() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,*"}}]

    with pytest.raises(ConfigError):
        turns({"role": "user", "content": parts})


def test_blank_texts_and_turns_of_nothing_else_are_left_out() -> None:
    parts = [{"type": "text", "text": " "}, {"type": "text", "text": "q"}]

    assert [{"role": "user", "content": "q"}] == turns(
        {"role": "user", "content": parts}, {"role": "assistant", "content": ""}
    )


def test_an_answer_that_is_begun_ends_without_white_space() -> None:
    begun = {"role": "assistant", "content": "It is \n"}

    assert {"role": "assistant", "content": "It is"} == turns(ASKED, begun)[-1]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
        ({"type": "tool", "name": "f"}, {"type": "tool", "name": "f"}),
    ],
)
def test_a_choice_of_tools_is_put_into_the_wires_words(given: object, sent: object) -> None:
    assert sent == payload(ASKED, tool_choice=given)["tool_choice"]


def test_one_call_at_a_time_is_asked_for_within_the_choice() -> None:
    assert {"type": "auto", "disable_parallel_tool_use": True} == payload(
        ASKED, parallel_tool_calls=False
    )["tool_choice"]


def test_tools_of_the_server_are_declared_as_they_are() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    call = ChatCall("m", [ASKED], tools=[search, F])

    assert [search, {"name": "f", "input_schema": {"type": "object"}}] == codec().payload(call)[
        "tools"
    ]


def test_a_schema_is_asked_for_natively() -> None:
    call = ChatCall("m", [ASKED], {"reasoning_effort": "low"}, schema=SCHEMA)

    assert {
        "effort": "low",
        "format": {"type": "json_schema", "schema": SCHEMA},
    } == codec().payload(call)["output_config"]


def test_a_response_format_of_openai_becomes_the_wires_own() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}

    assert {"format": {"type": "json_schema", "schema": SCHEMA}} == payload(
        ASKED, response_format=form
    )["output_config"]


def test_a_response_format_that_the_wire_lacks_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="json_schema"):
        payload(ASKED, response_format={"type": "json_object"})


@pytest.mark.parametrize("option", ["temperature", "top_k", "top_p"])
@pytest.mark.parametrize(
    ("model", "refused"),
    [
        ("claude-sonnet-5-5", True),
        ("claude-opus-4-8", True),
        ("claude-mythos-5", True),
        ("claude-sonnet-4-6", False),
        ("claude-haiku-4-5-20251001", False),
    ],
)
def test_the_newest_models_are_not_sent_what_they_refuse(
    model: str, refused: bool, option: str
) -> None:
    quirks = installed().provider("anthropic").for_model(model)[2]

    assert refused == (option in quirks.refuses)


def test_another_key_is_tried_when_one_is_limited(server: FaultServer) -> None:
    replies = Replies(REPLIES)
    limited = replies["error-429.json"].reply.but(headers={"retry-after": "60"})
    server.answer(limited, replies["tv1-chat.json"].reply)

    assert "4" == claude(server, api_key=["K1", "K2"])("2+2?")
    assert ["K1", "K2"] == [request.headers["x-api-key"] for request in server.requests]
    assert ["Bearer K1", "Bearer K2"] == [
        request.headers["authorization"] for request in server.requests
    ]


def test_an_overloaded_server_is_asked_again(server: FaultServer) -> None:
    replies = Replies(REPLIES)
    server.answer(replies["error-529.json"].reply, replies["tv1-chat.json"].reply)

    assert "4" == claude(server)("2+2?")


def test_a_rate_limit_is_waited_for() -> None:
    limited = Replies(REPLIES)["error-429.json"].reply
    flow = codec().flow(ChatCall("m", [ASKED]))
    next(flow)

    again = flow.send(Response(429, {"retry-after": "1"}, limited.whole))

    assert 1.0 == getattr(again, "delay")  # noqa: B009 - a flow may yield other things


@pytest.mark.parametrize(
    ("message", "cls"),
    [
        ("prompt is too long: 300000 tokens > 200000 maximum", ContextTooLong),
        ("max_tokens: Field required", InvalidRequest),
    ],
)
def test_an_error_with_status_200_is_an_error(message: str, cls: type[InvalidRequest]) -> None:
    body = '{"type": "error", "error": {"type": "invalid_request_error", "message": "%s"}}'
    response = Response(200, body=(body % message).encode())

    assert codec().is_error(response)
    assert cls is type(codec().parse_error(response))


@pytest.mark.parametrize("stop", [["end_turn"], {"x": 1}])
def test_a_reason_that_is_no_word_is_a_bad_reply(stop: object) -> None:
    reply = {"content": [{"type": "text", "text": "4"}], "stop_reason": stop}

    with pytest.raises(BadReply, match="the reply cannot be read as a message"):
        codec().parse_response(ChatCall("m", []), Response(200, body=encoded(reply)))


@given(block=ANY, usage=ANY)
def test_any_json_is_a_completion_or_a_call_error(block: object, usage: object) -> None:
    reply = {"content": [{"type": "text", "text": "4"}, block], "usage": usage}

    try:
        done = codec().parse_response(ChatCall("m", []), Response(200, body=encoded(reply)))
    except CallError:
        return
    assert done.text.startswith("4")


@given(start=ANY, delta=ANY, stop=ANY)
def test_any_stream_is_events_or_a_call_error(start: object, delta: object, stop: object) -> None:
    decoder, events = codec().decoder(ChatCall("m", [])), list[Event]()
    stream = [
        {"type": "message_start", "message": {}},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "message_delta", "delta": {"stop_reason": stop}},
    ]

    try:
        decoder.feed(b"".join(b"data: %s\n\n" % encoded(event) for event in stream), events)
        decoder.finish(events)
    except CallError:
        return
    assert "finish" == events[-1].kind


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()
