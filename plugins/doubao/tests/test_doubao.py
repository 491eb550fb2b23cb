"""Doubao keeps the contract, and each of its quirks."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import modelplug
from modelplug.errors import (
    BadReply,
    CallError,
    ConfigError,
    Filtered,
    InvalidRequest,
    MissingKey,
    Overloaded,
    PermissionRefused,
    ProviderFailed,
    Refused,
    UnknownOption,
    Unsupported,
)
from modelplug.media import Remote
from modelplug.plugins import installed
from modelplug.testing import FaultServer, OnlineContract, Reply, Request
from modelplug.types import Endpoint, Secret, Segment, TranscribeCall, Transcript
from modelplug.wire import Flow, Response
from modelplug_doubao.speech import SpeechCodec
from modelplug_doubao.transcribe import SpeechTranscribe

REPLIES = Path(__file__).parent / "replies"
KITE = REPLIES / "inputs/kite.png"
SOUND = REPLIES / "inputs/silence.wav"
PNG = KITE.read_bytes()
JSON = {"content-type": "application/json"}
HELLO = b'{"result":{"text":"hello"}}'
Variables = Callable[[Mapping[str, str]], None]


class TestDoubao(OnlineContract):
    plugin = "doubao"
    replies = REPLIES
    base_path = "/api/v3"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    """Sets these variables, and unsets the others that hold a key or an address of Doubao's."""

    def only(given: Mapping[str, str]) -> None:
        for prefix in ("", "MODELPLUG_", "LAZYLLM_"):
            for name in ("ARK", "VOLCENGINE", "DOUBAO", "DOUBAO_SPEECH"):
                for what in ("API_KEY", "BASE_URL", "APP_ID", "ACCESS_TOKEN"):
                    monkeypatch.delenv(f"{prefix}{name}_{what}", raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    return only


def module(
    server: FaultServer,
    model: str | None = None,
    type: str | None = None,
    api_key: str = "KEY",
    **options: Any,
) -> modelplug.OnlineModule:
    url = server.origin + "/api/v3"
    return modelplug.OnlineModule(model, "doubao", type=type, url=url, api_key=api_key, **options)


def said(code: str, message: str = "OK", body: bytes = HELLO) -> Reply:
    """A reply of the speech service, whose result code is in a header."""
    return Reply(200, {**JSON, "X-Api-Status-Code": code, "X-Api-Message": message}, body)


def spoken(*objects: Mapping[str, Any]) -> Reply:
    return Reply(200, JSON, "".join(map(json.dumps, objects)).encode())


def piece(data: bytes) -> dict[str, Any]:
    return {"code": 0, "message": "", "data": base64.b64encode(data).decode()}


END = {"code": 20000000, "message": "ok", "data": None}


# Chat.


def test_the_two_limits_exclude_each_other(server: FaultServer) -> None:
    with pytest.raises(ConfigError, match="exclude each other; give one"):
        module(server)("hi", max_tokens=5, max_completion_tokens=9)

    assert [] == server.requests


def test_an_application_has_a_path_of_its_own(server: FaultServer) -> None:
    server.answer(Reply(200, JSON, (REPLIES / "chat.json").read_bytes()))

    assert "hello" == module(server, "bot-20250101")("hi")
    assert "/api/v3/bots/chat/completions" == server.requests[0].path


@pytest.mark.parametrize(
    ("model", "takes_images"),
    [
        ("doubao-1-5-pro-32k-250115", False),
        ("doubao-1-5-lite-32k-250115", False),
        ("doubao-1-5-vision-pro-32k-250115", True),
        ("doubao-seed-1-6-251015", True),
        ("ep-20250101000000-abcde", True),
    ],
)
def test_images_are_refused_by_the_models_that_read_text_alone(
    model: str, takes_images: bool
) -> None:
    does, _, _ = installed().provider("doubao").for_model(model)

    assert takes_images == ("image-input" in does)


# Embeddings of texts and images.


def test_each_input_becomes_a_vector_from_a_request_of_its_own(server: FaultServer) -> None:
    def embeds(request: Request) -> Reply:
        (part,) = request.json["input"]
        vector = [1.0, 0.0] if part["type"] == "text" else [0.0, 1.0]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        body = {"data": {"embedding": vector}, "model": "m", "usage": usage}
        return Reply(200, JSON, json.dumps(body).encode())

    server.answer_with(embeds)

    result = module(server, "ep-1", "cross_modal_embed").respond(["cat"], files=[KITE])

    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    parts = [request.json["input"][0] for request in server.requests]
    assert [[1.0, 0.0], [0.0, 1.0]] == result.value
    assert 6 == result.usage.total_tokens
    assert [
        {"type": "image_url", "image_url": {"url": uri}},
        {"type": "text", "text": "cat"},
    ] == sorted(parts, key=lambda part: str(part["type"]))


def test_fused_inputs_are_one_request_and_one_vector_async_too(server: FaultServer) -> None:
    server.answer(Reply(200, JSON, (REPLIES / "cross_modal_embed.json").read_bytes()))
    model = module(server, type="cross_modal_embed")

    assert [[0.1, 0.2]] == asyncio.run(model.acall(["a", "b"], fused=True))
    assert 1 == len(server.requests)
    assert ["a", "b"] == [part["text"] for part in server.requests[0].json["input"]]
    assert "fused" not in server.requests[0].json


# Images.


def test_several_images_are_as_many_requests(server: FaultServer) -> None:
    body = {"data": [{"b64_json": base64.b64encode(PNG).decode()}]}
    server.answer(Reply(200, JSON, json.dumps(body).encode()))

    images = module(server, type="text2image")("cat", n=2)

    assert [PNG, PNG] == [image.data for image in images]
    assert [{"model": "doubao-seedream-4-0-250828", "prompt": "cat"}] * 2 == [
        request.json for request in server.requests
    ]


def test_a_part_that_was_refused_is_a_note(server: FaultServer) -> None:
    ok = {"b64_json": base64.b64encode(PNG).decode()}
    refusal = {"error": {"code": "OutputImageSensitiveContentDetected", "message": "x"}}
    server.answer(Reply(200, JSON, json.dumps({"data": [ok, refusal]}).encode()))

    result = module(server, type="text2image").respond("cat")

    assert [PNG] == [image.data for image in result.media]
    assert ("OutputImageSensitiveContentDetected: x",) == result.notes


def test_images_that_were_all_refused_are_the_first_refusal(server: FaultServer) -> None:
    refusal = {"error": {"code": "OutputImageSensitiveContentDetected", "message": "x"}}
    server.answer(Reply(200, JSON, json.dumps({"data": [refusal, refusal]}).encode()))

    with pytest.raises(Filtered) as caught:
        module(server, type="text2image")("cat")

    assert "OutputImageSensitiveContentDetected" == caught.value.code


def test_seededit_takes_one_image_and_keeps_its_size(server: FaultServer) -> None:
    server.answer(Reply(200, JSON, (REPLIES / "image_editing.json").read_bytes()))
    model = module(server, "doubao-seededit-3-0-i2i-250628")

    model("blue", files=["https://x/a.png"], seed=7)

    assert {
        "model": "doubao-seededit-3-0-i2i-250628",
        "prompt": "blue",
        "image": "https://x/a.png",
        "size": "adaptive",
        "seed": 7,
    } == server.requests[0].json
    with pytest.raises(ConfigError, match="1 to 1 images, and got 2"):
        model("blue", files=[KITE, KITE])


@pytest.mark.parametrize("count", [0, 15])
def test_one_to_fourteen_images_are_edited(count: int, server: FaultServer) -> None:
    with pytest.raises(ConfigError, match=f"1 to 14 images, and got {count}"):
        module(server, type="image_editing")("blue", files=[KITE] * count)

    assert [] == server.requests


def test_a_mask_is_unsupported(server: FaultServer) -> None:
    with pytest.raises(Unsupported, match="no mask"):
        module(server, type="image_editing")("blue", files=[KITE], mask=KITE)


@pytest.mark.parametrize("option", ["seed", "guidance_scale"])
def test_seedream_4_is_not_sent_what_only_version_3_knows(option: str, server: FaultServer) -> None:
    with pytest.raises(Unsupported, match=option):
        module(server, "doubao-seedream-4-0-250828")("cat", **{option: 3})

    assert [] == server.requests


# Speech to text.


def speech_headers(request: Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name.startswith("x-api-") and name != "x-api-request-id" or name == "authorization"
    }


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("KEY", {"x-api-key": "KEY"}),
        (
            "APP:TOKEN",
            {"x-api-app-key": "APP", "x-api-app-id": "APP", "x-api-access-key": "TOKEN"},
        ),
    ],
)
def test_speech_has_its_key_in_headers_of_its_own(
    key: str, sent: dict[str, str], server: FaultServer
) -> None:
    server.answer(said("20000000"))

    assert "hello" == module(server, type="stt", api_key=key)(files=[SOUND])
    expected = {"x-api-resource-id": "volc.bigasr.auc_turbo", "x-api-sequence": "-1", **sent}
    assert expected == speech_headers(server.requests[0])


