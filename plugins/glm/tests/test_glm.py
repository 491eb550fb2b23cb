"""GLM keeps the contract, and each of its quirks."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import modelplug
from modelplug.errors import (
    BadReply,
    Filtered,
    ProviderFailed,
    QuotaExhausted,
    RateLimited,
    UnknownOption,
    Unsupported,
)
from modelplug.testing import FaultServer, OnlineContract, Replies, Reply
from modelplug.types import Finish

REPLIES = Path(__file__).parent / "replies"
KITE = (REPLIES / "inputs/kite.png").read_bytes()
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASKED = {"role": "user", "content": "use f"}
PCM = b"\x01\x00\x02\x00"


class TestGLM(OnlineContract):
    plugin = "glm"
    replies = REPLIES
    base_path = "/api/paas/v4"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(Replies(REPLIES)["chat-short.json"].reply) as server:
        yield server


def glm(server: FaultServer, model: str | None = None, **options: Any) -> modelplug.OnlineModule:
    url = server.origin + "/api/paas/v4"
    return modelplug.OnlineModule(model, "glm", **{"url": url, "api_key": "id.secret", **options})


def recorded(file: str) -> Reply:
    return Replies(REPLIES)[file].reply


def sent(server: FaultServer) -> Mapping[str, Any]:
    body: Mapping[str, Any] = server.requests[-1].json
    return body


def chunks(*deltas: Mapping[str, Any], finish: str = "stop") -> bytes:
    told = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    last = {"choices": [{"index": 0, "finish_reason": finish, "delta": {"content": ""}}]}
    return b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in [*told, last])


def broken_off(text: str) -> Reply:
    whole = recorded("chat-short.json").whole
    return Reply(
        200, JSON, whole.replace(b'"stop"', b'"network_error"').replace(b"4", text.encode())
    )


# Chat.


def test_nothing_is_sent_that_was_not_asked_for(server: FaultServer) -> None:
    glm(server)("2+2?")

    assert {
        "model": "glm-5.2",
        "messages": [{"role": "user", "content": "2+2?"}],
    } == sent(server)


def test_a_stream_asks_for_no_stream_options(server: FaultServer) -> None:
    server.answer(recorded("stream-short.sse"))

    assert ["4"] == list(glm(server).stream("2+2?"))
    assert {"model", "messages", "stream"} == set(sent(server))


def test_the_key_is_sent_as_it_is(server: FaultServer) -> None:
    glm(server)("2+2?")

    assert "Bearer id.secret" == server.requests[0].headers["authorization"]
    assert "/api/paas/v4/chat/completions" == server.requests[0].path


def test_a_tool_loop_gives_back_the_reasoning_and_the_ids(server: FaultServer) -> None:
    server.answer(recorded("tools-thought.json"), recorded("chat-short.json"))
    model = glm(server)
    result = {"role": "tool", "tool_call_id": "call_1", "content": "42"}

    turn = model.respond([ASKED], tools=[F]).message
    assert "4" == model([ASKED, turn, result], tools=[F])

    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    assistant = {
        "role": "assistant",
        "content": "\n",
        "reasoning_content": "need f",
        "tool_calls": [call],
    }
    assert [ASKED, assistant, result] == sent(server)["messages"]


@pytest.mark.parametrize(("clear", "kept"), [(True, False), (False, True)])
def test_past_reasoning_goes_back_where_it_is_not_to_be_cleared(
    clear: bool, kept: bool, server: FaultServer
) -> None:
    answer = {"role": "assistant", "content": "4", "reasoning_content": "hm"}
    thinking = {"type": "enabled", "clear_thinking": clear}

    glm(server, thinking=thinking).prompt("Be short.")([ASKED, answer, ASKED])

    messages = sent(server)["messages"]
    assert ["system", "user", "assistant", "user"] == [message["role"] for message in messages]
    assert kept == ("reasoning_content" in messages[2])


def test_no_tool_is_sent_where_none_is_to_be_called(server: FaultServer) -> None:
    glm(server)("hi", tools=[F], tool_choice="none")

    assert {"model", "messages"} == set(sent(server))


def test_tools_are_called_as_the_model_likes(server: FaultServer) -> None:
    glm(server)("hi", tools=[F], tool_choice="auto")

    assert [F] == sent(server)["tools"]
    assert "tool_choice" not in sent(server)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_a_model_cannot_be_made_to_call_a_tool(choice: object, server: FaultServer) -> None:
    with pytest.raises(Unsupported) as caught:
        glm(server)("hi", tools=[F], tool_choice=choice)

    assert [] == server.requests
    assert "tool_choice" in str(caught.value)


@pytest.mark.parametrize(
    ("option", "given", "goes"),
    [
        ("temperature", 0.123456, 0.12),
        ("temperature", 1, 1),
        ("temperature", 1.5, 1.5),
        ("stop", "END", ["END"]),
        ("stop", ["END"], ["END"]),
        ("reasoning_effort", "none", "none"),
        ("do_sample", False, False),
    ],
)
def test_an_option_goes_out_as_the_server_takes_it(
    option: str, given: object, goes: object, server: FaultServer
) -> None:
    glm(server)("hi", **{option: given})

    assert goes == sent(server)[option]


@pytest.mark.parametrize("option", ["n", "seed", "frequency_penalty", "logprobs"])
def test_an_option_that_the_server_would_ignore_is_unknown(
    option: str, server: FaultServer
) -> None:
    with pytest.raises(UnknownOption):
        glm(server)("hi", **{option: 1})

    assert [] == server.requests


def test_a_schema_is_told_in_the_prompt_and_json_asked_for(server: FaultServer) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    body = recorded("chat-short.json").whole.replace(b'"4"', b'"{\\"n\\":4}"')
    server.answer(Reply(200, JSON, body))

    assert {"n": 4} == glm(server)("2+2?", schema=schema)
    assert {"type": "json_object"} == sent(server)["response_format"]
    assert "JSON" in sent(server)["messages"][0]["content"]


# What breaks off inside the provider.


def test_an_answer_that_breaks_off_is_asked_for_again(server: FaultServer) -> None:
    server.answer(broken_off(""), recorded("chat-short.json"))

    assert "4" == glm(server)("2+2?")
    assert 2 == len(server.requests)


def test_an_answer_that_always_breaks_off_is_a_failure(server: FaultServer) -> None:
    server.answer(broken_off("half an answ"))

    with pytest.raises(ProviderFailed) as caught:
        glm(server, max_retries=0)("2+2?")

    assert ("network_error", "glm", 200) == (
        caught.value.code,
        caught.value.provider,
        caught.value.status,
    )


def test_a_model_may_speak_of_a_network_error(server: FaultServer) -> None:
    said = 'It says "finish_reason": "network_error".'
    reply = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}
    server.answer(Reply(200, JSON, json.dumps(reply).encode()))

    assert said == glm(server)("hi")
    assert 1 == len(server.requests)


def test_a_stream_that_breaks_off_before_its_first_text_is_begun_again(
    server: FaultServer,
) -> None:
    server.answer(Reply(200, EVENTS, chunks(finish="network_error")), recorded("stream-short.sse"))

    async def run() -> str:
        return "".join([text async for text in glm(server).astream("2+2?")])

    assert "4" == asyncio.run(run())
    assert 2 == len(server.requests)


# Errors.


def test_a_code_decides_whether_a_429_is_tried_again(server: FaultServer) -> None:
    server.answer(recorded("error-429-1302.json"), recorded("chat-short.json"))
    assert "4" == glm(server)("hi")
    assert 2 == len(server.requests)

    server.answer(recorded("error-429-1113.json"))
    with pytest.raises(QuotaExhausted):
        glm(server)("hi")
    assert 3 == len(server.requests)


def test_a_rate_limit_inside_a_stream_is_tried_again(server: FaultServer) -> None:
    limit = b'data: {"error":{"code":"1302","message":"slow down"}}\n\n'
    server.answer(Reply(200, EVENTS, limit), recorded("stream-short.sse"))

    assert ["4"] == list(glm(server).stream("hi"))

    server.answer(Reply(200, EVENTS, limit))
    with pytest.raises(RateLimited):
        list(glm(server, max_retries=0).stream("hi"))


# Vision.


@pytest.mark.parametrize("model", ["glm-4.5v", "glm-4.1v-thinking-flash"])
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
def test_the_boxes_of_an_answer_are_taken_off(model: str, cut: int, server: FaultServer) -> None:
    said = "<think>2 < 3 <hm></think><answer><|begin_of_box|>4 < 5 <b><|end_of_box|></answer>"
    pieces = [{"content": said[at : at + cut]} for at in range(0, len(said), cut)]
    server.answer(Reply(200, EVENTS, chunks(*pieces)))
    streamed = list(glm(server, model).events("2+2?"))
    reply = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}
    server.answer(Reply(200, JSON, json.dumps(reply).encode()))
    whole = glm(server, model).respond("2+2?")

    assert ("2 < 3 <hm>", "4 < 5 <b>") == (whole.reasoning, whole.text)
    for kind, expected in (("reasoning", whole.reasoning), ("text", whole.text)):
        told = [event.text for event in streamed if event.kind == kind]
        assert expected == "".join(told)
    assert ["usage", "finish"] == [event.kind for event in streamed[-2:]]


def test_the_beginning_of_a_box_that_is_none_is_text(server: FaultServer) -> None:
    server.answer(Reply(200, EVENTS, chunks({"content": "a <|begin"})))

    *texts, _, finish = glm(server, "glm-4.5v").events("hi")

    assert "a <|begin" == "".join(event.text for event in texts)
    assert Finish("stop") == finish


def test_a_box_in_the_text_of_another_model_stays(server: FaultServer) -> None:
    server.answer(Reply(200, EVENTS, chunks({"content": "<answer>4</answer>"})))

    assert "<answer>4</answer>" == "".join(glm(server).stream("hi"))


@pytest.mark.parametrize(
    ("model", "prefix"), [("glm-4.6v", "data:image/png;base64,"), ("glm-4v-plus-0111", "")]
)
def test_an_image_is_a_data_url_and_bare_base64_for_old_models(
    model: str, prefix: str, server: FaultServer
) -> None:
    glm(server, model)("What is this?", files=[KITE])

    image = {"url": prefix + base64.b64encode(KITE).decode()}
    assert {"type": "image_url", "image_url": image} == sent(server)["messages"][0]["content"][1]


def test_an_image_at_a_url_is_the_servers_to_fetch(server: FaultServer) -> None:
    glm(server, "glm-4v-flash")("What is this?", files=["https://example.com/x.png"])

    content = sent(server)["messages"][0]["content"]
    assert {"url": "https://example.com/x.png"} == content[1]["image_url"]
    assert 1 == len(server.requests)


def test_glm_4v_flash_takes_images_by_url_alone(server: FaultServer) -> None:
    with pytest.raises(Unsupported):
        glm(server, "glm-4v-flash")("What is this?", files=[KITE])

    assert [] == server.requests


@pytest.mark.parametrize("model", ["glm-5.2", "glm-4-flash-250414"])
def test_a_text_model_takes_no_image(model: str, server: FaultServer) -> None:
    with pytest.raises(Unsupported):
        glm(server, model)("What is this?", files=[KITE])


@pytest.mark.parametrize("model", ["glm-4.5v", "glm-4.1v-thinking-flash", "glm-4v-flash"])
def test_an_old_vision_model_has_no_tools(model: str, server: FaultServer) -> None:
    with pytest.raises(Unsupported):
        glm(server, model)("hi", tools=[F])


# Embeddings and rerank.


def test_embeddings_name_no_encoding(server: FaultServer) -> None:
    server.answer(recorded("embed.json"))

    glm(server, "embedding-3")(["a", "b"])

    assert {"model": "embedding-3", "input": ["a", "b"]} == sent(server)


def test_65_texts_go_in_two_requests(server: FaultServer) -> None:
    def script(request: Any) -> Reply:
        texts = request.json["input"]
        data = [{"index": at, "embedding": [float(text)]} for at, text in enumerate(texts)]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return Reply(200, JSON, json.dumps({"data": data, "usage": usage}).encode())

    server.answer_with(script)

    vectors = glm(server, "embedding-3")([str(at) for at in range(65)])

    assert [[float(at)] for at in range(65)] == vectors
    assert [1, 64] == sorted(len(request.json["input"]) for request in server.requests)


def test_the_dimensions_of_embedding_2_are_fixed(server: FaultServer) -> None:
    with pytest.raises(Unsupported):
        glm(server, "embedding-2")("a", dimensions=256)


def test_the_rerank_of_the_first_example(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer(recorded("rerank.json"))
    monkeypatch.setenv("LAZYLLM_GLM_API_KEY", "id.secret")
    monkeypatch.setenv("MODELPLUG_GLM_BASE_URL", server.origin + "/api/paas/v4")

    rerank = modelplug.OnlineModule(type="rerank", source="glm", model="rerank")

    assert [(1, 0.998), (0, 0.021)] == rerank("q", documents=["d0", "d1"])
    assert "Bearer id.secret" == server.requests[0].headers["authorization"]


# Speech.


@pytest.mark.parametrize("told", ["application/octet-stream", "audio/pcm"])
def test_pcm_is_told_as_such(told: str, server: FaultServer) -> None:
    server.answer(Reply(200, {"content-type": told}, PCM))

    sound = glm(server, "glm-tts")("你好", response_format="pcm", voice="jam")

    assert (PCM, "audio/pcm") == (sound.data, sound.mime)
    assert ("pcm", "jam") == (sent(server)["response_format"], sent(server)["voice"])


@pytest.mark.parametrize("encoding", ["base64", "hex"])
def test_chunks_of_sound_are_joined(encoding: str, server: FaultServer) -> None:
    told = PCM.hex() if encoding == "hex" else base64.b64encode(PCM).decode()
    pieces = [
        {"choices": [{"index": 0, "delta": {"content": told, "return_sample_rate": 24000}}]},
        {"choices": [{"index": 0, "delta": {"content": told}}]},
        {"choices": [{"index": 1, "finish_reason": "stop"}]},
    ]
    body = b"".join(b"data: %b\n\n" % json.dumps(piece).encode() for piece in pieces)
    server.answer(Reply(200, EVENTS, body))
    stream = {"stream": True, "response_format": "pcm"}

    sound = glm(server, "glm-tts", encode_format=encoding)("你好", extra_body=stream)

    assert (PCM + PCM, "audio/pcm") == (sound.data, sound.mime)
    assert (True, "pcm") == (sent(server)["stream"], sent(server)["response_format"])


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'data: {"error":{"code":"1301","message":"unsafe"}}\n\n', Filtered),
        (b'data: {"choices":[{"delta":{"content":"?"}}]}\n\n', BadReply),
        (b'data: {"choices":[{"index":1,"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n', BadReply),
        (b"data: []\n\n", BadReply),
        (b"data: sound\n\n", BadReply),
    ],
)
def test_chunks_that_hold_no_sound_are_an_error(
    body: bytes, error: type[Exception], server: FaultServer
) -> None:
    server.answer(Reply(200, EVENTS, body))

    with pytest.raises(error):
        glm(server, "glm-tts")("你好", extra_body={"stream": True})


# Images.


def test_an_image_is_fetched_without_the_key(server: FaultServer) -> None:
    server.answer(*Replies(REPLIES)["text2image.json"].replies_from(server.origin))

    image = glm(server, "cogview-4-250304")("a red kite")

    assert (KITE, "image/png") == (image.data, image.mime)
    assert "authorization" not in server.requests[1].headers
    assert {"model": "cogview-4-250304", "prompt": "a red kite"} == server.requests[0].json


def test_glm_image_has_one_quality(server: FaultServer) -> None:
    with pytest.raises(Unsupported):
        glm(server, "glm-image")("a kite", quality="standard")


@pytest.mark.parametrize("option", ["n", "response_format", "style"])
def test_an_image_has_no_other_options(option: str, server: FaultServer) -> None:
    with pytest.raises(UnknownOption):
        glm(server, "cogview-4-250304")("a kite", **{option: 2})


# Names and addresses.


@pytest.mark.parametrize(
    ("model", "type"),
    [
        ("embedding-3", "embed"),
        ("rerank-pro", "rerank"),
        ("glm-asr-2512", "stt"),
        ("glm-tts", "tts"),
        ("cogview-3-flash", "text2image"),
        ("glm-image", "text2image"),
        ("GLM-4.6V-Flash", "vlm"),
        ("glm-5v-turbo", "vlm"),
        ("glm-4v-flash", "vlm"),
        ("glm-4.1v-thinking-flashx", "vlm"),
        ("autoglm-phone", "vlm"),
        ("glm-5.3-flash", "vlm"),
        ("glm-5.3", "llm"),
        ("glm-4.7-flashx", "llm"),
        ("charglm-4", "llm"),
        ("codegeex-4", "llm"),
    ],
)
def test_the_name_tells_the_type(model: str, type: str) -> None:
    assert type == modelplug.OnlineModule(model, "glm", api_key="K").type


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("cn", "https://open.bigmodel.cn/api/paas/v4"),
        ("intl", "https://api.z.ai/api/paas/v4"),
        ("coding", "https://open.bigmodel.cn/api/coding/paas/v4"),
        ("coding-intl", "https://api.z.ai/api/coding/paas/v4"),
    ],
)
def test_a_region_is_an_address(region: str, url: str) -> None:
    assert url == modelplug.OnlineModule(source="glm", region=region, api_key="K").url
