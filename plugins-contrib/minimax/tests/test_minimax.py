"""MiniMax keeps the contract, and each of its quirks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import modelplug
from modelplug.errors import (
    AuthRefused,
    BadReply,
    ConfigError,
    Filtered,
    QuotaExhausted,
    RateLimited,
    Unsupported,
)
from modelplug.testing import FaultServer, OnlineContract, Replies, Reply, Request
from modelplug.testing.replies import OPENAI, Recorded
from modelplug.types import Completion

REPLIES = Path(__file__).parent / "replies"
KITE = REPLIES / "inputs/kite.png"
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}
NOW = {"retry-after": "0"}
OK = {"status_code": 0, "status_msg": "success"}
F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASKED = {"role": "user", "content": "use f"}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
LONG = "a" * 3001

COMPATIBLE = [
    answer
    for answer in Replies(OPENAI).answers()
    if answer.streams and answer.expected.type == "llm" and answer.expected.error is None
]
"""Streams of servers that speak OpenAI's wire, with what they make of it."""


class TestMiniMax(OnlineContract):
    plugin = "minimax"
    replies = REPLIES
    wire = "own"

    def embedded_texts(self, request: Request) -> list[str]:
        return list(request.json["texts"])

    def embed_reply(self, vectors: Sequence[Sequence[float]]) -> Reply:
        return replying({"vectors": vectors, "total_tokens": len(vectors), "base_resp": OK})


def replying(body: object, **headers: str) -> Reply:
    return Reply(200, {**JSON, **headers}, json.dumps(body).encode())


def refusing(code: int, text: str) -> Reply:
    return replying({"base_resp": {"status_code": code, "status_msg": text}}, **NOW)


def streaming(*events: object) -> Reply:
    return Reply(200, SSE, b"".join(b"data: %b\n\n" % json.dumps(e).encode() for e in events))


def sound(audio: str | None, status: int = 1, **fields: Any) -> dict[str, Any]:
    return {"data": {"audio": audio, "status": status}, "base_resp": OK, **fields}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(recorded("chat-short.json")) as server:
        yield server


def recorded(file: str) -> Reply:
    return Replies(REPLIES)[file].reply


def minimax(
    server: FaultServer, model: str | None = None, type: str | None = None, **options: Any
) -> modelplug.OnlineModule:
    settings = {"url": server.url, "api_key": "K", **options}
    return modelplug.OnlineModule(model, "minimax", type=type, **settings)


def sent(server: FaultServer) -> Mapping[str, Any]:
    body: Mapping[str, Any] = server.requests[-1].json
    return body


def test_nothing_is_sent_that_was_not_asked_for_but_the_split(server: FaultServer) -> None:
    assert "4" == minimax(server)("2+2?")
    assert {
        "model": "MiniMax-M3",
        "messages": [{"role": "user", "content": "2+2?"}],
        "reasoning_split": True,
    } == sent(server)


@pytest.mark.parametrize("answer", COMPATIBLE, ids=[answer.file for answer in COMPATIBLE])
def test_what_compatible_servers_stream_is_read(answer: Recorded, server: FaultServer) -> None:
    server.answer(answer.reply)
    expected = answer.expected

    told = Completion.of(minimax(server).events("2+2?"))

    assert (expected.text or "", expected.reasoning or "") == (told.text, told.reasoning)
    assert len(expected.tool_calls or ()) == len(told.tool_calls)


@pytest.mark.parametrize("file", ["tools-thought.json", "tools-thought.sse"])
def test_a_tool_loop_gives_back_the_reasoning(file: str, server: FaultServer) -> None:
    server.answer(recorded(file), recorded("chat-short.json"))
    model = minimax(server)
    if file.endswith(".sse"):
        turn = Completion.of(model.events([ASKED], tools=[F])).message
    else:
        turn = model.respond([ASKED], tools=[F]).message

    assert "4" == model([ASKED, turn, RESULT], tools=[F])
    assert {
        "role": "assistant",
        "content": "",
        "reasoning_details": [{"type": "reasoning.text", "text": "need f"}],
        "tool_calls": turn["tool_calls"],
    } == sent(server)["messages"][1]


def test_reasoning_that_was_not_split_off_goes_back_in_tags(server: FaultServer) -> None:
    server.answer(recorded("tools-thought.json"), recorded("chat-short.json"))
    model = minimax(server, reasoning_split=False)
    turn = model.respond([ASKED], tools=[F]).message

    model([ASKED, turn, RESULT], tools=[F])

    assert {
        "role": "assistant",
        "content": "<think>\nneed f\n</think>\n\n",
        "tool_calls": turn["tool_calls"],
    } == sent(server)["messages"][1]
    assert sent(server)["reasoning_split"] is False


