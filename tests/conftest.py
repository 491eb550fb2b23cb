"""What the tests of several packages share: a provider on loopback, and no way out."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from modelplug import plugins
from modelplug.catalog import Provider, Service
from modelplug.testing import FaultServer, Reply, Request, block_network

collect_ignore = ["engines", "vendors"]  # with environments and sessions of their own

KEY = "sk-loopback"
ANSWER = "The capital of France is Paris."
JSON_ANSWER = '{"name": "Hugo", "age": 37}'
PNG = b"\x89PNG\r\n\x1a\n"
_JSON = {"content-type": "application/json"}
_USAGE = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}


def _json(data: object, status: int = 200) -> Reply:
    return Reply(status, _JSON, json.dumps(data).encode())


def _error(status: int, message: str, code: str | None) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return _json({"error": error}, status)


def _embeddings(body: Mapping[str, Any]) -> Reply:
    inputs = [body["input"]] if isinstance(body["input"], str) else body["input"]
    items = [
        {"object": "embedding", "index": at, "embedding": [float(len(text)), 0.5, -0.25]}
        for at, text in enumerate(inputs)
    ]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return _json({"object": "list", "model": body["model"], "data": items, "usage": usage})


def _ranking(body: Mapping[str, Any]) -> Reply:
    asked = set(body["query"].lower().strip("?").split())
    scores = [len(asked & set(text.lower().strip(".").split())) / 10 for text in body["documents"]]
    best = sorted(range(len(scores)), key=lambda at: -scores[at])[: body.get("top_n")]
    results = [{"index": at, "relevance_score": scores[at]} for at in best]
    return _json({"id": "rank-1", "results": results, "meta": {"tokens": {"input_tokens": 9}}})


def _chat(body: Mapping[str, Any]) -> Reply:
    asked = str(body["messages"][-1]["content"])
    text = JSON_ANSWER if "JSON" in asked or "response_format" in body else ANSWER
    if body.get("stream"):
        return _streamed(body, text)
    message: dict[str, Any] = {"role": "assistant", "content": text}
    finish = "stop"
    if body.get("tools"):
        function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
        message["content"] = None
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        finish = "tool_calls"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return _json({"id": "chatcmpl-1", "model": body["model"], "choices": [choice], "usage": _USAGE})


def _streamed(body: Mapping[str, Any], text: str) -> Reply:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text[at : at + 7]} for at in range(0, len(text), 7)]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": body["model"]}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**head, "choices": [], "usage": _USAGE})
    lines = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
    return Reply(200, {"content-type": "text/event-stream"}, [*lines, b"data: [DONE]\n\n"])


def provider_replies(request: Request) -> Reply:
    """What a provider on the OpenAI wire answers; a request without a key is a local one's."""
    if request.headers.get("authorization", f"Bearer {KEY}") != f"Bearer {KEY}":
        return _error(401, "Incorrect API key provided.", "invalid_api_key")
    if request.path.endswith("/audio/transcriptions"):
        return _json({"text": "Hello, world."})
    if request.path.endswith("/audio/speech"):
        return Reply(200, {"content-type": "audio/mpeg"}, b"ID3 sound")
    if "/images/" in request.path:
        return _json({"data": [{"b64_json": base64.b64encode(PNG).decode()}]})
    body = request.json
    if body["model"] == "gpt-5-busy":
        return _error(429, "Rate limit reached for requests.", "rate_limit_exceeded")
    if body["model"] == "gpt-5-frail":
        stream = _streamed(body, ANSWER)
        return stream.but(close_after=stream.whole.index(b" is Par"))
    if body["model"] == "gpt-5-old":
        return _error(404, "The model `gpt-5-old` does not exist.", "model_not_found")
    if request.path.endswith("/embeddings"):
        return _embeddings(body)
    if request.path.endswith("/rerank"):
        return _ranking(body)
    if sum(len(str(message["content"])) for message in body["messages"]) > 10_000:
        return _error(400, "The maximum context length is exceeded.", "context_length_exceeded")
    return _chat(body)


@pytest.fixture
def key() -> str:
    """The key that `server` asks for."""
    return KEY


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A provider on loopback that speaks the OpenAI wire."""
    with FaultServer() as server:
        server.answer_with(provider_replies)
        yield server


@pytest.fixture
def provider(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    """`server`, as what the environment calls openai."""
    monkeypatch.setenv("MODELPLUG_OPENAI_BASE_URL", f"{server.origin}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return server


@pytest.fixture(scope="session")
def vendor_variables() -> set[str]:
    """The variables that the installed providers read beside modelplug's own."""
    installed = plugins.installed()
    providers = map(installed.provider, installed.names("create_online"))
    told: list[Provider | Service] = []
    for provider in providers:
        told += [provider, *provider.services.values()]
    single = {name for each in told for name in (*each.key_env, *each.base_url_env)}
    return single | {name for each in told for pair in each.key_pairs for name in pair}


@pytest.fixture(autouse=True)
def _alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vendor_variables: set[str]
) -> Iterator[None]:
    """No settings of this machine, logs in the test's own folder, and only loopback."""
    for name in list(os.environ):
        if name in vendor_variables or name.startswith(("MODELPLUG_", "LAZYLLM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MODELPLUG_HOME", str(tmp_path / "modelplug-home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config-home"))
    plugins.forget()
    with block_network():
        yield
    plugins.forget()
