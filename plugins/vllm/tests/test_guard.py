"""The token is asked for on every route but the two that only say that it lives."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Callable
from typing import Any

import pytest

from modelplug_vllm.plans import GUARD

Answer = list[dict[str, Any]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """`ask(path, authorization)`: what the server sends; the application says "let in"."""
    monkeypatch.setenv("VLLM_API_KEY", "canary")
    spec = importlib.util.spec_from_file_location("token_only", GUARD / "token_only.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"let in": scope.get("path")})

    def ask(path: str, authorization: bytes | None = None, type: str = "http") -> Answer:
        sent: Answer = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = [] if authorization is None else [(b"authorization", authorization)]
        scope = {"type": type, "path": path, "headers": headers}
        asyncio.run(module.TokenOnly(application)(scope, None, send))
        return sent

    return ask


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/invocations", "/metrics", "/tokenize", "/docs", "/"]
)
def test_a_route_is_closed_without_the_token(ask: Callable[..., Answer], path: str) -> None:
    for given in (None, b"", b"Bearer wrong", b"canary", b"Bearer canaryX"):
        head, body = ask(path, given)

        assert 401 == head["status"]
        assert "invalid_api_key" == json.loads(body["body"])["error"]["code"]
    assert [{"let in": path}] == ask(path, b"Bearer canary")


def test_its_health_is_open(ask: Callable[..., Answer]) -> None:
    assert [{"let in": "/health"}] == ask("/health")


def test_a_websocket_is_closed_without_the_token(ask: Callable[..., Answer]) -> None:
    assert [{"type": "websocket.close", "code": 1008}] == ask("/v1/realtime", type="websocket")


def test_what_is_no_request_passes(ask: Callable[..., Answer]) -> None:
    assert [{"let in": ""}] == ask("", type="lifespan")
