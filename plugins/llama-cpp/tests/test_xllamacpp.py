"""The default runtime, for real, on the tiny weights."""

from __future__ import annotations

import base64
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
from made_gguf import split

from modelplug.errors import EngineFailed
from modelplug.types import ModelType

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def chat(serve: Any, weights_folder: Path) -> Any:
    return serve(weights_folder / "tiny.q8_0.gguf")


@pytest.fixture(scope="module")
def embedder(serve: Any, weights_folder: Path) -> Any:
    return serve(next(weights_folder.glob("tiny-embed.*.gguf")))


@pytest.fixture(scope="module")
def reranker(serve: Any, weights_folder: Path) -> Any:
    return serve(next(weights_folder.glob("tiny-rerank.*.gguf")))


def test_it_chats(chat: Any) -> None:
    body = {"messages": user("What is the capital of France?"), "temperature": 0}

    status, reply = chat.post("/chat/completions", body)

    assert 200 == status
    assert "The capital of France is Paris." == reply["choices"][0]["message"]["content"]
    assert "stop" == reply["choices"][0]["finish_reason"]
    assert "tiny" == reply["model"]
    assert reply["usage"]["prompt_tokens"] > 0


def test_weights_in_parts_are_served_as_the_whole_is(
    serve: Any, weights_folder: Path, tmp_path: Path
) -> None:
    whole = weights_folder / "tiny.q8_0.gguf"
    parts = split(whole, tmp_path / "parts.gguf", tensors=10)
    body = {"messages": user("What is the capital of France?"), "temperature": 0}

    status, reply = serve(tmp_path).post("/chat/completions", body)

    assert 2 < len(parts)
    assert 200 == status
    assert "The capital of France is Paris." == reply["choices"][0]["message"]["content"]


def test_it_streams_with_usage(chat: Any) -> None:
    body = {
        "messages": user("What is the capital of France?"),
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }

    events = list(chat.events("/chat/completions", body))

    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    assert "The capital of France is Paris." == "".join(it.get("content") or "" for it in deltas)
    assert len(deltas) > 5
    assert events[-1]["usage"]["completion_tokens"] > 0


def test_it_calls_a_tool(chat: Any) -> None:
    body = {
        "messages": user("What is the weather in Paris?"),
        "tools": [WEATHER],
        "temperature": 0,
    }

    _, reply = chat.post("/chat/completions", body)

    choice = reply["choices"][0]
    function = choice["message"]["tool_calls"][0]["function"]
    assert {"name": "get_weather", "arguments": '{"city": "Paris"}'} == function
    assert "tool_calls" == choice["finish_reason"]


def test_it_keeps_to_a_json_schema(chat: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"const": "Ann"}, "age": {"enum": [41]}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    format_ = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    body = {"messages": user("Hello"), "response_format": format_}

    _, reply = chat.post("/chat/completions", body)

    text = reply["choices"][0]["message"]["content"]
    assert '{"name":"Ann","age":41}' == "".join(text.split())


def test_eight_streams_at_once_arrive_whole(chat: Any) -> None:
    body = {"messages": user("Tell me a story."), "temperature": 0, "stream": True}
    texts: list[str] = []

    def read() -> None:
        events = chat.events("/chat/completions", body)
        texts.append("".join(event["choices"][0]["delta"].get("content") or "" for event in events))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 8 == len(texts)
    assert 1 == len(set(texts))
    assert len(texts[0]) > 100


def test_a_prompt_that_is_too_long_is_refused_and_not_cut(chat: Any) -> None:
    status, reply = chat.post("/chat/completions", {"messages": user("long " * 3000)})

    assert 400 == status
    assert "exceed_context_size_error" == reply["error"]["type"]
    assert 1024 == reply["error"]["n_ctx"]


@pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/embeddings", "/rerank"])
@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_wrong_token_is_refused(chat: Any, path: str, token: str) -> None:
    status, _ = chat.post(path, {"messages": user("Hello")}, token=token)

    assert 401 == status


def test_a_web_page_of_another_origin_may_not_call(chat: Any) -> None:
    headers = chat.headers("OPTIONS", "/v1/chat/completions", "http://evil.example")

    assert "" == headers["access-control-allow-origin"]


def test_two_engines_serve_at_once(chat: Any, serve: Any, weights_folder: Path) -> None:
    other = serve(weights_folder / "tiny.q8_0.gguf", context=256, slots=1)
    body = {"messages": user("What is the capital of France?"), "temperature": 0}

    answers = [it.post("/chat/completions", body)[1]["choices"] for it in (chat, other)]

    assert answers[0] == answers[1]
    assert chat.engine.url != other.engine.url
    assert 401 == other.post("/chat/completions", body, token=chat.engine.token.reveal())[0]


def test_embeddings_are_normalised_and_in_order(embedder: Any) -> None:
    _, one = embedder.post("/embeddings", {"input": "a cat"})
    _, many = embedder.post("/embeddings", {"input": ["a dog", "a cat"]})

    vector = one["data"][0]["embedding"]
    assert pytest.approx(1.0, abs=1e-4) == sum(value * value for value in vector)
    assert pytest.approx(vector, abs=1e-3) == many["data"][1]["embedding"]


