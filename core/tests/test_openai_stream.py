"""Chat completions as they stream: every deviation that a server was seen with, from raw bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from core_helpers import CALL, ENDPOINT, chat_stream, delta, finish, into, sse, stream_of
from hypothesis import given
from hypothesis import strategies as st

from modelplug.errors import (
    BadReply,
    CallError,
    ContextTooLong,
    InvalidRequest,
    Overloaded,
    ProviderFailed,
    RateLimited,
    Refused,
    TransportFailed,
)
from modelplug.openai_wire import OpenAIChat
from modelplug.types import (
    Completion,
    Event,
    Finish,
    Reasoning,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from modelplug.wire import Request, Response

CHAT = OpenAIChat(ENDPOINT)
DOCUMENTED = b"""data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"4"},"finish_reason":null}],"usage":null}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":14,"completion_tokens":1,"total_tokens":15}}

data: [DONE]

"""  # noqa: E501 - bytes as OpenAI's page has them
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
SIZES = [1, 2, 3, 7, 1000]


def events(body: bytes, size: int = 0) -> list[Event]:
    """The events of *body*, whole or in pieces of *size*."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)] if size else [body]
    return stream_of(CHAT, CALL, pieces)


def whole(body: bytes, size: int = 0) -> Completion:
    """The events of *body* added up."""
    return Completion.of(events(body, size))


def broken(body: bytes) -> tuple[list[Event], CallError]:
    """(what came before the error, the error)."""
    seen: list[Event] = []
    with pytest.raises(CallError) as caught:
        into(seen, CHAT, CALL, body)
    return seen, caught.value


def tool(**piece: Any) -> dict[str, Any]:
    """A chunk with one piece of a tool call."""
    return delta(tool_calls=[piece])


def calls(*chunks: Any) -> tuple[ToolCall, ...]:
    """The tool calls of a stream of *chunks*."""
    return whole(sse(*chunks, delta("tool_calls"))).tool_calls


def test_tv2_the_documented_stream_is_read() -> None:
    assert [
        Text("4"),
        Usage(14, 1, 15),
        Finish("stop", "m", "c1"),
    ] == events(DOCUMENTED)


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_is_the_same_in_pieces_of_any_size(size: int) -> None:
    assert events(DOCUMENTED) == events(DOCUMENTED, size)


def test_text_is_given_out_with_the_bytes_that_complete_it() -> None:
    flow = CHAT.stream(CALL)
    next(flow)
    assert [] == flow.send(Response(200, streaming=True))
    assert [] == flow.send(b'data: {"choices":[{"delta":{"content":"a"}}]}\n')
    assert [Text("a")] == flow.send(b"\n")
    flow.close()


def test_nothing_is_wanted_after_the_last_event() -> None:
    flow = CHAT.stream(CALL)
    next(flow)
    flow.send(Response(200, streaming=True))
    assert Finish("stop", "", "c1") == flow.send(chat_stream("a"))[-1]  # type: ignore[index]
    with pytest.raises(StopIteration):
        flow.send(None)


def test_what_the_end_completes_is_given_out_before_the_error() -> None:
    body = sse(delta(content="a"), done=False).rstrip(b"\n")

    seen, error = broken(body)

    assert [Text("a")] == seen
    assert TransportFailed is type(error)


@pytest.mark.parametrize("size", SIZES)
def test_tv3_a_character_cut_in_two_is_whole(size: int) -> None:
    body = 'data: {"choices":[{"index":0,"delta":{"content":"你好"}}]}\r\n\r\n'.encode()

    assert "你好" == whole(body + b"data: [DONE]\r\n\r\n", size).text


def test_what_follows_the_end_is_not_read() -> None:
    assert "a" == whole(chat_stream("a") + b"data: nonsense\n\n").text


# D1 to D8: reasoning, usage, roles.


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_d1_reasoning_goes_by_two_names(name: str) -> None:
    assert [Reasoning("hm")] == events(sse(delta(**{name: "hm"}), delta("stop")))[:1]


def test_d1_reasoning_under_both_names_counts_once() -> None:
    body = sse(delta(reasoning="hm", reasoning_content="hm", content=None), delta("stop"))

    assert "hm" == whole(body).reasoning


def test_tv1_reasoning_and_a_usage_chunk_without_choices() -> None:
    completion = whole(
        sse(
            {"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning": "hm"}}]},
            {"choices": [{"index": 0, "delta": {"content": "4"}, "finish_reason": "stop"}]},
            {"choices": [], "usage": USAGE},
        )
    )

    assert ("hm", "4", Usage(1, 2, 3)) == (completion.reasoning, completion.text, completion.usage)


