"""Chat completions in one piece: the request that is built, and replies as servers write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve
from core_helpers import CALL, ENDPOINT, KEY, chat_body, chat_stream, delta, finish, sse
from hypothesis import given
from hypothesis import strategies as st

from modelplug.errors import (
    BadReply,
    CallError,
    ConfigError,
    QuotaExhausted,
    Refused,
    Unsupported,
)
from modelplug.openai_wire import OpenAIChat
from modelplug.types import Completion, Quirks, ToolCall, Usage
from modelplug.wire import Response

CHAT = OpenAIChat(ENDPOINT)
SCHEMA = {"title": "Answer", "type": "object", "properties": {"x": {"type": "integer"}}}
DOCUMENTED = b"""{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,
 "model":"gpt-5.4-mini-2026-03-17","service_tier":"default","system_fingerprint":null,
 "choices":[{"index":0,"message":{"role":"assistant","content":"4","refusal":null,"annotations":[]},
 "finish_reason":"stop","logprobs":null}],
 "usage":{"prompt_tokens":14,"completion_tokens":5,"total_tokens":19,
  "prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},
  "completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}}"""


def body_of(codec: OpenAIChat = CHAT, **changes: Any) -> dict[str, Any]:
    """The JSON that is sent for the call with *changes*."""
    sent: dict[str, Any] = json.loads(codec.build_request(evolve(CALL, **changes)).body)
    return sent


def answer(body: bytes, status: int = 200, **headers: str) -> Completion:
    """What the codec makes of one reply."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    result, _ = finish(CHAT.flow(CALL), Response(status, named, body))
    assert isinstance(result, Completion)
    return result


def message(_finish: str | None = "stop", /, **fields: Any) -> Completion:
    """What the codec makes of a reply with one message."""
    return answer(json.dumps({"choices": [{"message": fields, "finish_reason": _finish}]}).encode())


# The request.


def test_a_call_posts_the_model_and_the_messages_and_nothing_else() -> None:
    request = CHAT.build_request(CALL)

    assert "POST" == request.method
    assert "http://127.0.0.1:9/v1/chat/completions" == request.url
    assert {"content-type": "application/json"} == request.headers
    assert b'{"model":"acme-1","messages":[{"role":"user","content":"2+2?"}]}' == request.body
    assert not request.stream
    assert request.auth is not None
    assert KEY == request.auth.reveal()
    assert KEY not in repr(request)


def test_without_a_key_no_authorization_is_sent() -> None:
    request = OpenAIChat(evolve(ENDPOINT, api_key=None)).build_request(CALL)

    assert request.auth is None


@pytest.mark.parametrize(
    "url", ["http://h/v1", "http://h/v1/", "http://h/v1/chat/completions"], ids=str
)
def test_the_path_is_added_once_whatever_the_base_ends_with(url: str) -> None:
    request = OpenAIChat(evolve(ENDPOINT, url=url)).build_request(CALL)

    assert "http://h/v1/chat/completions" == request.url


def test_options_are_sent_as_they_are() -> None:
    assert {"temperature": 0.5, "stop": ["a"]}.items() <= body_of(
        options={"temperature": 0.5, "stop": ["a"]}
    ).items()


def test_max_tokens_goes_under_the_name_that_the_endpoint_wants() -> None:
    quirk = evolve(ENDPOINT, quirks=Quirks(max_tokens_field="max_completion_tokens"))

    sent = body_of(OpenAIChat(quirk), options={"max_tokens": 5})

    assert 5 == sent["max_completion_tokens"]
    assert "max_tokens" not in sent
    assert 5 == body_of(options={"max_tokens": 5})["max_tokens"]


def test_a_stream_asks_for_its_usage() -> None:
    sent = body_of(stream=True)

    assert sent["stream"] is True
    assert {"include_usage": True} == sent["stream_options"]


def test_a_server_that_knows_no_stream_options_is_not_sent_any() -> None:
    codec = OpenAIChat(evolve(ENDPOINT, quirks=Quirks(stream_options=False)))

    assert "stream_options" not in body_of(codec, stream=True)


def test_tools_are_sent() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]

    assert tools == body_of(tools=tools)["tools"]


def test_a_schema_is_asked_for_natively_where_the_server_can() -> None:
    codec = OpenAIChat(evolve(ENDPOINT, does=frozenset({"json-schema", "json-object"})))

    sent = body_of(codec, schema=SCHEMA)

    assert {
        "type": "json_schema",
        "json_schema": {"name": "Answer", "schema": SCHEMA, "strict": True},
    } == sent["response_format"]
    assert CALL.messages == sent["messages"]


def test_a_schema_without_a_title_is_called_answer() -> None:
    codec = OpenAIChat(evolve(ENDPOINT, does=frozenset({"json-schema"})))

    sent = body_of(codec, schema={"type": "object"})

    assert "answer" == sent["response_format"]["json_schema"]["name"]


@pytest.mark.parametrize("does", [frozenset({"json-object"}), frozenset()], ids=["object", "none"])
def test_a_server_without_schemas_is_told_the_schema_in_words(does: frozenset[str]) -> None:
    sent = body_of(OpenAIChat(evolve(ENDPOINT, does=does)), schema=SCHEMA)

    told, question = sent["messages"]
    assert "system" == told["role"]
    assert "JSON" in told["content"]
    assert json.loads(told["content"].partition("\n")[2]) == SCHEMA
    assert {"role": "user", "content": "2+2?"} == question
    assert ({"type": "json_object"} if does else None) == sent.get("response_format")


def test_telling_the_schema_leaves_the_callers_messages_alone() -> None:
    body_of(OpenAIChat(evolve(ENDPOINT, does=frozenset())), schema=SCHEMA)

    assert [{"role": "user", "content": "2+2?"}] == CALL.messages


@pytest.mark.parametrize(
    "options", [{"stop": {"a", "b"}}, {"seed": 1 << 70}, {"user": "\ud800"}, {"metadata": {1: 2}}],
    ids=["a set", "a huge number", "half a surrogate pair", "a key that is no text"],
)  # fmt: skip
def test_what_no_json_can_hold_is_the_callers_mistake(options: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        CHAT.build_request(evolve(CALL, options=options))

    assert str(caught.value).startswith("the request cannot be written as JSON: ")


# The reply.


def test_the_documented_reply_is_read() -> None:
    completion = answer(DOCUMENTED)

    assert "4" == completion.text
    assert "" == completion.reasoning
    assert () == completion.tool_calls
    assert Usage(14, 5, 19, 0, 0) == completion.usage
    assert "stop" == completion.finish_reason
    assert "gpt-5.4-mini-2026-03-17" == completion.model
    assert "chatcmpl-1" == completion.id
    assert json.loads(DOCUMENTED) == completion.raw
    assert "4" == completion.value


def test_one_request_is_made() -> None:
    _, requests = finish(CHAT.flow(CALL), Response(200, body=chat_body()))

    assert 1 == len(requests)


def test_d17_blank_lines_before_the_reply_are_fine() -> None:
    assert "4" == answer(b"\n\n \r\n" + chat_body() + b"\n").text


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_d1_reasoning_goes_by_two_names(name: str) -> None:
    assert "hm" == message(content="4", **{name: "hm"}).reasoning


def test_d1_reasoning_under_both_names_counts_once() -> None:
    assert "hm" == message(content="4", reasoning="hm", reasoning_content="hm").reasoning


@pytest.mark.parametrize("empty", [None, "", [], {}], ids=repr)
def test_d1_reasoning_that_is_empty_or_no_text_is_none(empty: object) -> None:
    assert "" == message(content="4", reasoning=empty, reasoning_content=empty).reasoning


def test_a_refusal_is_the_text() -> None:
    assert "I cannot." == message(content=None, refusal="I cannot.").text


def test_d30_content_as_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, "stray", {"text": "b"}]

    assert "ab" == message(content=parts).text


def test_content_may_be_absent_beside_tool_calls() -> None:
    function = {"name": "add", "arguments": '{"a":1}'}
    completion = message(tool_calls=[{"id": "c", "type": "function", "function": function}])

    assert "" == completion.text
    assert (ToolCall("c", "add", {"a": 1}, '{"a":1}'),) == completion.tool_calls


@pytest.mark.parametrize("reason", ["stop", "", None, "function_call", "eos", "end_turn"], ids=repr)
def test_d14_the_presence_of_calls_decides_the_reason(reason: str | None) -> None:
    calls = [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]

    assert "tool_calls" == message(reason, content=None, tool_calls=calls).finish_reason


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("eos", "stop"),
        ("eos_token", "stop"),
        ("end_turn", "stop"),
        ("sensitive", "content_filter"),
        ("abort", "abort"),
        ("network_error", "network_error"),
        ("", "stop"),
        (None, "stop"),
    ],
)
def test_d14_finish_reasons_are_put_into_our_words(theirs: str | None, ours: str) -> None:
    assert ours == message(theirs, content="4").finish_reason


def test_length_stays_length_beside_calls_that_were_cut() -> None:
    calls = [{"id": "c", "function": {"name": "f", "arguments": '{"a'}}]

    completion = message("length", content=None, tool_calls=calls)

    assert "length" == completion.finish_reason
    assert (ToolCall("c", "f", {}, '{"a'),) == completion.tool_calls


@pytest.mark.parametrize(
    ("arguments", "parsed", "text"),
    [
        ('{"x":1}', {"x": 1}, '{"x":1}'),
        ({"x": 1}, {"x": 1}, '{"x":1}'),
        ("", {}, ""),
        (None, {}, ""),
        ("[1]", {}, "[1]"),
        ("{'x':1}", {}, "{'x':1}"),
    ],
    ids=["text", "d11 an object", "empty", "null", "a list", "no json"],
)
def test_arguments_are_an_object_and_their_text_is_kept(
    arguments: object, parsed: object, text: str
) -> None:
    calls = [{"id": None, "function": {"name": "f", "arguments": arguments}}]

    assert (ToolCall("", "f", parsed, text),) == message(tool_calls=calls).tool_calls  # type: ignore[arg-type]


@pytest.mark.parametrize("usage", [None, 3, [], "19", {}, {"prompt_tokens": "14"}], ids=repr)
def test_usage_that_is_absent_or_nonsense_is_unknown(usage: object) -> None:
    assert Usage() == answer(chat_body(usage=usage)).usage


def test_usage_details_may_be_null() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": True, "prompt_tokens_details": None}

    assert Usage(1) == answer(chat_body(usage=usage)).usage


@pytest.mark.parametrize("absent", ["id", "model", "usage"])
def test_what_is_not_the_answer_may_be_absent(absent: str) -> None:
    reply = json.loads(chat_body())
    del reply[absent]

    assert "4" == answer(json.dumps(reply).encode()).text


def test_the_first_of_several_choices_is_the_answer() -> None:
    choices = [{"message": {"content": text}} for text in "ab"]

    assert "a" == answer(json.dumps({"choices": choices}).encode()).text


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the reply is not JSON: 'nothing at all'"),
        (b"  \n", "the reply is not JSON: 'nothing at all'"),
        (b"<html>", "the reply is not JSON: '<html>'"),
        (b"\xff\xfe", "the reply is not JSON: '\ufffd\ufffd'"),
        (b'{"choices":[', "the reply is not JSON: '{\"choices\":['"),
        (b"{}", "the reply is not a ChatReply: required field missing @ $.choices"),
        (b'{"choices":[]}', "the reply has no choices @ $.choices"),
        (
            b'{"choices":[{}]}',
            "the reply is not a ChatReply: required field missing @ $.choices[0].message",
        ),
        (
            b'{"choices":[{"message":{"content":5}}]}',
            "content is neither text nor a list of parts but int",
        ),
    ],
    ids=["nothing", "blank", "html", "bytes", "half", "empty", "none", "no message", "5"],
)
def test_what_is_no_completion_is_a_bad_reply_that_says_where(body: bytes, told: str) -> None:
    with pytest.raises(BadReply) as caught:
        answer(body, x_request_id="r-1")

    assert told == str(caught.value)
    assert 200 == caught.value.status
    assert "acme" == caught.value.provider
    assert "r-1" == caught.value.request_id
    assert not caught.value.retryable


def test_a_field_of_the_wrong_type_is_named_with_its_path() -> None:
    with pytest.raises(BadReply) as caught:
        answer(b'{"choices":[{"message":{"content":"x","refusal":5}}]}')

    assert str(caught.value).endswith("@ $.choices[0].message.refusal")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4) | st.just("tool_calls"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from("choices message content tool_calls function name arguments".split()),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_a_completion_or_a_call_error(value: object) -> None:
    try:
        completion = answer(json.dumps({"choices": [{"message": value}]}).encode())
    except CallError:
        return

    assert isinstance(completion.text, str)
    assert all(isinstance(call.name, str) for call in completion.tool_calls)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"x"}}',
        b'{ "error": {"message":"x"}}',
        b'\n{\n    "error": {\n        "message": "x"\n    }\n}',
        b'{\t"error": "x"}',
    ],
    ids=["plain", "a space", "printed", "a tab"],
)
def test_d25_an_error_with_status_200_is_an_error(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        answer(body)

    assert "acme answered 200: x" == str(caught.value)
    assert 200 == caught.value.status


def test_an_error_that_is_null_is_none() -> None:
    reply = json.dumps({"error": None} | json.loads(chat_body())).encode()

    assert "4" == answer(reply).text


def test_d25_an_error_with_status_200_is_sorted_by_its_code() -> None:
    with pytest.raises(QuotaExhausted):
        answer(b'{"error":{"message":"x","code":"insufficient_quota"}}')


def test_tv15_a_model_that_is_loading_is_asked_again() -> None:
    loading = b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'

    completion, requests = finish(
        CHAT.flow(CALL), Response(503, body=loading), Response(200, body=chat_body())
    )

    assert "4" == completion.text
    assert requests[0].body == requests[1].body


# Quirks of servers.


def quirky(**quirks: Any) -> OpenAIChat:
    return OpenAIChat(evolve(ENDPOINT, quirks=Quirks(**quirks)))


def test_fields_for_calls_that_do_not_stream_are_sent_with_those_alone() -> None:
    codec = quirky(unless_streaming={"enable_thinking": False})

    assert body_of(codec)["enable_thinking"] is False
    assert body_of(codec, options={"enable_thinking": True})["enable_thinking"] is True
    assert "enable_thinking" not in body_of(codec, stream=True)


TURN = {"role": "assistant", "content": "", "reasoning_content": "hm", "native": {"x": 1}}
CALLED = TURN | {"tool_calls": [{"id": "c"}]}


@pytest.mark.parametrize(
    ("codec", "turn", "kept"),
    [
        (CHAT, TURN, {"role", "content"}),
        (CHAT, CALLED, {"role", "content", "tool_calls"}),
        (quirky(echo_reasoning=True), TURN, {"role", "content"}),
        (
            quirky(echo_reasoning=True),
            CALLED,
            {"role", "content", "tool_calls", "reasoning_content"},
        ),
    ],
    ids=["plain", "called", "echo", "echo called"],
)
def test_past_reasoning_goes_back_only_where_it_is_wanted(
    codec: OpenAIChat, turn: Mapping[str, Any], kept: set[str]
) -> None:
    before = dict(turn)

    (sent,) = body_of(codec, messages=[turn])["messages"]

    assert kept == set(sent)
    assert before == turn


def test_the_schema_in_words_joins_the_system_text_that_is_there() -> None:
    told = [{"role": "system", "content": "Be brief."}, *CALL.messages]

    system, question = body_of(schema=SCHEMA, messages=told)["messages"]

    assert system["content"].startswith("Be brief.\n\nAnswer with JSON that fits this schema:\n")
    assert {"role": "user", "content": "2+2?"} == question


PNG = b"\x89PNG\r\n\x1a\nx"
URI = "data:image/png;base64,iVBORw0KGgp4"


def test_images_are_fetched_for_a_server_that_fetches_none() -> None:
    parts: list[Any] = [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "http://h/a.png", "detail": "low"}},
        {"type": "video_url", "video_url": "https://h/b.png"},
        {"type": "image_url", "image_url": {"url": URI}},
        "stray",
    ]
    messages: list[Any] = [{"role": "system", "content": "s"}, {"role": "user", "content": parts}]
    flow = quirky(inline_files=True).flow(evolve(CALL, messages=messages))

    _, requests = finish(
        flow, Response(200, body=PNG), Response(200, body=PNG), Response(200, body=chat_body())
    )

    assert ["http://h/a.png", "https://h/b.png"] == [request.url for request in requests[:2]]
    sent = json.loads(requests[2].body)["messages"][1]["content"]
    assert {"url": URI, "detail": "low"} == sent[1]["image_url"]
    assert {"url": URI} == sent[2]["video_url"]
    assert [parts[0], parts[3], parts[4]] == [sent[0], sent[3], sent[4]]
    assert "http://h/a.png" == parts[1]["image_url"]["url"]


def test_a_server_that_only_streams_is_asked_so_and_its_stream_joined() -> None:
    completion, (request,) = finish(
        quirky(only_streams=True).flow(CALL), Response(200, body=chat_stream("a", "b"))
    )

    assert ("ab", "stop") == (completion.text, completion.finish_reason)
    assert json.loads(request.body)["stream"] is True


def test_a_joined_stream_that_was_cut_is_an_error() -> None:
    with pytest.raises(CallError) as caught:
        finish(
            quirky(only_streams=True).flow(CALL),
            Response(200, {"x-request-id": "r-1"}, sse(delta(content="a"), done=False)),
        )

    assert ("acme", "r-1") == (caught.value.provider, caught.value.request_id)


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "name": "Kim"},
        {"role": "assistant", "content": "", "tool_calls": [], "native": {"x": 1}},
    ],
)
def test_a_turn_that_says_nothing_is_left_out_where_the_server_refuses_it(
    turn: Mapping[str, Any],
) -> None:
    told = [turn, *CALL.messages]

    assert 2 == len(body_of(messages=told)["messages"])
    assert list(CALL.messages) == body_of(quirky(empty_turns=False), messages=told)["messages"]


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c"}]},
        {"role": "assistant", "content": "", "partial": True},
        {"role": "user", "content": ""},
    ],
)
def test_a_turn_that_says_something_stays(turn: Mapping[str, Any]) -> None:
    assert [turn] == body_of(quirky(empty_turns=False), messages=[turn])["messages"]


@pytest.mark.parametrize(
    ("turn", "options", "told"),
    [
        ({"tool_calls": [{"id": "c"}]}, {}, " "),
        ({"tool_calls": [{"id": "c"}], "reasoning_content": "hm"}, {}, "hm"),
        ({"tool_calls": [{"id": "c"}]}, {"thinking": {"type": "enabled"}}, " "),
        ({"tool_calls": [{"id": "c"}]}, {"thinking": {"type": "disabled"}}, None),
        ({"content": "a"}, {}, None),
    ],
)
def test_lost_reasoning_is_replaced_while_a_model_thinks(
    turn: Mapping[str, Any], options: Mapping[str, Any], told: str | None
) -> None:
    codec = quirky(echo_reasoning=True, lost_reasoning=" ")

    (sent,) = body_of(codec, messages=[{"role": "assistant", **turn}], options=options)["messages"]

    assert told == sent.get("reasoning_content")


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
NAMED = {"type": "function", "function": {"name": "f"}}
ON, OFF = {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}
ALL = {"tools", "tool_choice"}


@pytest.mark.parametrize(
    ("takes", "choice", "options", "sent"),
    [
        ("any", "none", {}, ALL),
        ("any", "required", ON, ALL),
        ("auto", "none", {}, set()),
        ("auto", "auto", {}, {"tools"}),
        ("unless-thinking", "none", {}, ALL),
        ("unless-thinking", "required", OFF, ALL),
        ("instead-of-thinking", "auto", ON, ALL),
        ("instead-of-thinking", "required", {}, ALL),
        ("instead-of-thinking", "required", OFF, ALL),
    ],
)
def test_a_tool_choice_is_sent_as_the_server_takes_it(
    takes: str, choice: str, options: Mapping[str, Any], sent: set[str]
) -> None:
    body = body_of(
        quirky(tool_choice=takes), tools=TOOLS, options={"tool_choice": choice} | options
    )

    assert sent == body.keys() & ALL
    switched = takes == "instead-of-thinking" and choice == "required"
    assert ({**OFF} if switched else options).get("thinking") == body.get("thinking")


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
@pytest.mark.parametrize(
    ("takes", "options", "why"),
    [
        ("auto", OFF, "acme's acme-1 cannot be made to call a tool; leave tool_choice out"),
        ("unless-thinking", {}, "cannot be made to call a tool while it thinks; leave tool_choice"),
        ("unless-thinking", ON, "while it thinks"),
        ("instead-of-thinking", ON, "while it thinks"),
        ("instead-of-thinking", {"reasoning_effort": "low"}, "while it thinks"),
    ],
)
def test_a_forced_tool_call_that_the_server_refuses_is_unsupported(
    takes: str, options: Mapping[str, Any], why: str, choice: object
) -> None:
    with pytest.raises(Unsupported) as caught:
        body_of(quirky(tool_choice=takes), tools=TOOLS, options={"tool_choice": choice, **options})

    assert why in str(caught.value)


JSON_MODE = {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize("changes", [{"schema": SCHEMA}, {"options": JSON_MODE}])
def test_json_that_came_empty_is_asked_for_once_more(changes: Mapping[str, Any]) -> None:
    flow = quirky(empty_json=True).flow(evolve(CALL, **changes))

    completion, requests = finish(
        flow, Response(200, body=chat_body(" ")), Response(200, body=chat_body("{}"))
    )

    assert "{}" == completion.text
    assert requests[0] == requests[1]


@pytest.mark.parametrize(
    ("quirk", "options"), [(False, JSON_MODE), (True, {"response_format": {"type": "text"}})]
)
def test_an_empty_answer_is_taken_as_it_is_elsewhere(
    quirk: bool, options: Mapping[str, Any]
) -> None:
    flow = quirky(empty_json=quirk).flow(evolve(CALL, options=options))

    completion, requests = finish(flow, Response(200, body=chat_body("")))

    assert ("", 1) == (completion.text, len(requests))
