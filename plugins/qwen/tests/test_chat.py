"""What chat does otherwise here: thinking, streams, text as a list."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import modelplug
from modelplug.errors import TransportFailed, Unsupported
from modelplug.testing import FaultServer, Reply
from modelplug.types import ChatCall

HI = [{"role": "user", "content": "hi"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
STREAM = b"".join(
    b"data: " + json.dumps(chunk).encode() + b"\n\n"
    for chunk in (
        {"choices": [{"index": 0, "delta": {"content": None, "reasoning_content": "let me"}}]},
        {"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}},
    )
)
DONE = b"data: [DONE]\n\n"


def payload(codec: Callable[..., Any], model: str, **call: Any) -> dict[str, Any]:
    made = codec("llm", model)
    return dict(made.payload(ChatCall(model, call.pop("messages", HI), **call)))


def test_a_plain_request_holds_nothing_but_model_and_messages(codec: Callable[..., Any]) -> None:
    assert {"model": "qwen-plus", "messages": HI} == payload(codec, "qwen-plus")


@pytest.mark.parametrize("model", ["qwen3-8b", "qwen3-235b-a22b", "qwen3-0.6b"])
def test_an_open_hybrid_is_told_not_to_think_where_it_does_not_stream(
    model: str, codec: Callable[..., Any]
) -> None:
    assert payload(codec, model)["enable_thinking"] is False
    assert "enable_thinking" not in payload(codec, model, stream=True)


@pytest.mark.parametrize(
    "model",
    ["qwen-plus", "qwen3-max", "qwen3-30b-a3b-instruct-2507", "qwen3-coder-plus", "qwq-plus"],
)
def test_no_other_model_is_sent_the_flag_unasked(model: str, codec: Callable[..., Any]) -> None:
    assert "enable_thinking" not in payload(codec, model)


def test_an_open_hybrid_that_is_asked_to_think_streams_and_is_joined(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    call = ChatCall("qwen3-8b", HI, {"enable_thinking": True})

    played = play(codec("llm", "qwen3-8b").flow(call), STREAM + DONE)

    sent = {"stream": True, "stream_options": {"include_usage": True}, "enable_thinking": True}
    assert [{"model": "qwen3-8b", "messages": HI, **sent}] == played.bodies
    assert ("ok", "let me", 14) == (
        played.result.text,
        played.result.reasoning,
        played.result.usage.total_tokens,
    )


@pytest.mark.parametrize(
    "model", ["qwq-plus", "qvq-max", "qwen3-omni-flash", "qwen3-30b-a3b-thinking-2507"]
)
def test_a_model_that_only_streams_can_be_called_plainly(model: str) -> None:
    with FaultServer(Reply(200, {"content-type": "text/event-stream"}, STREAM + DONE)) as server:
        llm = modelplug.OnlineModule(model, source="qwen", url=server.origin, api_key="k")

        assert "ok" == llm("hi")
        assert server.requests[0].json["stream"] is True


def test_a_joined_stream_that_breaks_off_is_an_error(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    cut = STREAM.split(b"\n\n")[0] + b"\n\n"

    played = play(codec("llm", "qwq-plus").flow(ChatCall("qwq-plus", HI)), cut)

    assert isinstance(played.error, TransportFailed)
    assert "qwen" == played.error.provider


def test_json_mode_ends_the_thinking_of_a_model_that_thinks_unasked(
    codec: Callable[..., Any],
) -> None:
    sent = payload(codec, "qwen3.5-flash", schema=SCHEMA, stream=True)

    assert {"type": "json_object"} == sent["response_format"]
    assert sent["enable_thinking"] is False


def test_json_mode_sends_no_flag_to_a_model_that_does_not_think_unasked(
    codec: Callable[..., Any],
) -> None:
    sent = payload(codec, "qwen-plus", schema=SCHEMA)

    assert {"type": "json_object"} == sent["response_format"]
    assert "enable_thinking" not in sent


def test_a_model_that_always_thinks_is_asked_for_json_by_words_alone(
    codec: Callable[..., Any],
) -> None:
    sent = payload(codec, "qwq-plus", schema=SCHEMA)

    assert "response_format" not in sent
    assert "JSON" in sent["messages"][0]["content"]


def test_a_list_of_one_text_is_sent_as_the_text(codec: Callable[..., Any]) -> None:
    parts = [{"type": "text", "text": "hi"}]

    sent = payload(codec, "qwen-plus", messages=[{"role": "user", "content": parts}])

    assert HI == sent["messages"]


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}],
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        [{"type": "image_url", "image_url": {"url": "https://x.invalid/a.png"}}],
    ],
)
def test_any_other_list_stays_a_list(parts: list[Any], codec: Callable[..., Any]) -> None:
    sent = payload(codec, "qwen3-vl-plus", messages=[{"role": "user", "content": parts}])

    assert parts == sent["messages"][0]["content"]


@pytest.mark.parametrize(("url", "header"), [("oss://d/a.png", "enable"), ("https://x.y/a", None)])
def test_an_oss_address_is_sent_with_the_header_that_resolves_it(
    url: str, header: str | None, codec: Callable[..., Any]
) -> None:
    parts = [{"type": "image_url", "image_url": {"url": url}}]
    call = ChatCall("qwen3-vl-plus", [{"role": "user", "content": parts}])

    request = codec("vlm").build_request(call)

    assert header == request.headers.get("x-dashscope-ossresourceresolve")


def test_what_only_chat_here_knows_is_an_option() -> None:
    options = {
        "enable_thinking": True,
        "thinking_budget": 100,
        "enable_search": True,
        "search_options": {"forced_search": True},
        "top_k": 5,
        "repetition_penalty": 1.1,
    }
    body = b'{"choices":[{"index":0,"message":{"content":"ok"},"finish_reason":"stop"}]}'
    with FaultServer(Reply(200, {"content-type": "application/json"}, body)) as server:
        llm = modelplug.OnlineModule(source="qwen", url=server.origin, api_key="k", **options)

        assert "ok" == llm("hi")
        assert {"model": "qwen-plus", "messages": HI, **options} == server.requests[0].json


def test_a_text_model_takes_no_image() -> None:
    llm = modelplug.OnlineModule("qwen-plus", source="qwen", api_key="k")

    with pytest.raises(Unsupported, match="image-input"):
        llm("what is it?", files=[b"\x89PNG\r\n\x1a\n"])


def test_a_translation_model_does_not_stream() -> None:
    llm = modelplug.OnlineModule("qwen-mt-plus", source="qwen", api_key="k")

    with pytest.raises(Unsupported, match="stream"):
        list(llm.stream("hi"))