def test_embeddings_come_as_base64_floats(embedder: Any) -> None:
    _, plain = embedder.post("/embeddings", {"input": "a cat"})
    _, packed = embedder.post("/embeddings", {"input": "a cat", "encoding_format": "base64"})

    data = base64.b64decode(packed["data"][0]["embedding"])
    assert pytest.approx(plain["data"][0]["embedding"], abs=1e-3) == list(
        struct.unpack(f"<{len(data) // 4}f", data)
    )


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_any_chat_model_embeds_once_its_pooling_is_named(
    serve: Any, weights_folder: Path, pooling: str
) -> None:
    served = serve(weights_folder / "tiny.q8_0.gguf", type=ModelType.EMBED, pooling=pooling)
    texts = ["a red kite", "the weather in Paris", "two", "a text that is longer than the others"]

    alone = [served.post("/embeddings", {"input": text})[1]["data"][0] for text in texts]
    _, together = served.post("/embeddings", {"input": texts})

    for one, among in zip(alone, together["data"], strict=True):
        assert pytest.approx(one["embedding"], abs=1e-3) == among["embedding"]


def test_an_image_is_seen(
    serve: Any, weights_folder: Path, projector: bytes, tmp_path: Path
) -> None:
    (tmp_path / "m.gguf").symlink_to(weights_folder / "tiny.q8_0.gguf")
    (tmp_path / "mmproj-m.gguf").write_bytes(projector)
    served = serve(tmp_path)
    url = f"data:image/png;base64,{base64.b64encode(red_square()).decode()}"
    image = {"type": "image_url", "image_url": {"url": url}}

    tokens = []
    for content in ([], [image]):
        message = {"role": "user", "content": [{"type": "text", "text": "Hello"}, *content]}
        body = {"messages": [message], "max_tokens": 1}
        status, reply = served.post("/chat/completions", body)
        assert 200 == status
        tokens.append(reply["usage"]["prompt_tokens"])

    assert 16 == tokens[1] - tokens[0]


def red_square(side: int = 32) -> bytes:
    """A PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    rows = (b"\0" + b"\xff\0\0" * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def test_documents_are_reranked(reranker: Any) -> None:
    documents = ["The cat sleeps on the sofa.", "The capital of France is Paris."]
    body = {"query": "What is the capital of France?", "documents": documents, "top_n": 1}

    status, reply = reranker.post("/rerank", body)

    assert 200 == status
    assert [1] == [result["index"] for result in reply["results"]]


def test_damaged_weights_are_named_in_the_error(
    serve: Any, weights_folder: Path, tmp_path: Path
) -> None:
    whole = (weights_folder / "tiny.q8_0.gguf").read_bytes()
    damaged = tmp_path / "cut-off.gguf"
    damaged.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(EngineFailed) as caught:
        serve(damaged)

    assert (
        f"engine 'cut-off' did not start: the weights file '{damaged}' is damaged or incomplete "
        f"(it exited with status 1); fetch it again"
    ) == str(caught.value).splitlines()[0]


def test_the_token_is_neither_in_the_arguments_nor_in_the_log(chat: Any) -> None:
    chat.post("/chat/completions", {"messages": user("Hello")}, token="wrong")
    token = chat.engine.token.reveal().encode()

    assert token not in Path(f"/proc/{chat.engine.pid}/cmdline").read_bytes()
    assert token not in chat.engine.log_path.read_bytes()


def said(served: Any, text: str = "Tell me a story.") -> Any:
    """What it says greedily, and how many of its tokens were drafted and taken."""
    _, reply = served.post("/chat/completions", {"messages": user(text), "temperature": 0})
    timings = reply["timings"]
    return reply["choices"][0]["message"]["content"], timings.get("draft_n_accepted", 0)


def test_an_adapter_changes_the_answer_as_far_as_its_scale(
    chat: Any, serve: Any, weights_folder: Path, adapter: Path
) -> None:
    path = weights_folder / "tiny.q8_0.gguf"
    plain, _ = said(chat)

    whole, _ = said(serve(path, lora=str(adapter)))
    none, _ = said(serve(path, lora={adapter: 0.0}))
    halves, _ = said(serve(path, lora={adapter: 0.5, str(twin(adapter)): 0.5}))

    assert plain == none
    assert plain != whole
    assert whole == halves


def twin(path: Path) -> Path:
    """A copy beside it: one file cannot be two adapters."""
    copy = path.with_name(f"twin-{path.name}")
    copy.write_bytes(path.read_bytes())
    return copy


def test_a_draft_model_guesses_and_changes_nothing(
    chat: Any, serve: Any, weights_folder: Path
) -> None:
    path = weights_folder / "tiny.q8_0.gguf"
    plain, _ = said(chat)

    drafted, taken = said(serve(path, draft=str(path), draft_tokens=5))

    assert plain == drafted
    assert taken > 50


def test_guessing_from_the_prompt_changes_nothing(
    chat: Any, serve: Any, weights_folder: Path
) -> None:
    assert said(chat)[0] == said(serve(weights_folder / "tiny.q8_0.gguf", draft="lookup"))[0]


def test_stopping_in_a_stream_is_quick(serve: Any, weights_folder: Path) -> None:
    served = serve(weights_folder / "tiny.q8_0.gguf")
    body = {"messages": user("Tell me a story."), "stream": True, "ignore_eos": True}
    events = served.events("/chat/completions", body)
    next(events)

    served.engine.stop()
    events.close()

    assert "it was killed by signal 15" == served.engine.outcome