def test_reasoning_and_text_in_one_chunk_are_both_given() -> None:
    body = sse(delta(content="4", reasoning_content="hm"), delta("stop"))

    assert ("hm", "4") == (whole(body).reasoning, whole(body).text)


def test_d4_the_last_usage_that_is_not_null_wins() -> None:
    chunks = [
        delta(content="a") | {"usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        delta(content="b") | {"usage": USAGE},
        delta("stop") | {"usage": None},
    ]

    assert Usage(1, 2, 3) == whole(sse(*chunks)).usage


def test_d5_usage_inside_the_choice_is_found() -> None:
    last = {"choices": [{"delta": {}, "finish_reason": "stop", "usage": USAGE}]}

    assert Usage(1, 2, 3) == whole(sse(delta(content="a"), last)).usage


def test_d5_usage_of_the_chunk_comes_before_that_of_the_choice() -> None:
    last = {"choices": [{"delta": {}, "finish_reason": "stop", "usage": {}}], "usage": USAGE}

    assert Usage(1, 2, 3) == whole(sse(delta(content="a"), last)).usage


def test_d6_usage_in_the_last_chunk_with_a_choice_is_found() -> None:
    assert Usage(1, 2, 3) == whole(sse(delta(content="a"), delta("stop") | {"usage": USAGE})).usage


def test_a_stream_without_usage_says_that_it_is_unknown() -> None:
    assert Usage() == whole(chat_stream("a")).usage


@pytest.mark.parametrize("role", [{"role": "assistant"}, {}], ids=["d7 each", "d8 none"])
def test_d7_d8_roles_do_not_matter(role: dict[str, str]) -> None:
    body = sse(delta(content="a", **role), delta(content="b", **role), delta("stop", **role))

    assert "ab" == whole(body).text


# D9 to D14: tool calls and how a stream finishes.


def test_tv4_parallel_calls_interleave() -> None:
    body = sse(
        tool(index=0, id="a", type="function", function={"name": "f", "arguments": ""}),
        tool(index=1, id="b", type="function", function={"name": "g", "arguments": "{}"}),
        tool(index=0, function={"arguments": '{"x":'}),
        tool(index=0, function={"arguments": "1}"}),
        delta("tool_calls"),
    )

    assert [
        ToolCallDelta(0, "a", "f", ""),
        ToolCallDelta(1, "b", "g", "{}"),
        ToolCallDelta(0, "a", "f", '{"x":'),
        ToolCallDelta(0, "a", "f", "1}"),
        ToolCall("a", "f", {"x": 1}, '{"x":1}'),
        ToolCall("b", "g", {}, "{}"),
        Usage(),
        Finish("tool_calls", "", "c1"),
    ] == events(body)


def test_several_pieces_in_one_chunk_are_all_read() -> None:
    pieces = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
    ]

    assert ["f", "g"] == [call.name for call in calls(delta(tool_calls=pieces))]


def test_d9_without_index_another_id_is_another_call() -> None:
    assert (ToolCall("a", "f", {}, "{}"), ToolCall("b", "g", {}, "{}")) == calls(
        tool(id="a", function={"name": "f", "arguments": "{}"}),
        tool(id="b", function={"name": "g", "arguments": "{}"}),
    )


def test_d9_without_index_the_same_id_is_the_same_call() -> None:
    assert (ToolCall("a", "f", {"x": 1}, '{"x":1}'), ToolCall("b", "g", {}, "{}")) == calls(
        tool(id="a", function={"name": "f", "arguments": '{"x"'}),
        tool(id="b", function={"name": "g", "arguments": "{}"}),
        tool(id="a", function={"arguments": ":1}"}),
    )


def test_d9_without_index_and_id_a_piece_belongs_to_the_last_call() -> None:
    assert (ToolCall("a", "f", {"x": 1}, '{"x":1}'),) == calls(
        tool(id="a", function={"name": "f", "arguments": '{"x"'}),
        tool(function={"arguments": ":1}"}),
    )


def test_d9_without_index_and_id_a_name_begins_another_call() -> None:
    assert (ToolCall("", "f", {}, "{}"), ToolCall("", "g", {}, "{}")) == calls(
        tool(function={"name": "f", "arguments": "{}"}),
        tool(function={"name": "g", "arguments": "{}"}),
    )