def test_the_token_of_a_refused_key_is_in_no_error(server: FaultServer) -> None:
    server.answer(said("45000030", "app 123: TOKEN-9 is not granted", b"{}"))

    with pytest.raises(PermissionRefused) as caught:
        module(server, type="stt", api_key="123:TOKEN-9")(files=[SOUND])

    assert "app 123: *** is not granted" in str(caught.value)
    assert "TOKEN-9" not in repr(vars(caught.value))


@pytest.mark.parametrize(
    ("code", "error", "requests"),
    [
        ("45000001", InvalidRequest, 1),
        ("45000002", InvalidRequest, 1),
        ("45000030", PermissionRefused, 1),
        ("45000081", InvalidRequest, 1),
        ("45000131", InvalidRequest, 1),
        ("45000132", InvalidRequest, 1),
        ("45000151", InvalidRequest, 1),
        ("55000031", Overloaded, 2),
        ("55000099", ProviderFailed, 2),
    ],
)
def test_an_error_of_speech_is_told_by_a_header(
    code: str, error: type[CallError], requests: int, server: FaultServer
) -> None:
    failure = said(code, "invalid format", b"{}")
    server.answer(
        failure.but(headers={**failure.headers, "retry-after": "0", "X-Tt-Logid": "log-1"})
    )

    with pytest.raises(CallError) as caught:
        module(server, type="stt", max_retries=1)(files=[SOUND])

    assert error is type(caught.value)
    assert code == caught.value.code
    assert "log-1" == caught.value.request_id
    assert "invalid format" in str(caught.value)
    assert requests == len(server.requests)


