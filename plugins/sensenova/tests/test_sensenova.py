"""SenseNova keeps the contract at each of its services, and each of its quirks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import modelplug
from modelplug.errors import AuthRefused, ConfigError, MissingKey, UnknownOption, Unsupported
from modelplug.plugins import installed
from modelplug.testing import FaultServer, OnlineContract, Reply
from modelplug.types import ChatCall, Endpoint, Secret
from modelplug_sensenova.chat import PlanChat
from modelplug_sensenova.codec import Service, service_of, web_token

REPLIES = Path(__file__).parent / "replies"
KITE = REPLIES / "plan/inputs/kite.png"
PNG = KITE.read_bytes()
URI = "data:image/png;base64," + base64.b64encode(PNG).decode()
JSON = {"content-type": "application/json"}
CHAT = Reply(200, JSON, (REPLIES / "plan/chat-none.json").read_bytes())
PICTURE = Reply(200, JSON, (REPLIES / "plan/text2image.json").read_bytes())
Variables = Callable[[Mapping[str, str]], None]


class NovaContract(OnlineContract):
    plugin = "sensenova"

    def embed_reply(self, vectors: Sequence[Sequence[float]]) -> Reply:
        items = [{"index": at, "embedding": v, "status_code": 0} for at, v in enumerate(vectors)]
        usage = [{"prompt_tokens": 1, "total_tokens": 1} for _ in vectors]
        return Reply(200, JSON, json.dumps({"embeddings": items, "usage": usage}).encode())


class TestTokenPlan(NovaContract):
    replies = REPLIES / "plan"


class TestClassic(NovaContract):
    replies = REPLIES / "classic"
    wire = "own"
    base_path = "/compatible-mode/v1"
    model = "SenseNova-V6-5-Pro"
    models = {"vlm": "SenseNova-V6-5-Turbo"}


class TestNative(NovaContract):
    replies = REPLIES / "native"
    wire = "own"
    base_path = "/v1/llm"
    model = "nova-ptc-xl-v1"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    """Sets these variables, and unsets the others that hold a key or address of SenseNova's."""

    def only(given: Mapping[str, str]) -> None:
        for name in (
            "SENSENOVA_API_KEY SN_API_KEY SENSENOVA_ACCESS_KEY_ID SENSENOVA_SECRET_ACCESS_KEY "
            "SENSENOVA_API_BASE MODELPLUG_SENSENOVA_API_KEY MODELPLUG_SENSENOVA_BASE_URL "
            "LAZYLLM_SENSENOVA_API_KEY LAZYLLM_SENSENOVA_BASE_URL"
        ).split():
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    return only


def module(
    server: FaultServer,
    model: str | None = None,
    type: str | None = None,
    path: str = "/v1",
    **options: Any,
) -> modelplug.OnlineModule:
    given = {"api_key": "sk-1", **options}
    return modelplug.OnlineModule(model, "sensenova", type=type, url=server.origin + path, **given)


def decoded(token: str) -> tuple[dict[str, Any], dict[str, Any], str, bytes]:
    """(header, claims, what was signed, signature) of a JWT."""
    head, claims, signature = (
        base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")
    )
    return json.loads(head), json.loads(claims), token.rpartition(".")[0], signature


# Keys.


def test_a_token_is_signed_for_half_an_hour() -> None:
    head, claims, signed, signature = decoded(web_token("ak", "sk", 1000.9))

    assert {"alg": "HS256", "typ": "JWT"} == head
    assert {"iss": "ak", "exp": 2800, "nbf": 995} == claims
    assert hmac.new(b"sk", signed.encode(), hashlib.sha256).digest() == signature


