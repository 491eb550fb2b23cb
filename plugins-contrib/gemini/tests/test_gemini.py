"""Gemini keeps the contract, and each rule of its wire."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import modelplug
from modelplug.errors import BadReply, CallError, ConfigError, Filtered, QuotaExhausted, Unsupported
from modelplug.media import Media
from modelplug.online import locate
from modelplug.plugins import installed
from modelplug.testing import FaultServer, OnlineContract, Replies, Reply, Request
from modelplug.testing.leaks import CANARY
from modelplug.types import (
    ChatCall,
    Completion,
    EmbedCall,
    Endpoint,
    ImageCall,
    ModelType,
    Secret,
    SpeakCall,
    TranscribeCall,
)
from modelplug.wire import Response
from modelplug_gemini import CODECS

REPLIES = Path(__file__).parent / "replies"
KITE = (REPLIES / "inputs/kite.png").read_bytes()
F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASKED = {"role": "user", "content": "use f"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
GOOGLE = "https://generativelanguage.googleapis.com/v1beta"
KEYS = st.sampled_from(["text", "parts", "functionCall", "name", "args", "inlineData", "data"])
MARK = "skip_thought_signature_validator"

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


class TestGemini(OnlineContract):
    plugin = "gemini"
    wire = "own"
    base_path = "/v1beta"
    replies = REPLIES

    def key_is_sent(self, request: Request) -> bool:
        return request.headers.get("x-goog-api-key") == CANARY

    def embedded_texts(self, request: Request) -> list[str]:
        return [each["content"]["parts"][0]["text"] for each in request.json["requests"]]

    def embed_reply(self, vectors: Sequence[Sequence[float]]) -> Reply:
        items = ",".join(f'{{"values":{list(vector)}}}' for vector in vectors)
        usage = f'{{"promptTokenCount":{len(vectors)}}}'
        body = f'{{"embeddings":[{items}],"usageMetadata":{usage}}}'
        return Reply(200, {"content-type": "application/json"}, body.encode())


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(Replies(REPLIES)["chat.json"].reply) as server:
        yield server


def gemini(server: FaultServer, type: str = "llm", **options: Any) -> modelplug.OnlineModule:
    settings = {"url": server.origin + "/v1beta", "api_key": "K", **options}
    return modelplug.OnlineModule(None, "gemini", type=type, **settings)


def codec(type: ModelType = ModelType.LLM, model: str = "gemini-m", url: str = GOOGLE) -> Any:
    told = installed().provider("gemini")
    endpoint = Endpoint("gemini", model, url, Secret("K"))
    return CODECS[type](evolve(endpoint, codes=told.codes, error_rules=told.error_rules))


def body(call: Any, type: ModelType = ModelType.LLM) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(codec(type).build_request(call).body)
    return found


def contents(*messages: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body(ChatCall("m", messages))["contents"]
    return found


def read(type: ModelType, call: Any, *parts: Mapping[str, Any], reason: str = "STOP") -> Any:
    candidate = {"content": {"parts": parts}, "finishReason": reason}
    response = Response(200, body=json.dumps({"candidates": [candidate]}).encode())
    return codec(type).parse_response(call, response)


def called(id: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


def result(id: str, content: str = "42") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


def test_the_key_is_a_header_and_the_model_is_in_the_path() -> None:
    request = codec(model="gemini-3.8-flash").build_request(ChatCall("m", [ASKED]))

    assert {"x-goog-api-key": Secret("K")} == request.secret_headers
    assert None is request.auth
    assert GOOGLE + "/models/gemini-3.8-flash:generateContent" == request.url


def test_a_stream_is_asked_for_as_events(server: FaultServer) -> None:
    server.answer(Replies(REPLIES)["chat.sse"].reply)

    list(gemini(server).stream("2+2?"))

    (request,) = server.requests
    assert "/v1beta/models/gemini-3.8-flash:streamGenerateContent" == request.path
    assert "alt=sse" == request.query


@pytest.mark.parametrize(
    "base", ["https://h.example", "https://h.example/", "https://h.example/v1beta"]
)
def test_a_base_url_is_taken_with_and_without_the_version(base: str) -> None:
    request = codec(url=base).build_request(ChatCall("m", [ASKED]))

    assert "https://h.example/v1beta/models/gemini-m:generateContent" == request.url


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-m", "models/gemini-m"),
        ("tunedModels/t", "tunedModels/t"),
        ("a?key=b", "models/a%3Fkey%3Db"),
    ],
)
def test_a_model_is_named_by_its_path(model: str, path: str) -> None:
    request = codec(model=model).build_request(ChatCall("m", [ASKED]))

    assert f"{GOOGLE}/{path}:generateContent" == request.url


@pytest.mark.parametrize("file", ["tools.json", "tools.sse"])
def test_a_tool_loop_gives_back_the_signature_in_its_part(file: str, server: FaultServer) -> None:
    replies = Replies(REPLIES)
    server.answer(replies[file].reply, replies["tv1-chat.json"].reply)
    model = gemini(server)
    if file.endswith(".sse"):
        turn = Completion.of(model.events([ASKED], tools=[F])).message
    else:
        turn = model.respond([ASKED], tools=[F]).message

    results = [result("call-r1-0"), result("call-r1-1", '{"y": 2}')]
    assert "4" == model([ASKED, turn, *results], tools=[F])
    assert [
        {"role": "user", "parts": [{"text": "use f"}]},
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "QUJD"},
                {"functionCall": {"name": "g"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"result": 42}}},
                {"functionResponse": {"name": "g", "response": {"y": 2}}},
            ],
        },
    ] == server.requests[1].json["contents"]


def test_a_result_carries_the_id_that_the_server_gave(server: FaultServer) -> None:
    server.answer(Replies(REPLIES)["tools-with-ids.json"].reply)
    turn = gemini(server).respond([ASKED], tools=[F]).message

    response = {"id": "id9", "name": "f", "response": {"result": "warm"}}
    assert [{"functionResponse": response}] == contents(ASKED, turn, result("id9", "warm"))[2][
        "parts"
    ]


def test_texts_of_a_stream_go_back_as_one_and_a_signed_one_by_itself(server: FaultServer) -> None:
    server.answer(Replies(REPLIES)["signed-text.sse"].reply)
    turn = Completion.of(gemini(server).events("2+2?")).message

    assert [{"text": "2 + 2"}, {"text": "", "thoughtSignature": "QUJD"}] == contents(ASKED, turn)[
        1
    ]["parts"]


def test_thoughts_that_are_not_signed_stay_here(server: FaultServer) -> None:
    server.answer(Replies(REPLIES)["tv1-chat.json"].reply)
    turn = gemini(server).respond("2+2?").message

    assert [{"text": "4", "thoughtSignature": "QUJD"}] == contents(ASKED, turn)[1]["parts"]


def test_a_turn_of_plain_text_stays_plain(server: FaultServer) -> None:
    turn = gemini(server).respond("2+2?").message

    assert {"role": "assistant", "content": "2 + 2 = 4. 你好, 世界!"} == turn


def test_a_call_that_another_model_made_is_marked_as_unsigned() -> None:
    turn = {"role": "assistant", "content": None, "tool_calls": [called("c1"), called("c2")]}
    call = {"functionCall": {"name": "f", "args": {"x": 1}}}

    assert [{**call, "thoughtSignature": MARK}, call] == (
        contents(ASKED, turn, result("c1"), result("c2"))[1]["parts"]
    )


def test_a_result_without_its_call_is_the_callers_mistake() -> None:
    with pytest.raises(ConfigError, match="'c9'"):
        contents(ASKED, result("c9"))


def test_system_texts_are_one_instruction() -> None:
    call = ChatCall(
        "m",
        [{"role": "system", "content": "a"}, ASKED, {"role": "developer", "content": "b"}, ASKED],
    )

    assert {"parts": [{"text": "a"}, {"text": "b"}]} == body(call)["systemInstruction"]
    assert [{"role": "user", "parts": [{"text": "use f"}, {"text": "use f"}]}] == (
        body(call)["contents"]
    )


def test_an_image_at_a_url_is_fetched_first_and_without_the_key(server: FaultServer) -> None:
    chat = Replies(REPLIES)["chat.json"].reply
    server.answer(Reply(200, {"content-type": "image/png"}, KITE), chat)
    parts = [{"type": "image_url", "image_url": {"url": server.origin + "/kite.png"}}]

    gemini(server)([{"role": "user", "content": parts}])

    fetched, asked = server.requests
    assert "/kite.png" == fetched.path
    assert "x-goog-api-key" not in fetched.headers
    inline = {"mimeType": "image/png", "data": Media(KITE).base64()}
    assert [{"inlineData": inline}] == asked.json["contents"][0]["parts"]


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (
            {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
            {"inlineData": {"mimeType": "audio/wav", "data": "QUJD"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "QUJD"}},
        ),
        (
            {"fileData": {"mimeType": "video/mp4", "fileUri": "https://h.example/v"}},
            {"fileData": {"mimeType": "video/mp4", "fileUri": "https://h.example/v"}},
        ),
    ],
)
def test_other_files_go_in_the_request_and_native_parts_as_they_are(
    part: Mapping[str, Any], sent: Mapping[str, Any]
) -> None:
    assert [sent] == contents({"role": "user", "content": [part]})[0]["parts"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "f"}},
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
        ),
        ({"mode": "VALIDATED"}, {"mode": "VALIDATED"}),
    ],
)
def test_a_choice_of_tools_is_put_into_the_wires_words(given: object, sent: object) -> None:
    call = ChatCall("m", [ASKED], {"tool_choice": given})

    assert {"functionCallingConfig": sent} == body(call)["toolConfig"]


def test_tools_of_the_server_are_declared_beside_the_functions() -> None:
    search = {"googleSearch": {}}

    assert [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]},
        search,
    ] == body(ChatCall("m", [ASKED], tools=[search, F]))["tools"]


@pytest.mark.parametrize(
    "call",
    [
        ChatCall("m", [ASKED], schema=SCHEMA),
        ChatCall(
            "m",
            [ASKED],
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
        ),
    ],
)
def test_a_schema_is_asked_for_natively(call: ChatCall) -> None:
    assert {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA} == body(call)[
        "generationConfig"
    ]


def test_what_this_wire_alone_knows_is_merged_into_the_body() -> None:
    options = {"top_k": 3, "generationConfig": {"mediaResolution": "LOW"}, "labels": {"a": "b"}}

    sent = body(ChatCall("m", [ASKED], options))

    assert {"topK": 3, "mediaResolution": "LOW"} == sent["generationConfig"]
    assert {"a": "b"} == sent["labels"]


def test_a_model_that_takes_no_level_of_thinking_is_not_sent_one() -> None:
    provider = installed().provider("gemini")

    assert "reasoning_effort" in provider.for_model("gemini-2.5-flash")[2].refuses
    assert () == provider.for_model("gemini-3.8-flash")[2].refuses


def test_a_rate_limit_is_waited_for_as_its_details_say() -> None:
    limited = Replies(REPLIES)["error-429-in-a-list.json"].reply
    flow = codec().flow(ChatCall("m", [ASKED]))
    next(flow)

    assert 0.05 == flow.send(Response(429, body=limited.whole)).delay


def test_a_quota_of_the_day_is_not_waited_for() -> None:
    limited = Replies(REPLIES)["error-429-day.json"].reply
    flow = codec().flow(ChatCall("m", [ASKED]))
    next(flow)

    with pytest.raises(QuotaExhausted):
        flow.send(Response(429, body=limited.whole))


@pytest.mark.parametrize("delay", ['"soon"', "null", "7"])
def test_a_wait_that_cannot_be_read_is_left_out(delay: str) -> None:
    body = b'{"error": {"details": [{"retryDelay": ' + delay.encode() + b"}]}}"

    assert None is codec().parse_error(Response(429, body=body)).retry_after


@pytest.mark.parametrize("text", ['{"error": {"code": 400}}', '[{"error": {"code": 400}}]'])
def test_an_error_with_status_200_is_an_error(text: str) -> None:
    assert codec().is_error(Response(200, body=text.encode()))


def test_another_key_is_tried_when_one_is_limited(server: FaultServer) -> None:
    replies = Replies(REPLIES)
    limited = replies["error-429.json"].reply.but(headers={})
    server.answer(limited, replies["tv1-chat.json"].reply)

    assert "4" == gemini(server, api_key=["K1", "K2"])("2+2?")
    assert ["K1", "K2"] == [request.headers["x-goog-api-key"] for request in server.requests]


def test_sound_is_a_wav_file_of_the_rate_that_was_told(server: FaultServer) -> None:
    server.answer(Replies(REPLIES)["tts.json"].reply)

    with wave.open(io.BytesIO(gemini(server, "tts")("Say: hi").data), "rb") as sound:
        head = (sound.getframerate(), sound.getnchannels(), sound.getsampwidth())
        samples = sound.readframes(9)

    assert (24000, 1, 2) == head
    assert b"\x00\x00\xe8\x03\x18\xfc\x00\x00" == samples


def test_sound_that_is_no_bare_samples_stays_as_it_is() -> None:
    part = {"inlineData": {"mimeType": "audio/mpeg", "data": "QUJD"}}

    assert Media(b"ABC", "audio/mpeg") == read(ModelType.TTS, SpeakCall("m", "hi"), part).value


def test_a_voice_and_how_to_speak_are_options() -> None:
    sent = body(SpeakCall("m", "hi", {"voice": "Puck", "instructions": "Whisper"}), ModelType.TTS)

    assert [{"role": "user", "parts": [{"text": "Whisper: hi"}]}] == sent["contents"]
    voice = {"prebuiltVoiceConfig": {"voiceName": "Puck"}}
    assert {"voiceConfig": voice} == sent["generationConfig"]["speechConfig"]


def test_several_speakers_are_given_as_the_server_takes_them() -> None:
    config = {"multiSpeakerVoiceConfig": {"speakerVoiceConfigs": []}}

    sent = body(SpeakCall("m", "hi", {"speech_config": config}), ModelType.TTS)

    assert config == sent["generationConfig"]["speechConfig"]


def test_a_prompt_says_how_to_write_down() -> None:
    call = TranscribeCall("m", Media(b"ABC", "audio/wav"), {"prompt": "Translate."})

    assert {"text": "Translate."} == body(call, ModelType.STT)["contents"][0]["parts"][0]


def test_what_is_written_beside_an_image_is_a_note(server: FaultServer) -> None:
    server.answer(Replies(REPLIES)["text2image.json"].reply)

    assert ("Here it is.",) == gemini(server, "text2image").respond("a red kite").notes


def test_an_image_that_was_held_back_is_filtered() -> None:
    with pytest.raises(Filtered, match="IMAGE_SAFETY"):
        read(ModelType.TEXT2IMAGE, ImageCall("m", "p"), reason="IMAGE_SAFETY")


def test_words_in_place_of_an_image_are_told() -> None:
    with pytest.raises(BadReply, match="no image"):
        read(ModelType.TEXT2IMAGE, ImageCall("m", "p"), {"text": "I cannot draw."})


def test_an_image_that_is_no_base64_is_a_bad_reply() -> None:
    with pytest.raises(BadReply):
        read(ModelType.TEXT2IMAGE, ImageCall("m", "p"), {"inlineData": {"data": "*"}})


def test_a_mask_is_unsupported(server: FaultServer) -> None:
    with pytest.raises(Unsupported, match="mask"):
        gemini(server, "image_editing")("blue", files=[KITE], mask=KITE)


def test_editing_needs_an_image(server: FaultServer) -> None:
    with pytest.raises(ConfigError, match="at least one image"):
        gemini(server, "image_editing")("blue")


def test_each_cross_modal_input_is_a_request_of_its_own(server: FaultServer) -> None:
    def vector(request: Request) -> Reply:
        first = 1.0 if "text" in request.json["content"]["parts"][0] else 2.0
        return Reply(200, {}, b'{"embedding": {"values": [%.1f, 0.5]}}' % first)

    server.answer_with(vector)

    assert [[1.0, 0.5], [2.0, 0.5]] == gemini(server, "cross_modal_embed")(["a"], files=[KITE])
    assert 2 == len(server.requests)


def test_a_vector_that_nobody_shortened_stays_as_it_came() -> None:
    response = Response(200, body=b'{"embeddings": [{"values": [3, 4]}]}')

    found = codec(ModelType.EMBED).parse_response(EmbedCall("m", ["a"]), response)

    assert [[3.0, 4.0]] == found.vectors


def test_the_type_is_told_by_the_name() -> None:
    names = {
        "gemini-3.8-flash": "vlm",
        "gemini-flash-latest": "vlm",
        "gemini-embedding-001": "embed",
        "models/gemini-embedding-001": "embed",
        "gemini-embedding-2": "cross_modal_embed",
        "gemini-3.5-transcribe": "stt",
        "gemini-3.8-flash-tts": "tts",
        "gemini-3.1-flash-image": "text2image",
        "gemma-3-27b-it": "vlm",
    }

    assert names == {name: locate(installed(), "gemini", model=name, env={}).type for name in names}


def test_a_key_is_found_under_either_name_and_googles_first() -> None:
    env = {"GOOGLE_API_KEY": "a", "GEMINI_API_KEY": "b"}

    assert (Secret("a"),) == locate(installed(), "gemini", env=env).keys


@pytest.mark.parametrize("type", [ModelType.LLM, ModelType.TTS, ModelType.TEXT2IMAGE])
@given(part=ANY, reason=ANY, usage=ANY)
def test_any_json_is_a_result_or_a_call_error(
    type: ModelType, part: object, reason: object, usage: object
) -> None:
    candidate = {"content": {"parts": [{"text": "4"}, part]}, "finishReason": reason}
    reply = json.dumps({"candidates": [candidate], "usageMetadata": usage, "responseId": part})
    call = ChatCall("m", [])  # every type reads its reply without looking at more than the model

    try:
        result = codec(type).parse_response(call, Response(200, body=reply.encode()))
    except CallError:
        return
    assert [candidate] == result.raw["candidates"]