def test_past_reasoning_stays_here_where_no_tool_was_called(server: FaultServer) -> None:
    answer = {"role": "assistant", "content": "4", "reasoning_content": "hm"}

    minimax(server)([ASKED, answer, ASKED])

    assert [ASKED, {"role": "assistant", "content": "4"}, ASKED] == sent(server)["messages"]


def test_several_system_messages_are_one_and_the_first(server: FaultServer) -> None:
    told = [{"role": "system", "content": "one"}, ASKED, {"role": "system", "content": "two"}]

    minimax(server)(told)

    assert [{"role": "system", "content": "one\n\ntwo"}, ASKED] == sent(server)["messages"]


def test_a_schema_is_asked_for_in_words_beside_the_prompt(server: FaultServer) -> None:
    body = recorded("chat-short.json").whole.replace(b'"4"', b'"{\\"n\\":4}"')
    server.answer(Reply(200, JSON, body))

    assert {"n": 4} == minimax(server).share(prompt="Be brief.")("2+2?", schema=SCHEMA)
    system, user = sent(server)["messages"]
    assert ("system", "user") == (system["role"], user["role"])
    assert "Be brief." in system["content"]
    assert "JSON" in system["content"]
    assert "response_format" not in sent(server)


def test_text_01_is_asked_for_a_schema_as_such(server: FaultServer) -> None:
    body = recorded("chat-short.json").whole.replace(b'"4"', b'"{\\"n\\":4}"')
    server.answer(Reply(200, JSON, body))

    assert {"n": 4} == minimax(server, "MiniMax-Text-01")("2+2?", schema=SCHEMA)
    assert "json_schema" == sent(server)["response_format"]["type"]