def test_a_key_of_two_parts_signs_a_token_anew_for_each_try() -> None:
    clock = iter([1000.0, 5000.0])
    endpoint = Endpoint("sensenova", "m", url="http://x/v1", api_key=Secret("ak:sk"))
    codec = PlanChat(endpoint, now=lambda: next(clock))
    request = codec.build_request(ChatCall("m", [{"role": "user", "content": "hi"}]))

    tokens = [codec.sign(request).auth for _ in range(2)]

    assert Secret("ak:sk") == request.auth
    assert [Secret(web_token("ak", "sk", now)) for now in (1000, 5000)] == tokens


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_key_of_two_parts_is_not_sent(asynchronous: bool, server: FaultServer) -> None:
    server.answer(CHAT)
    model = module(server, "SenseChat-5", api_key="ak:s3cret")

    assert "4" == (asyncio.run(model.acall("hi")) if asynchronous else model("hi"))

    (request,) = server.requests
    token = request.headers["authorization"].removeprefix("Bearer ")
    _, claims, signed, signature = decoded(token)
    assert "ak" == claims["iss"]
    assert hmac.new(b"s3cret", signed.encode(), hashlib.sha256).digest() == signature
    assert "s3cret" not in f"{request.headers} {request.body!r} {request.path}"


def test_a_stream_has_a_signed_token_as_well(server: FaultServer) -> None:
    server.answer(
        Reply(200, {"content-type": "text/event-stream"}, (REPLIES / "plan/chat.sse").read_bytes())
    )

    assert "4 is it" == "".join(module(server, api_key="ak:s3cret").stream("hi"))
    assert server.requests[0].headers["authorization"].startswith("Bearer eyJ")


def test_a_plain_key_is_the_bearer(server: FaultServer) -> None:
    server.answer(CHAT)

    module(server, api_key="sk-1")("hi")

    assert "Bearer sk-1" == server.requests[0].headers["authorization"]


def test_two_keys_of_two_parts_take_turns(server: FaultServer) -> None:
    server.answer(Reply(429, JSON, (REPLIES / "plan/error-429.json").read_bytes()), CHAT)

    assert "4" == module(server, api_key=["a1:s1", "a2:s2"])("hi")
    assert ["a1", "a2"] == [
        decoded(request.headers["authorization"].removeprefix("Bearer "))[1]["iss"]
        for request in server.requests
    ]


def test_a_secret_and_its_token_are_in_no_error(server: FaultServer) -> None:
    token = web_token("ak", "s3cret", 1000)
    body = json.dumps({"error": {"message": f"{token} by s3cret", "code": "16"}}).encode()
    server.answer(Reply(401, JSON, body))

    with pytest.raises(AuthRefused) as caught:
        module(server, "SenseChat-5", api_key="ak:s3cret")("hi")

    assert "sensenova answered 401: *** by ***" == str(caught.value)


def test_the_token_plan_says_which_keys_it_takes(server: FaultServer) -> None:
    server.answer(Reply(401, JSON, (REPLIES / "plan/error-401.json").read_bytes()))

    with pytest.raises(AuthRefused, match="bad key; this service takes keys that begin with sk-"):
        module(server, api_key="ak:s3cret")("hi")


def test_two_variables_make_one_key(variables: Variables) -> None:
    variables({"SENSENOVA_ACCESS_KEY_ID": "ak", "SENSENOVA_SECRET_ACCESS_KEY": "sk"})

    assert Secret("ak:sk") == modelplug.OnlineModule("SenseChat-5", "sensenova").api_key


def test_half_a_key_is_none(variables: Variables) -> None:
    variables({"SENSENOVA_ACCESS_KEY_ID": "ak"})

    with pytest.raises(MissingKey, match="SENSENOVA_API_KEY"):
        modelplug.OnlineModule("SenseChat-5", "sensenova")


# Services.


@pytest.mark.parametrize(
    ("model", "url"),
    [
        (None, "https://token.sensenova.cn/v1"),
        ("sensenova-6.8-flash-lite", "https://token.sensenova.cn/v1"),
        ("sensenova-u1.5-lite", "https://token.sensenova.cn/v1"),
        ("deepseek-v4-pro", "https://token.sensenova.cn/v1"),
        ("SenseNova-V6-5-Pro", "https://api.sensenova.cn/compatible-mode/v1"),
        ("SenseChat-5", "https://api.sensenova.cn/compatible-mode/v1"),
        ("nova-ptc-xl-v1", "https://api.sensenova.cn/v1/llm"),
        ("nova-embedding-stable", "https://api.sensenova.cn/v1/llm"),
    ],
)
def test_a_models_name_tells_its_address(model: str | None, url: str, variables: Variables) -> None:
    variables({"SENSENOVA_API_KEY": "sk-1"})

    assert url == modelplug.OnlineModule(model, "sensenova").url