def test_d10_another_id_with_a_name_is_another_call_though_each_index_is_0() -> None:
    assert (ToolCall("a", "f", {"x": 1}, '{"x":1}'), ToolCall("b", "g", {}, "{}")) == calls(
        tool(index=0, id="a", function={"name": "f", "arguments": '{"x":'}),
        tool(index=0, function={"arguments": "1}"}),
        tool(index=0, id="b", function={"name": "g", "arguments": "{"}),
        tool(index=0, function={"arguments": "}"}),
    )


def test_d10_another_id_without_a_name_goes_on_with_the_call_of_its_index() -> None:
    assert (ToolCall("a", "f", {"x": 1}, '{"x":1}'),) == calls(
        tool(index=0, id="a", function={"name": "f", "arguments": '{"x":'}),
        tool(index=0, id="chatcmpl-tool-7", function={"arguments": "1}"}),
    )


def test_d11_arguments_as_an_object_are_written_as_json() -> None:
    body = sse(tool(id="a", function={"name": "f", "arguments": {"x": 1}}), delta("stop"))

    assert ToolCallDelta(0, "a", "f", '{"x":1}') == events(body)[0]
    assert (ToolCall("a", "f", {"x": 1}, '{"x":1}'),) == whole(body).tool_calls


@pytest.mark.parametrize("empty", ["", None], ids=repr)
def test_d12_a_repeated_name_and_an_empty_id_change_nothing(empty: str | None) -> None:
    assert (ToolCall("a", "f", {}, "{}"),) == calls(
        tool(index=0, id="a", function={"name": "f", "arguments": "{"}),
        tool(index=0, id=empty, function={"name": "f", "arguments": "}"}),
    )


def test_an_id_that_comes_late_is_kept() -> None:
    assert (ToolCall("a", "f", {}, "{}"),) == calls(
        tool(index=0, function={"name": "f"}),
        tool(index=0, id="a", function={"arguments": "{}"}),
    )


def test_a_piece_without_a_function_is_read() -> None:
    assert (ToolCall("a", "f", {}, ""),) == calls(
        tool(index=0, id="a"), tool(index=0, function={"name": "f"}), tool(index=0, function=None)
    )


def test_arguments_that_are_no_json_are_kept_as_text() -> None:
    assert (ToolCall("a", "f", {}, "{x"),) == calls(
        tool(index=0, id="a", function={"name": "f", "arguments": "{x"})
    )


@pytest.mark.parametrize("arguments", [5, [1], True, 1.5], ids=repr)
def test_arguments_of_any_other_type_do_not_break_the_stream(arguments: object) -> None:
    (call,) = calls(tool(index=0, id="a", function={"name": "f", "arguments": arguments}))

    assert ("f", {}, json.dumps(arguments, separators=(",", ":"))) == (
        call.name,
        call.arguments,
        call.arguments_text,
    )


def test_d13_an_empty_finish_reason_is_none() -> None:
    first = {"choices": [{"delta": {"content": "a"}, "finish_reason": ""}]}

    _, error = broken(sse(first, done=False))

    assert isinstance(error, TransportFailed)
    assert "length" == whole(sse(first, delta("length"))).finish_reason


@pytest.mark.parametrize("reason", ["stop", "function_call", "eos", "end_turn"])
def test_d14_the_presence_of_calls_decides_the_reason(reason: str) -> None:
    body = sse(tool(index=0, id="a", function={"name": "f", "arguments": "{}"}), delta(reason))

    assert "tool_calls" == whole(body).finish_reason


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("eos_token", "stop"), ("sensitive", "content_filter"), ("abort", "abort"), ("length",) * 2],
)
def test_d14_finish_reasons_are_put_into_our_words(theirs: str, ours: str) -> None:
    assert ours == whole(sse(delta(content="a"), delta(theirs))).finish_reason


# D15 to D19, D26 to D28: lines and their ends.


@pytest.mark.parametrize("size", SIZES)
def test_tv2_comments_crlf_and_data_without_a_space(size: int) -> None:
    body = (
        b': hi\r\n\r\ndata:{"choices":[{"delta":{"content":"a"}}]}\r\n\r\n:\r\n\r\n'
        b'data:{"choices":[{"delta":{},"finish_reason":"stop"}]}\r\n\r\ndata:[DONE]\r\n\r\n'
    )

    assert [Text("a"), Usage(), Finish("stop")] == events(body, size)


