"""Images: at once or as tasks, drawn or changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

import modelplug
from modelplug.errors import BadReply, ConfigError, PermissionRefused, Unsupported
from modelplug.media import Media, Remote
from modelplug.testing import FaultServer, Reply
from modelplug.types import ImageCall

PNG = Media(b"\x89PNG\r\n\x1a\n", "image/png")
PNG_URI = "data:image/png;base64,iVBORw0KGgo="
AT_ONCE = "POST /api/v1/services/aigc/multimodal-generation/generation"
NEW_TASK = "POST /api/v1/services/aigc/image-generation/generation"
OLD_TASK = "POST /api/v1/services/aigc/text2image/image-synthesis"
POLL = "GET /api/v1/tasks/t1"
SUBMITTED = {"output": {"task_id": "t1", "task_status": "PENDING"}, "request_id": "r"}
RUNNING = {"output": {"task_id": "t1", "task_status": "RUNNING"}}
WRONG_STYLE = (
    403,
    {"code": "AccessDenied", "message": "current user api does not support this call."},
)


def ended(*results: dict[str, str]) -> dict[str, Any]:
    output = {"task_id": "t1", "task_status": "SUCCEEDED", "results": list(results)}
    return {"output": output, "usage": {"image_count": len(results)}}


def drawn(*urls: str) -> dict[str, Any]:
    content = [{"image": url} for url in urls]
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    return {"output": {"task_status": "SUCCEEDED", "choices": [choice]}, "request_id": "r"}


ONE = ended({"url": "https://oss.invalid/i.png"})


def test_an_older_model_draws_as_a_task(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    options = {"size": "1024*1024", "n": 1, "negative_prompt": "dogs"}
    call = ImageCall("wan2.2-t2i-flash", "cat", options=options)

    played = play(codec("text2image", call.model).flow(call), SUBMITTED, RUNNING, ONE, PNG)

    assert [OLD_TASK, POLL, POLL, "GET https://oss.invalid/i.png"] == played.addresses
    assert {
        "model": "wan2.2-t2i-flash",
        "input": {"prompt": "cat", "negative_prompt": "dogs"},
        "parameters": {"size": "1024*1024", "n": 1},
    } == played.bodies[0]
    asked = [request.headers.get("x-dashscope-async") for request in played.sent]
    assert ["enable", None, None, None] == asked
    assert played.sent[3].auth is None
    assert PNG == played.result.value


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_task_is_waited_for_through_the_public_face(asynchronous: bool) -> None:
    with FaultServer() as server:
        bodies = [SUBMITTED, ended({"url": server.origin + "/i.png"})]
        replies = [
            Reply(200, {"content-type": "application/json"}, json.dumps(body).encode())
            for body in bodies
        ]
        server.answer(*replies, Reply(200, {"content-type": "image/png"}, PNG.data))
        model = modelplug.OnlineModule(
            "wanx2.1-t2i-turbo", source="qwen", url=server.origin, api_key="k"
        )

        image = asyncio.run(model.acall("cat")) if asynchronous else model("cat")

        assert PNG == image
        assert 3 == len(server.requests)


def test_an_image_that_failed_among_others_is_a_note(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    call = ImageCall("wan2.2-t2i-flash", "cat", options={"n": 2})
    partly = ended({"url": "https://o.invalid/i"}, {"code": "InternalError", "message": "m"})

    played = play(codec("text2image", call.model).flow(call), SUBMITTED, partly, PNG)

    assert PNG == played.result.value
    assert ("InternalError: m",) == played.result.notes


def test_a_task_is_picked_up_again(codec: Callable[..., Any], play: Callable[..., Any]) -> None:
    call = ImageCall("wan2.2-t2i-flash", "", resume="t1")

    played = play(codec("text2image", call.model).flow(call), ONE, PNG)

    assert [POLL, "GET https://oss.invalid/i.png"] == played.addresses


@pytest.mark.parametrize("status", ["text2image", "image_editing"])
def test_an_image_that_cannot_be_fetched_leaves_the_id_of_the_task(
    status: str, codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    call = ImageCall("wan2.2-t2i-flash", "", resume="t1")

    played = play(codec(status, call.model).flow(call), ONE, (403, b"expired"))

    assert isinstance(played.error, PermissionRefused)
    assert "t1" == played.error.task


@pytest.mark.parametrize(
    ("model", "ways", "replies"),
    [
        ("qwen-image", [AT_ONCE, NEW_TASK], [SUBMITTED, drawn("https://oss.invalid/i.png")]),
        ("wan2.5-t2i-preview", [OLD_TASK, AT_ONCE], [drawn("https://oss.invalid/i.png")]),
    ],
)
def test_a_model_that_wants_the_other_style_gets_it(
    model: str,
    ways: list[str],
    replies: list[Any],
    codec: Callable[..., Any],
    play: Callable[..., Any],
) -> None:
    flow = codec("text2image", model).flow(ImageCall(model, "cat"))

    played = play(flow, WRONG_STYLE, *replies, PNG)

    assert ways == played.addresses[:2]
    assert PNG == played.result.value


def test_the_style_is_switched_once_and_the_first_refusal_told(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    second = (403, {"code": "AccessDenied", "message": "neither"})

    played = play(
        codec("text2image").flow(ImageCall("qwen-image-plus", "cat")), WRONG_STYLE, second
    )

    assert isinstance(played.error, PermissionRefused)
    assert "does not support" in str(played.error)


def test_another_refusal_is_not_tried_in_the_other_style(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    refusal = (403, {"code": "AccessDenied.Unpurchased", "message": "buy it"})

    played = play(codec("text2image").flow(ImageCall("qwen-image-plus", "cat")), refusal)

    assert "AccessDenied.Unpurchased" == played.error.code


@pytest.mark.parametrize(
    "body",
    [
        {"output": {"choices": []}},
        {"output": {"choices": [{"message": {"content": "text"}}]}},
        {"output": {"results": [{"code": "InternalError", "message": "m"}]}},
        {"output": None},
    ],
)
def test_a_reply_without_images_is_a_bad_reply(
    body: object, codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    played = play(codec("text2image").flow(ImageCall("qwen-image-plus", "cat")), body)

    assert isinstance(played.error, BadReply)
    assert (200, "qwen") == (played.error.status, played.error.provider)


# Images that are changed.


def test_images_stand_before_the_prompt(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    images = [PNG, Remote("https://x.invalid/b.png")]
    call = ImageCall("qwen-image-edit-plus", "blue", images)

    played = play(codec("image_editing").flow(call), drawn("https://o.invalid/e.png"), PNG)

    content = [{"image": PNG_URI}, {"image": "https://x.invalid/b.png"}, {"text": "blue"}]
    assert {
        "model": "qwen-image-edit-plus",
        "input": {"messages": [{"role": "user", "content": content}]},
    } == played.bodies[0]


@pytest.mark.parametrize(
    ("model", "source"),
    [
        (
            "wanx2.1-imageedit",
            {
                "function": "description_edit",
                "prompt": "blue",
                "base_image_url": "oss://d/file.png",
            },
        ),
        ("wan2.5-i2i-preview", {"prompt": "blue", "images": ["oss://d/file.png"]}),
    ],
)
def test_an_older_model_takes_the_address_of_an_upload(
    model: str, source: dict[str, Any], codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    policy = {
        "policy": "p",
        "signature": "s",
        "upload_dir": "d",
        "upload_host": "https://h.invalid",
        "oss_access_key_id": "a",
    }
    flow = codec("image_editing", model).flow(ImageCall(model, "blue", [PNG]))

    played = play(flow, {"data": policy}, b"", SUBMITTED, ONE, PNG)

    assert "POST /api/v1/services/aigc/image2image/image-synthesis" == played.addresses[2]
    assert {"model": model, "input": source} == played.bodies[2]
    assert {"x-dashscope-async", "x-dashscope-ossresourceresolve"} < set(played.sent[2].headers)


def test_the_function_of_an_older_model_can_be_chosen(
    codec: Callable[..., Any], play: Callable[..., Any]
) -> None:
    options = {"function": "super_resolution", "n": 1}
    call = ImageCall("wanx2.1-imageedit", "sharp", [Remote("https://x.invalid/a")], None, options)

    played = play(codec("image_editing", call.model).flow(call), (400, {}))

    assert "super_resolution" == played.bodies[0]["input"]["function"]
    assert {"n": 1} == played.bodies[0]["parameters"]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (ImageCall("qwen-image-edit-plus", "blue"), ConfigError, "at least one image"),
        (ImageCall("qwen-image-edit-plus", "blue", [PNG], PNG), Unsupported, "mask="),
        (
            ImageCall("wanx2.1-imageedit", "b", [Remote("https://x.y/a")] * 2),
            ConfigError,
            "one image at a time",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    call: ImageCall, error: type[Exception], says: str, codec: Callable[..., Any]
) -> None:
    with pytest.raises(error, match=says):
        next(codec("image_editing", call.model).flow(call))