def test_the_seeds_first_lines_reach_the_classic_service(
    variables: Variables, server: FaultServer
) -> None:
    server.answer(Reply(200, JSON, (REPLIES / "classic/chat.json").read_bytes()))
    base = server.origin + "/compatible-mode/v1"
    variables({"SENSENOVA_API_KEY": "sk-1", "MODELPLUG_SENSENOVA_BASE_URL": base})

    llm = modelplug.AutoModel(source="sensenova", model="SenseNova-V6-5-Pro")

    assert "四 等于 四" == llm("你好，简单介绍一下你自己。")
    assert {
        "model": "SenseNova-V6-5-Pro",
        "messages": [{"role": "user", "content": "你好，简单介绍一下你自己。"}],
    } == server.requests[0].json


@pytest.mark.parametrize(
    ("url", "model", "service"),
    [
        ("https://token.sensenova.cn/v1", "sensenova-6.8-flash-lite", Service.PLAN),
        ("https://token.sensenova.cn/v1", "glm-5.2", Service.PLAN),
        ("https://api.sensenova.cn/compatible-mode/v2", "my-tuned-model", Service.CLASSIC),
        ("https://api.sensenova.cn/compatible-mode/v1", "nova-ptc-s-v2", Service.CLASSIC),
        ("https://chatapi.sensenova.cn/v1/llm/", "SenseChat-5", Service.NATIVE),
        ("http://127.0.0.1:9/v1", "SenseNova-V6-5-Pro", Service.CLASSIC),
        ("http://127.0.0.1:9/v1", "nova-ptc-xl-v1", Service.NATIVE),
    ],
)
def test_the_wire_is_the_addresss_and_else_the_models(
    url: str, model: str, service: Service
) -> None:
    assert service is service_of(Endpoint("sensenova", model, url=url))


def test_a_classic_model_speaks_the_native_wire_at_its_address(server: FaultServer) -> None:
    server.answer(Reply(200, JSON, (REPLIES / "native/chat.json").read_bytes()))

    assert "4 is it" == module(server, "SenseChat-5", path="/v1/llm")("2+2?")
    assert "/v1/llm/chat-completions" == server.requests[0].path


# Chat.


@pytest.mark.parametrize("option", ["max_completion_tokens", "store", "user", "logprobs"])
def test_a_field_that_the_token_plan_does_not_list_is_unknown(
    option: str, server: FaultServer
) -> None:
    with pytest.raises(UnknownOption, match=option):
        module(server)("hi", **{option: 1})

    assert [] == server.requests


def test_thinking_is_for_hosted_models(server: FaultServer) -> None:
    server.answer(CHAT)

    module(server, "glm-5.2", "llm")("hi", thinking={"type": "disabled"})

    assert {"type": "disabled"} == server.requests[0].json["thinking"]
    with pytest.raises(Unsupported, match="thinking"):
        module(server)("hi", thinking={"type": "disabled"})


def test_the_role_developer_becomes_system(server: FaultServer) -> None:
    server.answer(CHAT)

    module(server)(
        [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "hi"}]
    )

    assert ["system", "user"] == [m["role"] for m in server.requests[0].json["messages"]]


@pytest.mark.parametrize(("model", "back"), [("deepseek-v4-pro", "hm"), ("glm-5.2", None)])
def test_hosted_models_that_call_tools_get_their_thoughts_back(
    model: str, back: str | None, server: FaultServer
) -> None:
    server.answer(CHAT)
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    module(server, model, "llm")(
        [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "tool_calls": [call], "reasoning_content": "hm"},
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
        ]
    )

    assert back == server.requests[0].json["messages"][1].get("reasoning_content")


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        ({"type": "text", "text": "a"}, {"type": "text", "text": "a"}),
        (
            {"type": "image_url", "image_url": "https://x/a.png"},
            {"type": "image_url", "image_url": "https://x/a.png"},
        ),
        (
            {"type": "image_url", "image_url": {"url": URI}},
            {"type": "image_base64", "image_base64": URI.partition(",")[2]},
        ),
        (
            {"type": "image_file_id", "image_file_id": "f1"},
            {"type": "image_file_id", "image_file_id": "f1"},
        ),
    ],
)
def test_classic_models_take_images_in_a_form_of_their_own(
    part: dict[str, Any], sent: dict[str, Any], server: FaultServer
) -> None:
    server.answer(CHAT)

    module(server, "SenseNova-V6-5-Turbo")([{"role": "user", "content": [part]}])

    assert [sent] == server.requests[0].json["messages"][0]["content"]