@pytest.mark.parametrize(
    "noise",
    [
        b": OPENROUTER PROCESSING\n\n",
        b"event: ping\n\n",
        b"event: ping\ndata: {}\n\n",
        b"\n\n\n",
        b"data:\n\n",
        b"data: \n\n",
        b"id: 3\nretry: 5\n\n",
    ],
)
def test_d16_keep_alives_are_skipped(noise: bytes) -> None:
    first, second, end = (sse(chunk, done=False) for chunk in (delta(content="a"),) * 2 + (1,))
    body = noise + first + noise + second + noise + sse(delta("stop")) + noise

    assert end
    assert [Text("a"), Text("a"), Usage(), Finish("stop", "", "c1")] == events(body)


def test_d18_an_end_after_a_finish_reason_is_an_end() -> None:
    body = sse(delta(content="a"), delta("stop"), done=False)

    assert [Text("a"), Usage(), Finish("stop", "", "c1")] == events(body)


def test_d18_the_last_line_may_lack_its_end() -> None:
    body = sse(delta(content="a"), delta("stop"), done=False).rstrip(b"\n")

    assert "stop" == whole(body).finish_reason
    assert "stop" == whole(body + b"\n\ndata: [DONE]").finish_reason


def test_tv6_an_end_before_a_finish_reason_is_a_cut() -> None:
    seen, error = broken(sse(delta(content="a"), done=False))

    assert [Text("a")] == seen
    assert TransportFailed is type(error)
    assert "the stream of acme ended before the answer did" == str(error)


@pytest.mark.parametrize("done", ["[DONE]", " [DONE] ", "[done]", "[DONE]x", " [Done]"], ids=repr)
def test_d19_the_end_is_known_by_any_spacing_and_case(done: str) -> None:
    body = sse(delta(content="a"), delta("stop"), done, done=False)

    assert "a" == whole(body).text


def test_d19_done_alone_is_enough_after_an_answer() -> None:
    assert Finish("stop", "", "c1") == events(sse(delta(content="a")))[-1]


@pytest.mark.parametrize("body", [b"data: [DONE]\n\n", b"data: {}\n\ndata: [DONE]\n\n"])
def test_a_stream_without_an_answer_is_a_bad_reply(body: bytes) -> None:
    seen, error = broken(body)

    assert [] == seen
    assert BadReply is type(error)
    assert "the stream of acme ended without an answer" == str(error)


@pytest.mark.parametrize("body", [b"", b"\n", b": hi\n\n"])
def test_a_stream_of_nothing_is_a_cut(body: bytes) -> None:
    flow = CHAT.stream(evolve(CALL))
    next(flow)
    flow.send(Response(200, streaming=True))
    flow.send(body)

    again = flow.send(None)  # nothing was given out, so it may be asked for again

    assert isinstance(again, Request)
    flow.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("eol", [b"\r\n", b"\r"], ids=repr)
def test_d26_ends_of_line_and_a_byte_order_mark(eol: bytes, size: int) -> None:
    body = b"\xef\xbb\xbf" + chat_stream("a", "b").replace(b"\n", eol)

    assert "ab" == whole(body, size).text


def test_d28_several_data_lines_are_one_chunk() -> None:
    body = b'data: {"choices":[\ndata: {"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'

    assert "a" == whole(body).text


def test_d28_a_line_of_a_megabyte_is_read() -> None:
    assert 1 << 20 == len(whole(chat_stream("x" * (1 << 20)), 65536).text)


# D20 to D25: errors.


def test_tv7_an_error_in_the_stream_is_raised_though_done_follows() -> None:
    boom = {"error": {"message": "boom", "type": "InternalServerError", "code": 500}}

    seen, error = broken(sse(delta(content="a"), boom))

    assert [Text("a")] == seen
    assert ProviderFailed is type(error)
    assert "acme answered 500: boom" == str(error)
    assert (500, "500") == (error.status, error.code)


def test_tv10_an_error_without_a_code_is_sorted_by_its_type() -> None:
    inner = {"message": "The server had an error", "type": "server_error", "code": None}

    seen, error = broken(sse(delta(content="a"), {"error": {**inner, "param": None}}))

    assert [Text("a")] == seen
    assert ProviderFailed is type(error)
    assert ("server_error", 200) == (error.code, error.status)


def test_tv8_a_line_named_error_is_an_error() -> None:
    body = (
        b'error: {"code":400,"message":"the request exceeds the available context size",'
        b'"type":"exceed_context_size_error"}\n\n'
    )

    seen, error = broken(body)

    assert [] == seen
    assert ContextTooLong is type(error)
    assert "acme answered 400: the request exceeds the available context size" == str(error)


