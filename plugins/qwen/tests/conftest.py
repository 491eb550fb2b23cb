"""What the tests share: codecs made as the core makes them, and flows driven by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from modelplug.errors import ModelplugError
from modelplug.media import Media
from modelplug.plugins import installed
from modelplug.testing import block_network
from modelplug.types import Endpoint, ModelType, Secret
from modelplug.wire import Request, Response

HOST = "https://dashscope.aliyuncs.com"


@dataclass
class Played:
    """A flow that was driven to its end: what it asked for, and its result or its error."""

    sent: list[Request] = field(default_factory=list)
    result: Any = None
    error: ModelplugError | None = None

    @property
    def addresses(self) -> list[str]:
        return [f"{request.method} {request.url.removeprefix(HOST)}" for request in self.sent]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.body) if request.body else None for request in self.sent]


def reply(body: object, status: int = 200) -> Response:
    """A reply of JSON, of the bytes of a file, or of a file with its type."""
    if isinstance(body, Media):
        return Response(status, {"content-type": body.mime}, body.data)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"content-type": "application/json"}, data)


def drive(flow: Any, *replies: Any) -> Played:
    """*flow* with each of *replies* for one of its requests: a body, or (status, body)."""
    played, left = Played(), list(replies)
    try:
        request = next(flow)
        while True:
            played.sent.append(request)
            body = left.pop(0)
            answer = reply(body[1], body[0]) if isinstance(body, tuple) else reply(body)
            request = flow.send(answer)
    except StopIteration as stop:
        played.result = stop.value
    except ModelplugError as error:
        played.error = error
    assert [] == left, "fewer requests were sent than replies are there"
    return played


def make(type: str, model: str | None = None, url: str | list[str] = HOST) -> Any:
    """The codec for *model*, with what the manifest says of it."""
    provider = installed().provider("qwen")
    name = model or provider.types[type]
    does, found, quirks = provider.for_model(name)
    endpoint = Endpoint(
        provider="qwen",
        model=name,
        url=url,
        api_key=[Secret("KEY")],
        does=does,
        limits=found,
        quirks=quirks,
        codes=provider.codes,
    )
    return installed().create_online("qwen", endpoint, ModelType.parse(type))


@pytest.fixture
def codec() -> Callable[..., Any]:
    """Makes codecs: `codec("llm", "qwen3-8b")`."""
    return make


@pytest.fixture
def play() -> Callable[..., Played]:
    """Drives flows: `play(flow, reply, ...)`."""
    return drive


@pytest.fixture(autouse=True)
def _nothing_leaves(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("DASHSCOPE_HTTP_BASE_URL", "DASHSCOPE_COMPATIBLE_BASE_URL", "DASHSCOPE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with block_network():
        yield