def test_a_tape_keeps_what_a_header_told(server: FaultServer, tmp_path: Path) -> None:
    server.answer(said("20000003", "no speech", b"{}"))
    model = module(server, type="stt")
    with modelplug.tape(tmp_path / "silence.jsonl"):
        assert "" == model(files=[SOUND])
    server.answer(said("45000151"))

    with modelplug.tape(tmp_path / "silence.jsonl", mode="replay"):
        assert "" == model(files=[SOUND])

    assert 1 == len(server.requests)


def test_utterances_are_segments_in_seconds(server: FaultServer) -> None:
    server.answer(said("20000000", body=(REPLIES / "stt-verbose.json").read_bytes()))

    result = module(server, type="stt").respond(files=[SOUND])

    assert (Segment(0.0, 0.9, "hello"), Segment(0.9, 1.9, "there")) == result.segments
    assert 1.9 == result.duration


def test_a_broken_utterance_is_a_bad_reply(server: FaultServer) -> None:
    server.answer(said("20000000", body=b'{"result":{"text":"a","utterances":[{}]}}'))

    with pytest.raises(BadReply, match="start_time"):
        module(server, type="stt")(files=[SOUND])


def job(resume: str = "") -> Flow[Transcript]:
    """A call of the resource for long recordings, to be driven by hand."""
    endpoint = Endpoint(
        "doubao",
        "volc.seedasr.auc",
        url="http://x/api/v3",
        api_key=Secret("KEY"),
        codes=installed().provider("doubao").codes,
    )
    codec = SpeechTranscribe(endpoint, new_id=lambda: "job-7")
    file = Remote("https://x/a.MP3?sign=1")
    return codec.flow(TranscribeCall("volc.seedasr.auc", file, {"enable_punc": True}, resume))


def told(code: str, body: bytes = b"{}") -> Response:
    return Response(200, {"x-api-status-code": code, "x-api-message": "told"}, body)


def driven(flow: Flow[Transcript], *replies: Response) -> tuple[list[Any], Transcript]:
    """What *flow* asked for, a reply each, and its result."""
    asked = [next(flow)]
    for reply in replies[:-1]:
        asked.append(flow.send(reply))
    with pytest.raises(StopIteration) as stopped:
        flow.send(replies[-1])
    return asked, stopped.value.value