def test_d22_an_event_named_error_is_an_error() -> None:
    body = sse(delta(content="a"), done=False) + (
        b'event: error\ndata: {"error":{"message":"slow","code":"rate_limit_exceeded"}}\n\n'
    )

    seen, error = broken(body)

    assert [Text("a")] == seen
    assert RateLimited is type(error)


def test_d22_an_event_named_error_may_hold_no_json() -> None:
    _, error = broken(sse(delta(content="a"), done=False) + b"event: error\ndata: boom\n\n")

    assert Refused is type(error)
    assert "acme answered 200: boom" == str(error)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        ("Unauthorized", Refused, "acme answered 200: Unauthorized"),
        ({"message": "x", "code": 503}, Overloaded, "acme answered 503: x"),
        ({"message": "x", "code": "422"}, InvalidRequest, "acme answered 422: x"),
        ({"message": "x", "code": 7}, Refused, "acme answered 200: x"),
        ({"message": "x", "code": "no"}, Refused, "acme answered 200: x"),
    ],
    ids=["d23 text", "number", "digits", "no status", "word"],
)
def test_d23_d24_errors_in_a_stream_have_many_forms(
    error: object, kind: type[CallError], told: str
) -> None:
    _, raised = broken(sse(delta(content="a"), {"error": error}))

    assert kind is type(raised)
    assert told == str(raised)


def test_an_error_beside_a_choice_is_an_error() -> None:
    chunk = delta("error", content="") | {"error": {"message": "gone", "code": 502}}

    seen, error = broken(sse(delta(content="a"), chunk))

    assert [Text("a")] == seen
    assert "acme answered 502: gone" == str(error)


def test_an_error_that_is_null_is_none() -> None:
    body = sse(delta(content="a"), {"choices": [], "error": None}, delta("stop") | {"error": None})

    assert "a" == whole(body).text


def test_an_error_before_any_text_is_tried_again() -> None:
    flow = CHAT.stream(CALL)
    first = next(flow)
    flow.send(Response(200, streaming=True))

    again = flow.send(sse({"error": {"message": "x", "code": 503}}))

    assert again == first
    assert isinstance(again, Request)
    assert again.stream
    flow.send(Response(200, streaming=True))
    assert Text("a") == flow.send(chat_stream("a"))[0]  # type: ignore[index]
    flow.close()


def test_nothing_is_tried_again_once_text_was_given_out() -> None:
    seen, error = broken(sse(delta(content="a"), {"error": {"message": "x", "code": 503}}))

    assert [Text("a")] == seen
    assert error.retryable


def test_the_error_after_the_last_try_is_raised() -> None:
    flow = CHAT.stream(CALL)
    step: Any = next(flow)
    for _ in range(2):
        step = flow.send(Response(503, body=b"{}"))
        assert isinstance(step, Request)

    with pytest.raises(Overloaded):
        flow.send(Response(503, body=b"{}"))


def test_tv10_an_error_as_json_with_status_200_is_an_error() -> None:
    flow = CHAT.stream(CALL)
    next(flow)

    with pytest.raises(Refused) as caught:
        flow.send(Response(200, {"content-type": "application/json"}, b'{"error":{"message":"x"}}'))

    assert "acme answered 200: x" == str(caught.value)


def test_a_reply_that_is_no_stream_is_a_bad_reply() -> None:
    flow = CHAT.stream(CALL)
    next(flow)

    with pytest.raises(BadReply) as caught:
        flow.send(Response(200, {"content-type": "application/json"}, b'{"choices":[]}'))

    assert "acme was asked for a stream and sent none" == str(caught.value)


def test_a_transport_error_between_two_pieces_is_raised() -> None:
    flow = CHAT.stream(CALL)
    next(flow)
    flow.send(Response(200, {"x-request-id": "r-1"}, streaming=True))
    assert [Text("a")] == flow.send(sse(delta(content="a"), done=False))

    with pytest.raises(TransportFailed) as caught:
        flow.throw(TransportFailed("cut"))

    assert ("acme", "r-1") == (caught.value.provider, caught.value.request_id)


# D29 to D32: chunks of other shapes.


@pytest.mark.parametrize(
    "chunk",
    [
        {"prompt_progress": {"total": 3}},
        {"timings": {}},
        {"choices": None},
        {"choices": [], "prompt_filter_results": []},
        {"choices": [{}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": None}], "obfuscation": "xyz"},
    ],
    ids=repr,
)
def test_d29_chunks_without_an_answer_are_skipped(chunk: object) -> None:
    assert [Text("a"), Usage()] == events(sse(delta(content="a"), chunk, delta("stop")))[:-1]


def test_d30_null_content_is_nothing_and_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"text": "b"}]

    assert [Text("ab")] == events(sse(delta(content=None), delta(content=parts), delta("stop")))[:1]


