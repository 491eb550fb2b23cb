"""SiliconFlow keeps the contract, and each of its quirks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import modelplug
from modelplug.errors import (
    AuthRefused,
    ConfigError,
    ContextTooLong,
    InvalidRequest,
    UnknownOption,
    Unsupported,
)
from modelplug.plugins import installed
from modelplug.testing import FaultServer, OnlineContract, Replies, Reply, Request

REPLIES = Path(__file__).parent / "replies"
PNG = (REPLIES / "text2image-2.png").read_bytes()
KITE = REPLIES / "inputs/kite.png"
SOUND = REPLIES / "inputs/silence.wav"
JSON = {"content-type": "application/json"}
OK = (
    b'{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"ok"}}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
NO_SWITCH = Reply(400, JSON, (REPLIES / "error-400-thinking.json").read_bytes())


class TestSiliconFlow(OnlineContract):
    plugin = "siliconflow"
    replies = REPLIES


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def module(
    server: FaultServer, model: str | None = None, type: str | None = None, **options: Any
) -> modelplug.OnlineModule:
    return modelplug.OnlineModule(
        model, "siliconflow", type=type, url=server.url, api_key="KEY", **options
    )


def draws(request: Request) -> Reply:
    """An image server: a list of as many as are asked for, then the images."""
    if request.method == "GET":
        return Reply(200, {"content-type": "application/octet-stream"}, PNG)
    host = request.headers["host"]
    urls = [{"url": f"http://{host}/{at}.png"} for at in range(request.json.get("batch_size", 1))]
    return Reply(200, JSON, json.dumps({"images": urls}).encode())


def drawn(server: FaultServer) -> list[dict[str, Any]]:
    """The bodies of the requests for images, by seed."""
    bodies = [request.json for request in server.requests if request.method == "POST"]
    return sorted(bodies, key=lambda body: int(body.get("seed", 0)))


def test_a_thinking_switch_that_is_off_is_left_out_where_it_is_refused(
    server: FaultServer,
) -> None:
    server.answer(NO_SWITCH, Reply(200, JSON, OK))
    model = module(server, "Qwen/Qwen2.5-7B-Instruct", "llm", enable_thinking=False)

    assert "ok" == model("hi")
    assert [False, None] == [request.json.get("enable_thinking") for request in server.requests]
    assert 2 == len(server.requests)


def test_a_stream_with_the_switch_off_is_begun_again_as_well(server: FaultServer) -> None:
    chat = Replies(REPLIES)["chat.sse"]
    server.answer(NO_SWITCH, chat.reply)
    model = module(server, "Qwen/Qwen2.5-7B-Instruct", "llm", enable_thinking=False)

    async def run() -> str:
        return "".join([text async for text in model.astream("hi")])

    assert "hello" == asyncio.run(run())
    assert "enable_thinking" not in server.requests[1].json


def test_thinking_that_is_asked_for_and_refused_is_an_error(server: FaultServer) -> None:
    server.answer(NO_SWITCH)

    with pytest.raises(InvalidRequest) as caught:
        module(server, "Qwen/Qwen2.5-7B-Instruct", "llm", enable_thinking=True)("hi")

    assert 1 == len(server.requests)
    assert "20015" == caught.value.code


def test_a_question_that_is_too_long_is_not_asked_again_without_the_switch(
    server: FaultServer,
) -> None:
    server.answer(Reply(400, JSON, (REPLIES / "error-400-too-long.json").read_bytes()))

    with pytest.raises(ContextTooLong):
        module(server, "Qwen/Qwen3-8B", "llm", enable_thinking=False)("hi")

    assert 1 == len(server.requests)


def test_sound_in_openais_form_is_sent_as_audio_url(server: FaultServer) -> None:
    server.answer(Reply(200, JSON, OK))
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    text = {"type": "text", "text": "what is said?"}

    module(server, "Qwen/Qwen3-Omni-30B-A3B-Instruct")([{"role": "user", "content": [text, sound]}])

    url = {"url": "data:audio/wav;base64,AAAA"}
    assert [text, {"type": "audio_url", "audio_url": url}] == (
        server.requests[0].json["messages"][0]["content"]
    )


def test_an_image_to_embed_is_sent_as_a_data_uri(server: FaultServer) -> None:
    server.answer(Reply(200, JSON, b'{"data":[{"embedding":[0.1],"index":0}]}'))

    assert [0.1] == module(server, type="cross_modal_embed")(KITE)

    (item,) = server.requests[0].json["input"]
    assert ["image"] == list(item)
    assert item["image"].startswith("data:image/png;base64,iVBOR")


def test_vectors_of_images_are_asked_for_eight_at_a_time(server: FaultServer) -> None:
    server.answer_with(
        lambda request: Reply(
            200,
            JSON,
            json.dumps({"data": [{"embedding": [0.5]} for _ in request.json["input"]]}).encode(),
        )
    )

    assert [[0.5]] * 9 == module(server, type="cross_modal_embed")(["text"] * 9)
    assert [1, 8] == sorted(len(request.json["input"]) for request in server.requests)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, "FunAudioLLM/CosyVoice2-0.5B:alex"),
        ({"voice": "anna"}, "FunAudioLLM/CosyVoice2-0.5B:anna"),
        ({"voice": "FunAudioLLM/CosyVoice2-0.5B:bella"}, "FunAudioLLM/CosyVoice2-0.5B:bella"),
        ({"voice": "speech:mine:x:y"}, "speech:mine:x:y"),
        ({"references": [{"audio": "https://x/a.mp3", "text": "a"}]}, None),
    ],
)
def test_a_bare_voice_gets_the_model_before_it(
    given: dict[str, Any], sent: str | None, server: FaultServer
) -> None:
    server.answer(Reply(200, {"content-type": "audio/mpeg"}, b"ID3"))

    sound = module(server, type="tts")("hi", **given)

    body = server.requests[0].json
    assert b"ID3" == sound.data
    assert sent == body.get("voice")
    assert given.get("references") == body.get("references")


def test_a_voice_and_references_are_refused_together(server: FaultServer) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        module(server, type="tts")("hi", voice="anna", references=[])

    assert [] == server.requests


def test_a_transcript_takes_no_option(server: FaultServer) -> None:
    with pytest.raises(UnknownOption, match="language"):
        module(server, type="stt")(files=[SOUND], language="zh")


def test_pictographs_of_other_speech_models_are_kept(server: FaultServer) -> None:
    server.answer(Reply(200, JSON, '{"text": "😊 hello"}'.encode()))

    assert "😊 hello" == module(server, "TeleAI/TeleSpeechASR")(files=[SOUND])


def test_kolors_draws_up_to_four_images_in_one_request(server: FaultServer) -> None:
    server.answer_with(draws)

    images = module(server, type="text2image")("cat", n=6, seed=7)

    common = {"model": "Kwai-Kolors/Kolors", "prompt": "cat", "image_size": "1024x1024"}
    assert ["image/png"] * 6 == [image.mime for image in images]
    assert [
        {**common, "seed": 7, "batch_size": 4},
        {**common, "seed": 11, "batch_size": 2},
    ] == drawn(server)


def test_models_that_draw_one_image_get_a_request_for_each(server: FaultServer) -> None:
    server.answer_with(draws)

    images = module(server, "Qwen/Qwen-Image")("cat", n=2, seed=7, size="1328x1328", cfg=4.0)

    common = {"model": "Qwen/Qwen-Image", "prompt": "cat", "image_size": "1328x1328", "cfg": 4.0}
    assert 2 == len(images)
    assert [{**common, "seed": 7}, {**common, "seed": 8}] == drawn(server)


@pytest.mark.parametrize("odd", [{"tokens": 3}, {"meta": []}, {"tokens": {}}, {"meta": {}}])
def test_a_ranking_does_not_hang_on_its_usage(odd: dict[str, Any], server: FaultServer) -> None:
    ranking = {"results": [{"index": 0, "relevance_score": 0.5}], **odd}
    server.answer(Reply(200, JSON, json.dumps(ranking).encode()))

    assert [(0, 0.5)] == module(server, type="rerank")("q", documents=["a"])


@pytest.mark.parametrize("n", [0, -1, "2", 1.5, True])
def test_a_number_of_images_is_a_whole_number_from_1(n: object, server: FaultServer) -> None:
    with pytest.raises(ConfigError, match="counts images from 1"):
        module(server, type="text2image")("cat", n=n)

    assert [] == server.requests


def test_several_images_to_edit_are_numbered(server: FaultServer) -> None:
    server.answer_with(draws)

    module(server, type="image_editing")("blue", files=[KITE, "https://x/b.png"], cfg=4.0)

    (body,) = drawn(server)
    assert body.pop("image").startswith("data:image/png;base64,iVBOR")
    assert {
        "model": "Qwen/Qwen-Image-Edit-2509",
        "prompt": "blue",
        "cfg": 4.0,
        "image2": "https://x/b.png",
    } == body


@pytest.mark.parametrize("count", [0, 4])
def test_one_to_three_images_are_edited(count: int, server: FaultServer) -> None:
    with pytest.raises(ConfigError, match=f"1 to 3 images, and got {count}"):
        module(server, type="image_editing")("blue", files=[KITE] * count)

    assert [] == server.requests


def test_a_mask_is_unsupported(server: FaultServer) -> None:
    with pytest.raises(Unsupported, match="no mask"):
        module(server, type="image_editing")("blue", files=[KITE], mask=KITE)


@pytest.mark.parametrize(
    ("model", "option"),
    [
        ("BAAI/bge-m3", {"dimensions": 8}),
        ("netease-youdao/bce-embedding-base_v1", {"dimensions": 8}),
        ("Kwai-Kolors/Kolors", {"cfg": 4.0}),
        ("Qwen/Qwen-Image", {"guidance_scale": 7.5}),
        ("Qwen/Qwen-Image-Edit", {"size": "1024x1024"}),
    ],
)
def test_what_a_model_refuses_is_not_sent(
    model: str, option: dict[str, Any], server: FaultServer
) -> None:
    with pytest.raises(Unsupported, match=next(iter(option))):
        module(server, model)("cat", **option)

    assert [] == server.requests


def test_the_trace_id_of_the_provider_is_the_errors_request_id(server: FaultServer) -> None:
    server.answer(Reply(401, {**JSON, "x-siliconcloud-trace-id": "ti_1"}, b'"Invalid token"'))

    with pytest.raises(AuthRefused) as caught:
        module(server)("hi")

    assert "ti_1" == caught.value.request_id


@pytest.mark.parametrize(
    ("model", "type"),
    [
        ("Qwen/Qwen3-8B", "llm"),
        ("Pro/deepseek-ai/DeepSeek-V3.2", "llm"),
        ("Pro/zai-org/GLM-5.2", "llm"),
        ("moonshotai/Kimi-K2-Instruct-0905", "llm"),
        ("ft:LoRA/Qwen/Qwen2.5-7B-Instruct:user:name:suffix", "llm"),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", "vlm"),
        ("THUDM/GLM-4.1V-9B-Thinking", "vlm"),
        ("deepseek-ai/deepseek-vl2", "vlm"),
        ("Qwen/Qwen3.6-35B-A3B", "vlm"),
        ("deepseek-ai/DeepSeek-OCR", "vlm"),
        ("Pro/BAAI/bge-m3", "embed"),
        ("netease-youdao/bce-embedding-base_v1", "embed"),
        ("Qwen/Qwen3-Embedding-0.6B", "embed"),
        ("Qwen/Qwen3-VL-Embedding-8B", "cross_modal_embed"),
        ("Pro/BAAI/bge-reranker-v2-m3", "rerank"),
        ("netease-youdao/bce-reranker-base_v1", "rerank"),
        ("Qwen/Qwen3-VL-Reranker-8B", "rerank"),
        ("FunAudioLLM/SenseVoiceSmall", "stt"),
        ("TeleAI/TeleSpeechASR", "stt"),
        ("fnlp/MOSS-TTSD-v0.5", "tts"),
        ("IndexTeam/IndexTTS-2", "tts"),
        ("Qwen/Qwen-Image", "text2image"),
        ("Qwen/Qwen-Image-Edit-2509", "image_editing"),
    ],
)
def test_a_models_name_tells_its_type(model: str, type: str) -> None:
    assert type == installed().provider("siliconflow").type_of(model)


def test_the_other_site_is_a_region() -> None:
    model = modelplug.OnlineModule(source="siliconflow", region="intl", api_key="KEY")

    assert "https://api.siliconflow.com/v1" == model.url