@pytest.mark.parametrize(
    ("model", "option", "value"),
    [
        ("MiniMax-M3", "response_format", {"type": "json_object"}),
        ("MiniMax-M3", "n", 2),
        ("MiniMax-M3", "tool_choice", "required"),
        ("MiniMax-M3", "tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("MiniMax-M2.7", "thinking", {"type": "disabled"}),
    ],
)
def test_what_a_model_has_not_got_is_not_sent(
    model: str, option: str, value: object, server: FaultServer
) -> None:
    with pytest.raises(Unsupported) as caught:
        minimax(server, model)("hi", tools=[F], **{option: value})

    assert [] == server.requests
    assert option in str(caught.value)


@pytest.mark.parametrize(("choice", "tools"), [("auto", [F]), ("none", None)])
def test_a_choice_of_no_tool_is_no_tool(choice: str, tools: object, server: FaultServer) -> None:
    minimax(server)("hi", tools=[F], tool_choice=choice)

    assert tools == sent(server).get("tools")
    assert "tool_choice" not in sent(server)


@pytest.mark.parametrize(
    ("model", "given", "told"),
    [("MiniMax-M2.5", 0, 0.01), ("MiniMax-M2.5", 1.0, 1.0), ("MiniMax-M3", 0, 0)],
)
def test_a_temperature_of_0_is_nearly_0_for_m2(
    model: str, given: float, told: float, server: FaultServer
) -> None:
    minimax(server, model)("hi", temperature=given)

    assert told == sent(server)["temperature"]


def test_an_image_for_a_model_that_reads_alone_is_not_sent(server: FaultServer) -> None:
    with pytest.raises(Unsupported):
        minimax(server, "MiniMax-M2.7")("What is this?", files=[KITE])

    assert [] == server.requests


def test_a_video_is_sent_as_it_is(server: FaultServer) -> None:
    part = {"type": "video_url", "video_url": {"url": "https://h/a.mp4"}}

    minimax(server)([{"role": "user", "content": [part]}])

    assert part == sent(server)["messages"][0]["content"][0]


def test_the_sum_of_tokens_is_the_servers_where_it_tells_no_other(server: FaultServer) -> None:
    server.answer(recorded("total-alone.json"))

    usage = minimax(server).respond("2+2?").usage

    assert 11 == usage.total_tokens
    assert {"input_tokens", "output_tokens"} == usage.estimated


# Errors that come with status 200.


def test_an_empty_balance_is_one_request_and_has_its_code(server: FaultServer) -> None:
    server.answer(refusing(1008, "insufficient balance"))

    with pytest.raises(QuotaExhausted) as caught:
        minimax(server)("hi")

    error = caught.value
    assert ("1008", 200, "minimax", False) == (
        error.code,
        error.status,
        error.provider,
        error.retryable,
    )
    assert 1 == len(server.requests)


@pytest.mark.parametrize("file", ["chat.json", "chat.sse"])
def test_a_rate_limit_with_status_200_is_tried_again(file: str, server: FaultServer) -> None:
    server.answer(refusing(1002, "rate limit"), recorded(file))
    model = minimax(server)

    text = model("2+2?") if file.endswith(".json") else "".join(model.stream("2+2?"))

    assert "Two and two make four, 四。" == text
    assert 2 == len(server.requests)


def test_a_rate_limit_as_the_first_event_is_tried_again(server: FaultServer) -> None:
    limit = refusing(1002, "rate limit").whole
    first = Reply(200, {**SSE, **NOW}, b"data: %b\n\n" % limit)
    server.answer(first, recorded("chat.sse"))

    async def run() -> str:
        return "".join([text async for text in minimax(server).astream("2+2?")])

    assert "Two and two make four, 四。" == asyncio.run(run())


@pytest.mark.parametrize("code", [1004, 2049])
def test_a_refused_key_tells_of_the_regions(code: int, server: FaultServer) -> None:
    server.answer(refusing(code, "invalid api key"))

    with pytest.raises(AuthRefused) as caught:
        minimax(server)("hi")

    assert "region='cn' and 'intl'" in str(caught.value)


@pytest.mark.parametrize("type", ["embed", "tts", "text2image"])
def test_every_type_has_errors_with_status_200(type: str, server: FaultServer) -> None:
    server.answer(refusing(1026, "input new_sensitive"))

    with pytest.raises(Filtered) as caught:
        minimax(server, type=type)("a")

    assert "1026" == caught.value.code
    assert 1 == len(server.requests)


@pytest.mark.parametrize("type", ["embed", "tts", "text2image"])
def test_every_type_is_tried_again_after_a_rate_limit(type: str, server: FaultServer) -> None:
    server.answer(refusing(1002, "rate limit"), recorded(f"{type}.json"))

    minimax(server, type=type)(["a", "b"] if type == "embed" else "a")

    assert 2 == len(server.requests)


# Speech.


def test_a_long_text_is_streamed_and_its_sound_joined(server: FaultServer) -> None:
    server.answer(streaming(sound("4944"), sound("33"), sound("", 2, extra_info={})))

    assert b"ID3" == minimax(server, type="tts")(LONG).data
    assert {
        "model": "speech-2.8-turbo",
        "text": LONG,
        "stream": True,
        "stream_options": {"exclude_aggregated_audio": True},
        "output_format": "hex",
        "voice_setting": {"voice_id": "male-qn-qingse"},
    } == sent(server)


def test_sound_that_the_last_event_repeats_comes_once(server: FaultServer) -> None:
    last = sound("494433", 2, extra_info={"audio_format": "mp3"})
    server.answer(streaming(sound("4944"), sound("33"), last))

    media = asyncio.run(minimax(server, type="tts").acall(LONG))

    assert (b"ID3", "audio/mpeg") == (media.data, media.mime)


def test_sound_that_the_last_event_alone_has_is_kept(server: FaultServer) -> None:
    server.answer(streaming(sound(None), sound("494433", 2)))

    assert b"ID3" == minimax(server, type="tts")(LONG).data


def test_sound_that_breaks_off_is_a_bad_reply(server: FaultServer) -> None:
    server.answer(streaming(sound("4944")))

    with pytest.raises(BadReply) as caught:
        minimax(server, type="tts")(LONG)

    assert "ended before" in str(caught.value)


def test_an_error_in_a_stream_of_sound_is_the_error(server: FaultServer) -> None:
    refusal = {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}
    server.answer(streaming(sound("4944"), refusal))

    with pytest.raises(RateLimited):
        minimax(server, type="tts", max_retries=0)(LONG)


@pytest.mark.parametrize("options", [{"response_format": "wav"}, {"output_format": "url"}])
def test_what_cannot_be_streamed_comes_whole(options: dict[str, str], server: FaultServer) -> None:
    server.answer(recorded("tts.json"))

    minimax(server, type="tts")(LONG, **options)

    assert sent(server)["stream"] is False
    assert "stream_options" not in sent(server)


@pytest.mark.parametrize("audio", ["no hex", "494"])
def test_sound_that_is_no_hex_is_a_bad_reply(audio: str, server: FaultServer) -> None:
    server.answer(replying(sound(audio, 2)))

    with pytest.raises(BadReply):
        minimax(server, type="tts")("hello")


def test_a_text_beyond_the_limit_is_not_sent(server: FaultServer) -> None:
    with pytest.raises(ConfigError):
        minimax(server, type="tts")("a" * 10_000)

    assert [] == server.requests


# Images.


def test_a_person_is_taken_from_the_image(server: FaultServer) -> None:
    server.answer(recorded("text2image.json"))

    minimax(server, type="text2image")("on a horse", files=[KITE])

    (subject,) = sent(server)["subject_reference"]
    assert "character" == subject["type"]
    assert subject["image_file"].startswith("data:image/png;base64,")


def test_an_image_at_a_url_is_named_as_it_is(server: FaultServer) -> None:
    server.answer(recorded("text2image.json"))

    minimax(server, type="text2image")("on a horse", files=["https://h/a.png"])

    assert "https://h/a.png" == sent(server)["subject_reference"][0]["image_file"]


def test_two_persons_are_too_many(server: FaultServer) -> None:
    with pytest.raises(Unsupported):
        minimax(server, type="text2image")("on a horse", files=[KITE, KITE])

    assert [] == server.requests


@pytest.mark.parametrize("failed", ["1", 1], ids=["text", "number"])
def test_images_that_failed_are_noted(failed: object, server: FaultServer) -> None:
    body = json.loads(recorded("text2image.json").whole)
    server.answer(replying({**body, "metadata": {"success_count": 1, "failed_count": failed}}))

    result = minimax(server, type="text2image").respond("a red kite", n=2)

    assert 1 == len(result.media)
    assert ("failed_count: 1 of the images",) == result.notes


def test_no_image_at_all_is_a_bad_reply(server: FaultServer) -> None:
    counts = {"success_count": "0", "failed_count": "1"}
    server.answer(replying({"data": {}, "metadata": counts, "base_resp": OK}))

    with pytest.raises(BadReply) as caught:
        minimax(server, type="text2image")("a red kite")

    assert "1 of the images" in str(caught.value)


@pytest.mark.parametrize(
    ("size", "fields"),
    [
        ("1024x768", {"width": 1024, "height": 768}),
        ("1024*768", {"width": 1024, "height": 768}),
        ("16:9", {"aspect_ratio": "16:9"}),
    ],
)
def test_a_size_is_two_sides_or_a_ratio(
    size: str, fields: dict[str, Any], server: FaultServer
) -> None:
    server.answer(recorded("text2image.json"))

    minimax(server, type="text2image")("a red kite", size=size, response_format="b64_json")

    assert {
        "model": "image-01",
        "prompt": "a red kite",
        "response_format": "base64",
        **fields,
    } == sent(server)


def test_a_size_that_is_neither_is_not_sent(server: FaultServer) -> None:
    with pytest.raises(ConfigError):
        minimax(server, type="text2image")("a red kite", size="2K")

    assert [] == server.requests


@pytest.mark.parametrize("type", ["tts", "text2image"])
def test_there_is_no_task_to_resume(type: str, server: FaultServer) -> None:
    with pytest.raises(Unsupported):
        minimax(server, type=type)(None, resume="106")

    assert [] == server.requests


# Addresses and types.


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_the_address_is_taken_with_and_without_its_version(path: str, server: FaultServer) -> None:
    model = minimax(server, url=server.origin + path)

    assert "4" == model("2+2?")
    assert "/v1/chat/completions" == server.requests[0].path


@pytest.mark.parametrize(
    ("region", "url"),
    [("cn", "https://api.minimaxi.com/v1"), ("intl", "https://api.minimax.io/v1")],
)
def test_a_region_is_an_address(region: str, url: str) -> None:
    assert url == modelplug.OnlineModule(source="minimax", region=region, api_key="K").url


@pytest.mark.parametrize("type", ["rerank", "stt", "image_editing", "cross_modal_embed"])
def test_a_type_that_minimax_has_not_is_refused_at_once(type: str) -> None:
    with pytest.raises(Unsupported):
        modelplug.OnlineModule(source="minimax", type=type, api_key="K")


@pytest.mark.parametrize(
    ("model", "type"),
    [
        ("embo-01", "embed"),
        ("speech-2.6-hd", "tts"),
        ("image-01-live", "text2image"),
        ("MiniMax-M3", "vlm"),
        ("MiniMax-VL-01", "vlm"),
        ("MiniMax-M2.7-highspeed", "llm"),
        ("MiniMax-Text-01", "llm"),
        ("abab6.5s-chat", "llm"),
    ],
)
def test_the_name_tells_the_type(model: str, type: str) -> None:
    assert type == modelplug.OnlineModule(model, "minimax", api_key="K").type
