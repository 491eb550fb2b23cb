"""The official openai package, unchanged, talks to the engines that TrainableModule starts."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

import modelplug as mp
from modelplug.testing import block_network

QUESTION: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "What is the capital of France?"}
]
WEATHER: Any = {
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


def client_of(model: Any) -> openai.OpenAI:
    key = model.api_key
    assert key is not None
    return openai.OpenAI(base_url=model.url, api_key=key.reveal(), max_retries=0)


@pytest.fixture(scope="module")
def chat() -> Iterator[openai.OpenAI]:
    with block_network(), mp.TrainableModule("tiny") as model, client_of(model) as client:
        yield client


@pytest.fixture(scope="module")
def embedder() -> Iterator[openai.OpenAI]:
    with block_network(), mp.TrainableModule("tiny-embed") as model, client_of(model) as client:
        yield client


def test_it_lists_the_model(chat: openai.OpenAI) -> None:
    assert ["tiny"] == [model.id for model in chat.models.list()]


def test_it_chats(chat: openai.OpenAI) -> None:
    reply = chat.chat.completions.create(model="tiny", messages=QUESTION, temperature=0)

    assert "The capital of France is Paris." == reply.choices[0].message.content
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 0


def test_it_streams(chat: openai.OpenAI) -> None:
    with chat.chat.completions.create(
        model="tiny", messages=QUESTION, temperature=0, stream=True,
        stream_options={"include_usage": True},
    ) as stream:  # fmt: skip
        chunks = list(stream)

    said = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "The capital of France is Paris." == "".join(said)
    assert len(said) > 5
    assert chunks[-1].usage is not None


def test_it_calls_tools(chat: openai.OpenAI) -> None:
    reply = chat.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],
        temperature=0,
    )

    (call,) = reply.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert ("get_weather", '{"city": "Paris"}') == (call.function.name, call.function.arguments)


def test_it_embeds_as_floats_and_as_base64(embedder: openai.OpenAI) -> None:
    texts = ["a cat", "a red kite"]

    floats = embedder.embeddings.create(model="t", input=texts, encoding_format="float").data
    packed = embedder.embeddings.create(model="t", input=texts, encoding_format="base64").data
    unasked = embedder.embeddings.create(model="t", input=texts).data

    read = [list(struct.unpack(f"<{len(b) // 4}f", b)) for b in map(decoded, packed)]
    assert [0, 1] == [item.index for item in floats]
    for vector, same, plain in zip(floats, read, unasked, strict=True):
        assert pytest.approx(1.0, abs=1e-4) == math.hypot(*vector.embedding)
        assert pytest.approx(vector.embedding, abs=1e-3) == same
        assert pytest.approx(same, abs=1e-3) == plain.embedding


def decoded(item: Any) -> bytes:
    return base64.b64decode(item.embedding)


def test_a_wrong_key_is_told_as_such(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        chat.with_options(api_key="wrong").models.retrieve("tiny").model_dump()
