"""PPIO keeps the contract, and each of its quirks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import modelplug
from modelplug.errors import (
    AuthRefused,
    BadReply,
    CallError,
    ConfigError,
    Filtered,
    InvalidRequest,
    ProviderFailed,
    QuotaExhausted,
    RateLimited,
    Refused,
    TaskFailed,
    Unsupported,
)
from modelplug.media import Media, Remote
from modelplug.plugins import installed
from modelplug.testing import FaultServer, OnlineContract, Reply, Request
from modelplug.types import Endpoint, ImageCall, ModelType, Produced, Secret, SpeakCall
from modelplug.wire import Flow, Response
from modelplug.wire import Request as WireRequest

REPLIES = Path(__file__).parent / "replies"
PNG = (REPLIES / "text2image-2.png").read_bytes()
KITE = REPLIES / "inputs/kite.png"
SOUND = REPLIES / "inputs/silence.wav"
BASE = "https://api.ppio.com/openai/v1"
TASK = "https://api.ppio.com/v3/async/task-result?task_id=t1"
AN_IMAGE = Media(b"\0\0\0", "image/png")


class TestPPIO(OnlineContract):
    plugin = "ppio"
    replies = REPLIES
    base_path = "/openai/v1"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def module(
    server: FaultServer, model: str | None = None, type: str | None = None, **options: Any
) -> modelplug.OnlineModule:
    url = f"{server.origin}/openai/v1"
    return modelplug.OnlineModule(model, "ppio", type=type, url=url, api_key="KEY", **options)


def codec(type: str, model: str, url: str = BASE) -> Any:
    endpoint = Endpoint("ppio", model, url, Secret("KEY"))
    return installed().create_online("ppio", endpoint, ModelType(type))


def reply(data: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(data).encode())


def driven(flow: Flow[Produced], *replies: Response) -> tuple[list[WireRequest], Produced]:
    """The requests of *flow*, which is answered with *replies* and never waits, and its result."""
    requests: list[WireRequest] = []
    left = iter(replies)
    try:
        step = next(flow)
        while True:
            assert isinstance(step, WireRequest)
            requests.append(step)
            step = flow.send(next(left))
    except StopIteration as done:
        return requests, done.value


def json_reply(data: object) -> Reply:
    return Reply(200, {"content-type": "application/json"}, json.dumps(data).encode())


def draws(request: Request) -> Reply:
    """A server of one image for each request, and of the image."""
    if request.method == "GET":
        return Reply(200, {"content-type": "image/png"}, PNG)
    return json_reply({"images": [f"http://{request.headers['host']}/i.png"]})


def test_a_task_is_begun_asked_after_and_its_image_fetched() -> None:
    call = ImageCall("qwen-image-txt2img", "cat", options={"size": "1024x1024"})
    image = {"image_url": "https://cdn/i.png", "image_url_ttl": "3600", "image_type": "png"}

    requests, made = driven(
        codec("text2image", call.model).flow(call),
        reply({"task_id": "t1"}),
        reply({"task": {"task_id": "t1", "status": "TASK_STATUS_QUEUED"}, "images": []}),
        reply({"task": {"status": "TASK_STATUS_PROCESSING", "progress_percent": 50}}),
        reply({"task": {"task_id": "t1", "status": "TASK_STATUS_SUCCEED"}, "images": [image]}),
        Response(200, {"content-type": "image/png"}, PNG),
    )

    begun, *asked, fetched = requests
    assert "POST" == begun.method
    assert "https://api.ppio.com/v3/async/qwen-image-txt2img" == begun.url
    assert {"prompt": "cat", "size": "1024*1024"} == json.loads(begun.body)
    assert [("GET", TASK, Secret("KEY"))] * 3 == [(r.method, r.url, r.auth) for r in asked]
    assert [1.0, 1.5, 2.25] == [request.delay for request in asked]
    assert ("https://cdn/i.png", None) == (fetched.url, fetched.auth)
    assert [Media(PNG, "image/png")] == list(made.media)


def test_a_task_that_failed_says_why_and_which_it_was() -> None:
    call = ImageCall("z-image-turbo", "cat")
    failed = {"task_id": "t2", "status": "TASK_STATUS_FAILED", "reason": "blocked"}

    with pytest.raises(TaskFailed, match="blocked") as caught:
        driven(
            codec("text2image", call.model).flow(call),
            reply({"task_id": "t2"}),
            reply({"task": failed, "videos": []}),
        )

    assert "t2" == caught.value.task
    assert not caught.value.retryable


@pytest.mark.parametrize("answer", [{}, [], {"task": None}, {"task": {"task_id": "t1"}}])
def test_a_task_without_a_state_is_a_bad_reply(answer: object) -> None:
    call = ImageCall("flux-2-pro", "cat")

    with pytest.raises(BadReply, match="state of the task") as caught:
        driven(codec("text2image", call.model).flow(call), reply({"task_id": "t1"}), reply(answer))

    assert ("t1", 200, "ppio") == (caught.value.task, caught.value.status, caught.value.provider)


def test_a_task_is_picked_up_again_by_its_id() -> None:
    call = ImageCall("qwen-image-edit", "", resume="t1")
    done = {"task": {"status": "TASK_STATUS_SUCCEED"}, "images": [{"image_url": "https://cdn/i"}]}

    requests, _ = driven(
        codec("image_editing", call.model).flow(call), reply(done), Response(200, {}, PNG)
    )

    assert [TASK, "https://cdn/i"] == [request.url for request in requests]


def test_speech_may_be_a_task() -> None:
    call = SpeakCall("async/minimax-speech-2.8-turbo", "hi", {"voice": "female-yujie"})
    done = {
        "task": {"status": "TASK_STATUS_SUCCEED"},
        "images": [],
        "audios": [{"audio_url": "https://cdn/a.mp3"}],
    }

    requests, made = driven(
        codec("tts", call.model).flow(call),
        reply({"task_id": "t1"}),
        reply(done),
        Response(200, {}, b"\xff\xf3sound"),
    )

    assert "https://api.ppio.com/v3/async/minimax-speech-2.8-turbo" == requests[0].url
    sent = {"text": "hi", "voice_setting": {"voice_id": "female-yujie"}}
    assert sent == json.loads(requests[0].body)
    assert (Media(b"\xff\xf3sound", "audio/mpeg"),) == made.media


@pytest.mark.parametrize(
    ("base", "chat", "media"),
    [
        ("https://api.ppio.com/openai/v1", "/openai/v1", "/v3"),
        ("https://api.ppio.com/openai", "/openai", "/v3"),
        ("https://api.ppio.com/openai/", "/openai", "/v3"),
        ("https://api.ppio.com/v3/openai", "/v3/openai", "/v3"),
        ("https://api.ppio.com/v3/openai/v1", "/openai/v1", "/v3"),
        ("https://api.ppio.com/gateway/openai/v1", "/gateway/openai/v1", "/gateway/v3"),
    ],
)
def test_the_media_root_is_told_by_any_of_the_chat_roots(base: str, chat: str, media: str) -> None:
    host = "https://api.ppio.com"
    chats = codec("llm", "deepseek/deepseek-v3.2", base).post({})
    draw = codec("text2image", "seedream-4.5", base).build_request(ImageCall("seedream-4.5", "a"))

    assert f"{host}{chat}/chat/completions" == chats.url
    assert f"{host}{media}/seedream-4.5" == draw.url


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("seedream-4.0", "seedream-4.0"),
        ("gpt-image-2-text-to-image", "gpt-image-2-text-to-image"),
        ("gemini-3-pro-image-text-to-image", "gemini-3-pro-image-text-to-image"),
        ("jimeng-txt2img-v3.1", "async/jimeng-txt2img-v3.1"),
        ("hunyuan-image-3", "async/hunyuan-image-3"),
        ("glm-image", "async/glm-image"),
        ("async/qwen-image-txt2img", "async/qwen-image-txt2img"),
        ("async/a-new-one", "async/a-new-one"),
        ("a-new-one", "a-new-one"),
    ],
)
def test_the_model_is_the_path(model: str, path: str) -> None:
    request = codec("text2image", model).build_request(ImageCall(model, "cat"))

    assert f"https://api.ppio.com/v3/{path}" == request.url
    assert {"prompt": "cat"} == json.loads(request.body)


@pytest.mark.parametrize(
    ("model", "size", "sent"),
    [
        ("qwen-image-txt2img", "1024x768", {"size": "1024*768"}),
        ("qwen-image-txt2img", "1024*768", {"size": "1024*768"}),
        ("seedream-4.5", "1024*768", {"size": "1024x768"}),
        ("seedream-4.5", "2K", {"size": "2K"}),
        ("glm-image", "1024*768", {"size": "1024x768"}),
        ("z-image-turbo", "1024*768", {"size": "1024*768"}),
        ("jimeng-txt2img-v3.1", "1024x768", {"width": 1024, "height": 768}),
    ],
)
def test_a_size_is_written_as_the_model_reads_it(
    model: str, size: str, sent: dict[str, Any]
) -> None:
    call = ImageCall(model, "cat", options={"size": size})

    assert {"prompt": "cat", **sent} == codec("text2image", model).payload(call)


@pytest.mark.parametrize(
    ("model", "images", "sent"),
    [
        ("qwen-image-edit", [AN_IMAGE], {"image": "AAAA"}),
        ("qwen-image-edit", [Remote("https://x/a")], {"image": "https://x/a"}),
        (
            "seedream-4.5",
            [AN_IMAGE, Remote("https://x/a")],
            {"images": ["data:image/png;base64,AAAA", "https://x/a"]},
        ),
        ("gemini-3-pro-image-edit", [Remote("https://x/a")], {"image_urls": ["https://x/a"]}),
        ("gemini-3-pro-image-edit", [AN_IMAGE], {"image_base64s": ["AAAA"]}),
    ],
)
def test_images_to_edit_are_in_the_models_own_field(
    model: str, images: list[Media | Remote], sent: dict[str, Any]
) -> None:
    call = ImageCall(model, "blue", images)

    assert {"prompt": "blue", **sent} == codec("image_editing", model).payload(call)


def test_urls_among_bytes_are_fetched_for_gemini() -> None:
    call = ImageCall("gemini-3-pro-image-edit", "blue", [AN_IMAGE, Remote("https://x/a.png")])

    requests, _ = driven(
        codec("image_editing", call.model).flow(call),
        Response(200, {}, b"\0\0\1"),
        reply({"image_urls": ["https://cdn/i.png"]}),
        Response(200, {}, PNG),
    )

    assert ("https://x/a.png", None) == (requests[0].url, requests[0].auth)
    assert ["AAAA", "AAAB"] == json.loads(requests[1].body)["image_base64s"]


@pytest.mark.parametrize(("count", "told"), [(0, "at least one image"), (2, "changes one image")])
def test_the_wrong_number_of_images_is_told_before_a_request(
    count: int, told: str, server: FaultServer
) -> None:
    with pytest.raises(ConfigError, match=told):
        module(server, type="image_editing")("blue", files=[KITE] * count)

    assert [] == server.requests


def test_a_mask_is_unsupported(server: FaultServer) -> None:
    with pytest.raises(Unsupported, match="no mask"):
        module(server, type="image_editing")("blue", files=[KITE], mask=KITE)


def test_several_images_are_a_request_each_with_seeds_of_their_own(server: FaultServer) -> None:
    server.answer_with(draws)

    images = module(server, type="text2image")("cat", n=2, seed=7)

    bodies = [request.json for request in server.requests if request.method == "POST"]
    assert [Media(PNG, "image/png")] * 2 == images
    assert [{"prompt": "cat", "seed": 7}, {"prompt": "cat", "seed": 8}] == sorted(
        bodies, key=lambda body: int(body["seed"])
    )


def test_gpt_image_is_asked_for_several_at_once(server: FaultServer) -> None:
    server.answer_with(draws)

    module(server, "gpt-image-2-text-to-image")("cat", n=2, quality="high")

    assert {"prompt": "cat", "n": 2, "quality": "high"} == server.requests[0].json


@pytest.mark.parametrize("n", [0, "2", True])
def test_a_number_of_images_is_a_whole_number_from_1(n: object, server: FaultServer) -> None:
    with pytest.raises(ConfigError, match="counts images from 1"):
        module(server, type="text2image")("cat", n=n)

    assert [] == server.requests


@pytest.mark.parametrize("images", [[{}], [None], [3], "text"])
def test_images_without_a_url_are_a_bad_reply(images: object, server: FaultServer) -> None:
    server.answer(json_reply({"images": images}))

    with pytest.raises(BadReply, match=r"\$\.images"):
        module(server, type="text2image")("cat")


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("minimax-speech-02-turbo", {"audio": "494433", "status": 2}),
        (
            "minimax-speech-2.8-turbo",
            {
                "data": {"audio": "494433", "status": 2},
                "base_resp": {"status_code": 0, "status_msg": "success"},
            },
        ),
    ],
)
def test_both_shapes_of_speech_are_read(
    model: str, answer: dict[str, Any], server: FaultServer
) -> None:
    server.answer(json_reply(answer))

    assert Media(b"ID3", "audio/mpeg") == module(server, model)("hi")
    assert f"/v3/{model}" == server.requests[0].path
    assert {
        "text": "hi",
        "voice_setting": {"voice_id": "male-qn-qingse"},
        "output_format": "hex",
        "stream": False,
    } == server.requests[0].json


@pytest.mark.parametrize(
    ("options", "mime"), [({}, "audio/mpeg"), ({"response_format": "pcm"}, "audio/pcm")]
)
def test_sound_without_a_known_beginning_is_what_was_asked_for(
    options: dict[str, Any], mime: str, server: FaultServer
) -> None:
    server.answer(json_reply({"audio": "fff3"}))

    assert Media(b"\xff\xf3", mime) == module(server, type="tts")("hi", **options)


@pytest.mark.parametrize("sound", ["no hex", "", None, 7])
def test_speech_that_is_no_hex_is_a_bad_reply(sound: object, server: FaultServer) -> None:
    server.answer(json_reply({"audio": sound}))

    with pytest.raises(BadReply, match="sound"):
        module(server, type="tts")("hi")


@pytest.mark.parametrize(
    ("status_code", "error"),
    [
        (1000, ProviderFailed),
        (1001, ProviderFailed),
        (1002, RateLimited),
        (1004, AuthRefused),
        (1008, QuotaExhausted),
        (1013, ProviderFailed),
        (1024, ProviderFailed),
        (1026, Filtered),
        (1027, Filtered),
        (1033, ProviderFailed),
        (2013, InvalidRequest),
        (9999, Refused),
    ],
)
def test_an_error_of_minimax_under_status_200_is_an_error(
    status_code: int, error: type[CallError], server: FaultServer
) -> None:
    base = {"status_code": status_code, "status_msg": "insufficient balance"}
    server.answer(json_reply({"data": None, "base_resp": base}))

    with pytest.raises(CallError, match="insufficient balance") as caught:
        module(server, type="tts", max_retries=0)("hi")

    assert error is type(caught.value)
    assert str(status_code) == caught.value.code


def test_sound_at_a_url_is_fetched_by_the_server(server: FaultServer) -> None:
    server.answer(json_reply({"text": "hello"}))

    assert "hello" == module(server, type="stt")("https://x/a.wav")
    assert {"file": "https://x/a.wav"} == server.requests[0].json


def test_a_media_request_stays_at_its_address_when_that_fails(server: FaultServer) -> None:
    server.answer(Reply(500, {"content-type": "text/plain"}, b"broken"))
    urls = [f"{server.origin}/openai/v1", "http://127.0.0.1:9/openai/v1"]
    model = modelplug.OnlineModule("seedream-4.5", "ppio", url=urls, api_key="KEY", max_retries=0)

    with pytest.raises(ProviderFailed, match="broken"):
        model("cat")

    assert ["/v3/seedream-4.5"] == [request.path for request in server.requests]


def test_a_dimension_is_refused_for_bge(server: FaultServer) -> None:
    with pytest.raises(Unsupported, match="dimensions"):
        module(server, type="embed")("a", dimensions=8)


@pytest.mark.parametrize(
    ("model", "type"),
    [
        ("deepseek/deepseek-v3.2", "llm"),
        ("deepseek/deepseek-r1/community", "llm"),
        ("pa/gpt-5.4", "llm"),
        ("qwen/qwen2.5-vl-72b-instruct", "vlm"),
        ("baidu/ernie-4.5-vl-28b-a3b", "vlm"),
        ("moonshotai/kimi-k2.5", "vlm"),
        ("deepseek/deepseek-ocr", "vlm"),
        ("baai/bge-m3", "embed"),
        ("qwen/qwen3-embedding-8b", "embed"),
        ("baai/bge-reranker-v2-m3", "rerank"),
        ("glm-asr", "stt"),
        ("minimax-speech-02-hd", "tts"),
        ("async/minimax-speech-2.8-hd", "tts"),
        ("qwen-image-edit", "image_editing"),
        ("gemini-3-pro-image-edit", "image_editing"),
        ("qwen-image-txt2img", "text2image"),
        ("seedream-4.5", "text2image"),
    ],
)
def test_a_models_name_tells_its_type(model: str, type: str) -> None:
    assert type == installed().provider("ppio").type_of(model)