def test_a_long_recording_is_a_job_that_is_asked_after() -> None:
    asked, transcript = driven(
        job(), told("20000000", b""), told("20000002"), told("20000001"), told("20000000", HELLO)
    )

    assert "hello" == transcript.text
    assert ["/submit", "/query", "/query", "/query"] == [
        request.url.removeprefix("http://x/api/v3/auc/bigmodel") for request in asked
    ]
    assert ["job-7"] * 4 == [request.headers["x-api-request-id"] for request in asked]
    assert ["volc.seedasr.auc"] * 4 == [request.headers["x-api-resource-id"] for request in asked]
    assert [0.0, 1.0, 1.5, 2.25] == [request.delay for request in asked]
    assert {
        "user": {"uid": "modelplug"},
        "audio": {"url": "https://x/a.MP3?sign=1", "format": "mp3"},
        "request": {"model_name": "bigmodel", "enable_punc": True},
    } == json.loads(asked[0].body)
    assert [b"{}"] * 3 == [request.body for request in asked[1:]]


def test_a_job_is_picked_up_again_by_its_id() -> None:
    (asked,), transcript = driven(job(resume="job-1"), told("20000000", HELLO))

    assert "hello" == transcript.text
    assert "http://x/api/v3/auc/bigmodel/query" == asked.url
    assert "job-1" == asked.headers["x-api-request-id"]


def test_a_job_that_failed_names_its_id() -> None:
    flow = job(resume="job-1")
    next(flow)

    with pytest.raises(InvalidRequest) as caught:
        flow.send(told("45000151"))

    assert "job-1" == caught.value.task


def test_jobs_take_urls_alone(server: FaultServer) -> None:
    with pytest.raises(ConfigError, match="takes a URL alone; volc.bigasr.auc_turbo"):
        module(server, "volc.bigasr.auc")(files=[SOUND])


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        ("volc.bigasr.sauc.duration", {"files": [SOUND]}, "websocket"),
        ("volc.bigasr.auc_turbo", {"resume": "job-1"}, "no jobs to resume"),
    ],
)
def test_what_speech_cannot_do_is_said(
    model: str, options: dict[str, Any], told: str, server: FaultServer
) -> None:
    with pytest.raises(Unsupported, match=told):
        module(server, model)(**options)

    assert [] == server.requests


def test_the_names_of_requests_can_be_given() -> None:
    endpoint = Endpoint("doubao", "seed-tts-2.0", url="http://x/api/v3", api_key=Secret("KEY"))
    codec: SpeechCodec[Any, Any] = SpeechCodec(endpoint, new_id=lambda: "id-7")

    assert "id-7" == codec.sign(codec.ask("/submit", {})).headers["x-api-request-id"]
    assert "job-1" == codec.sign(codec.ask("/query", {}, "job-1")).headers["x-api-request-id"]


# Text to speech.


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_options_of_a_voice_have_names_of_their_own(
    asynchronous: bool, server: FaultServer
) -> None:
    server.answer(spoken(piece(b"AB"), piece(b"C"), END))
    model = module(server, "seed-icl-2.0")
    options = {
        "voice": "S_1",
        "response_format": "ogg_opus",
        "sample_rate": 16000,
        "speech_rate": 20,
        "additions": {"silence_duration": 100},
        "extra_body": {"model": "seed-tts-1.1"},
    }

    sound = asyncio.run(model.acall("hi", **options)) if asynchronous else model("hi", **options)

    assert (b"ABC", "audio/ogg") == (sound.data, sound.mime)
    assert "seed-icl-2.0" == server.requests[0].headers["x-api-resource-id"]
    assert {
        "text": "hi",
        "speaker": "S_1",
        "audio_params": {"format": "ogg_opus", "sample_rate": 16000, "speech_rate": 20},
        "additions": '{"silence_duration":100}',
        "model": "seed-tts-1.1",
    } == server.requests[0].json["req_params"]


def test_wav_is_pcm_with_a_head(server: FaultServer) -> None:
    server.answer(spoken(piece(b"\x00\x01" * 4), END))

    sound = module(server, type="tts")("hi", response_format="wav", sample_rate=16000)

    assert "pcm" == server.requests[0].json["req_params"]["audio_params"]["format"]
    assert (b"RIFF", b"WAVE", 44 + 8) == (sound.data[:4], sound.data[8:12], len(sound.data))
    assert "audio/wav" == sound.mime


def test_only_the_newest_resource_has_a_voice_by_default(server: FaultServer) -> None:
    with pytest.raises(ConfigError, match="seed-tts-1.0 has no voice of its own; pass voice="):
        module(server, "seed-tts-1.0")("hi")

    assert [] == server.requests