def test_parts_without_text_are_nothing() -> None:
    body = sse(delta(content=[{"type": "image"}]), delta(content="a"), delta("stop"))

    assert [Text("a"), Usage()] == events(body)[:-1]


def test_d31_a_message_in_the_last_chunk_does_not_count_twice() -> None:
    last = {"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}

    assert "ab" == whole(sse(delta(content="a"), delta(content="b"), last)).text


def test_d31_a_message_is_the_answer_where_no_delta_came() -> None:
    only = {"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}

    assert "ab" == whole(sse(only)).text


def test_d32_changing_ids_and_models_do_not_matter() -> None:
    chunks = [
        {"id": "", "created": 0, "model": "x", "choices": [{"delta": {"content": "a"}}]},
        {"id": "2", "model": None, "choices": [{"delta": {"content": "b"}}]},
        {"id": 3, "choices": [{"delta": {}, "finish_reason": "stop"}]},
    ]

    assert [Text("a"), Text("b"), Usage(), Finish("stop", "x", "")] == events(sse(*chunks))


def test_of_several_choices_the_first_is_the_answer() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]}

    completion = whole(sse(delta(content="a"), other, delta("stop"), other))

    assert ("a", "stop") == (completion.text, completion.finish_reason)


def test_a_refusal_is_text() -> None:
    body = sse(delta(refusal="I "), delta(refusal="cannot."), delta("stop"))

    assert "I cannot." == whole(body).text


@pytest.mark.parametrize(
    ("chunk", "told"),
    [
        ("not json", "the reply is not JSON: 'not json'"),
        ('{"choices":[', "the reply is not JSON: '{\"choices\":['"),
        ([1], "a chunk of the stream cannot be read: '[1]'"),
        (5, "a chunk of the stream cannot be read: '5'"),
        ({"choices": {"a": 1}}, 'a chunk of the stream cannot be read: \'{"choices": {"a": 1}}\''),
        ({"choices": ["a"]}, 'a chunk of the stream cannot be read: \'{"choices": ["a"]}\''),
        (
            {"choices": [{"delta": {"content": 5}}]},
            "content is neither text nor a list of parts but int",
        ),
    ],
    ids=["text", "half", "list", "number", "object", "choice", "content"],
)
def test_a_chunk_that_cannot_be_read_is_shown(chunk: object, told: str) -> None:
    seen, error = broken(sse(delta(content="a"), chunk))

    assert [Text("a")] == seen
    assert BadReply is type(error)
    assert told == str(error)


def test_what_came_with_a_broken_chunk_is_given_out_before_the_error() -> None:
    seen, _ = broken(sse(delta(content="a"), delta(content="b"), "nonsense"))

    assert [Text("a"), Text("b")] == seen


odd_json = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-1, 1) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "content tool_calls function name arguments id index reasoning".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(odd_json, odd_json, odd_json)
def test_any_json_in_a_stream_is_events_or_a_call_error(a: object, b: object, c: object) -> None:
    chunks = [
        {"choices": [{"delta": a, "finish_reason": b}], "usage": c, "id": b},
        {"choices": [{"delta": {"content": b, "tool_calls": [c, {"function": a}]}}]},
        {"choices": c, "error": b},
    ]
    seen: list[Event] = []
    try:
        into(seen, OpenAIChat(evolve(ENDPOINT, retry=evolve(ENDPOINT.retry, attempts=1))), CALL,
             sse(delta(content="x"), *chunks))  # fmt: skip
    except CallError:
        assert seen[0] == Text("x")
        return
    finishes = [event for event in seen if isinstance(event, Finish)]
    assert [seen[-1]] == finishes
    assert all(isinstance(event.text, str) for event in seen if isinstance(event, Text))


def test_a_plain_call_and_a_stream_of_the_same_answer_agree() -> None:
    message = {"content": "a", "reasoning": "r", "tool_calls": [
        {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip
    reply = {"id": "c1", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]}
    chunk = {"id": "c1", "model": "m", "choices": [{"delta": message, "finish_reason": "stop"}]}

    plain, _ = finish(CHAT.flow(CALL), Response(200, body=json.dumps(reply).encode()))

    assert evolve(plain, raw={}) == whole(sse(chunk))