def test_the_native_wire_has_no_tools(server: FaultServer) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}

    with pytest.raises(Unsupported, match="no tools at"):
        module(server, "SenseChat-5", path="/v1/llm")("hi", tools=[tool])

    assert [] == server.requests


# Embeddings and images.


def test_a_text_that_was_not_embedded_is_an_error(server: FaultServer) -> None:
    items = [{"index": 0, "embedding": [0.1]}, {"index": 1, "status_code": 16}]
    server.answer(Reply(200, JSON, json.dumps({"embeddings": items}).encode()))

    with pytest.raises(AuthRefused, match="text 1 was not embedded"):
        module(server, type="embed")(["a", "b"])


def test_several_images_are_as_many_requests(server: FaultServer) -> None:
    server.answer(PICTURE)

    images = module(server, type="text2image")("kite", n=2)

    assert [PNG, PNG] == [image.data for image in images]
    assert [{"model": "sensenova-u1.5-lite", "prompt": "kite"}] * 2 == [
        request.json for request in server.requests
    ]


def test_the_first_of_several_images_is_changed(server: FaultServer) -> None:
    server.answer(PICTURE)

    module(server, type="image_editing")("blue", files=[KITE, "https://x/b.png"], n=1)

    assert "application/json" == server.requests[0].headers["content-type"]
    assert {
        "model": "sensenova-u1.5-lite",
        "prompt": "blue",
        "images": [{"image_url": URI}, {"image_url": "https://x/b.png"}],
    } == server.requests[0].json


def test_the_older_model_takes_images_in_numbered_fields(server: FaultServer) -> None:
    server.answer(Reply(200, {"content-type": "image/png"}, PNG), PICTURE)
    model = module(server, "sensenova-u1-fast", "image_editing")

    model("blue", files=[KITE, server.origin + "/b.png"], size="2048x2048")

    fetched, asked = server.requests
    assert "/b.png" == fetched.path
    assert "/v1/images/generations" == asked.path
    assert {
        "model": "sensenova-u1-fast",
        "prompt": "blue",
        "size": "2048x2048",
        "image": URI,
        "image2": URI,
    } == asked.json
    with pytest.raises(Unsupported, match="response_format"):
        model("blue", files=[KITE], response_format="b64_json")


@pytest.mark.parametrize("count", [0, 6])
def test_one_to_five_images_are_edited(count: int, server: FaultServer) -> None:
    with pytest.raises(ConfigError, match=f"1 to 5 images, and got {count}"):
        module(server, type="image_editing")("blue", files=[KITE] * count)

    assert [] == server.requests


def test_a_mask_is_unsupported(server: FaultServer) -> None:
    with pytest.raises(Unsupported, match="no mask"):
        module(server, type="image_editing")("blue", files=[KITE], mask=KITE)


@pytest.mark.parametrize(
    ("model", "type"),
    [
        ("sensenova-6.8-flash-lite", "vlm"),
        ("SenseNova-V6-5-Pro", "vlm"),
        ("SenseNova-V6-Reasoner", "vlm"),
        ("SenseChat-Vision", "vlm"),
        ("SenseChat-5-1202", "llm"),
        ("SenseChat-Character-Pro", "llm"),
        ("nova-ptc-s-v2", "llm"),
        ("nova-embedding-stable", "embed"),
        ("sensenova-u1.5-fast", "text2image"),
        ("sensenova-u1-fast", "text2image"),
        ("deepseek-v4-flash", None),
    ],
)
def test_a_models_name_tells_its_type(model: str, type: str | None) -> None:
    assert type == installed().provider("sensenova").type_of(model)