def test_a_busy_voice_is_asked_again_by_another_name(server: FaultServer) -> None:
    busy = {"code": 55000031, "message": "busy", "data": None}
    failure = spoken(busy)
    server.answer(failure.but(headers={"retry-after": "0"}), spoken(piece(b"A"), END))

    assert b"A" == module(server, type="tts")("hi").data
    assert 2 == len({request.headers["x-api-request-id"] for request in server.requests})


@pytest.mark.parametrize(
    ("objects", "error", "told"),
    [
        ([{"code": 45000001, "message": "no speaker"}], InvalidRequest, "no speaker"),
        ([piece(b"A"), {"code": 55000000, "message": "broke"}], ProviderFailed, "broke"),
        ([{"code": 40402003, "message": "too long"}], Refused, "too long"),
        ([piece(b"A")], BadReply, "last object is missing"),
        ([END], BadReply, "holds no sound"),
        ([{"code": 0, "data": "*"}, END], BadReply, "no base64"),
    ],
)
def test_sound_that_is_not_whole_is_an_error(
    objects: list[dict[str, Any]], error: type[CallError], told: str, server: FaultServer
) -> None:
    server.answer(spoken(*objects))

    with pytest.raises(CallError, match=told) as caught:
        module(server, type="tts", max_retries=0)("hi")

    assert error is type(caught.value)
    assert "doubao" == caught.value.provider


# Addresses, keys and names.


def test_speech_has_an_address_and_a_key_of_its_own(variables: Variables) -> None:
    variables(
        {
            "ARK_API_KEY": "ark",
            "DOUBAO_SPEECH_APP_ID": "app",
            "DOUBAO_SPEECH_ACCESS_TOKEN": "token",
        }
    )

    chat, voice = (modelplug.OnlineModule(source="doubao", type=type) for type in ("llm", "tts"))

    assert ("https://ark.cn-beijing.volces.com/api/v3", Secret("ark")) == (chat.url, chat.api_key)
    assert "https://openspeech.bytedance.com/api/v3" == voice.url
    assert Secret("app:token") == voice.api_key


def test_a_key_of_ark_is_not_sent_to_speech(variables: Variables) -> None:
    variables({"ARK_API_KEY": "ark", "MODELPLUG_DOUBAO_API_KEY": "ark"})

    with pytest.raises(MissingKey, match="DOUBAO_SPEECH_API_KEY"):
        modelplug.OnlineModule(source="doubao", type="stt")


def test_the_other_sites_are_regions() -> None:
    urls = {
        region: modelplug.OnlineModule(source="doubao", region=region, api_key="KEY").url
        for region in ("cn", "intl", "coding")
    }

    assert {
        "cn": "https://ark.cn-beijing.volces.com/api/v3",
        "intl": "https://ark.ap-southeast.bytepluses.com/api/v3",
        "coding": "https://ark.cn-beijing.volces.com/api/coding/v3",
    } == urls


def test_an_option_of_another_type_is_unknown(server: FaultServer) -> None:
    with pytest.raises(UnknownOption, match="watermark"):
        module(server)("hi", watermark=False)


@pytest.mark.parametrize(
    ("model", "type"),
    [
        ("ep-20250101000000-abcde", "llm"),
        ("bot-20250101000000-abcde", "llm"),
        ("doubao-1-5-pro-32k-250115", "llm"),
        ("doubao-seed-1-6-251015", "vlm"),
        ("doubao-seed-1-6-vision-250815", "vlm"),
        ("doubao-seed-1-8-251228", "vlm"),
        ("doubao-seed-2-1-pro-260915", "vlm"),
        ("doubao-1-5-ui-tars", "vlm"),
        ("seed-1-8-251228", "vlm"),
        ("doubao-embedding-large-text-250515", "embed"),
        ("doubao-embedding-vision-251215", "cross_modal_embed"),
        ("doubao-seedream-5-0-260128", "text2image"),
        ("seedream-4-0-250828", "text2image"),
        ("doubao-seededit-3-0-i2i-250628", "image_editing"),
        ("seed-tts-2.0", "tts"),
        ("seed-icl-2.0", "tts"),
        ("volc.service_type.10029", "tts"),
        ("volc.bigasr.auc_turbo", "stt"),
        ("volc.seedasr.auc", "stt"),
        ("bigmodel", "stt"),
        ("deepseek-v4-flash", None),
    ],
)
def test_a_models_name_tells_its_type(model: str, type: str | None) -> None:
    assert type == installed().provider("doubao").type_of(model)
