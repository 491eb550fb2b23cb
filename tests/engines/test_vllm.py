"""vLLM's own server, on the CPU, through modelplug and through the official openai package."""

from __future__ import annotations

import http.client
import json
import math
import operator
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from lora import write_adapter
from shared import TINY, VLLM, Start, rows

import modelplug as mp
from modelplug.errors import ContextTooLong, EngineFailed
from modelplug.testing import LocalContract
from modelplug_local.environments.inventory import installed

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
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def cosine(a: list[float], b: list[float]) -> float:
    return sum(map(operator.mul, a, b)) / math.hypot(*a) / math.hypot(*b)


@pytest.fixture(scope="module", autouse=True)
def environments(install: Callable[[str], None]) -> None:
    """Made before the first test."""
    for name in ("vllm", "sentence_transformers"):
        install(name)


@pytest.fixture(scope="session")
def chat(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Tiny on vLLM, with two adapters."""
    folder = tmp_path_factory.mktemp("adapters")
    assert TINY is not None
    tiny = TINY / "weights/tiny"
    adapters = {
        "still": str(write_adapter(folder / "still", tiny, 0.0)),
        "strong": str(write_adapter(folder / "strong", tiny, 0.5)),
    }
    return start("tiny", mp.deploy.vllm, **VLLM, lora_modules=adapters)


@pytest.fixture(scope="session")
def embed(start: Start) -> Any:
    return start("tiny-embed", mp.deploy.vllm, **VLLM)


@pytest.fixture
def client(chat: Any) -> Iterator[openai.OpenAI]:
    """The official package, unchanged."""
    with openai.OpenAI(base_url=chat.url, api_key=chat.api_key.reveal()) as client:
        yield client


class TestContract(LocalContract):
    engine = "vllm"
    weights = "tiny"
    options = VLLM
    corrupt_says = "the weights are damaged or incomplete"


# Chat.


@pytest.mark.parametrize("probe", rows("probes.json"), ids=lambda row: row["answer"][:20])
def test_a_probe_has_its_one_right_answer(chat: Any, probe: dict[str, Any]) -> None:
    reply = chat.respond(probe["messages"], tools=probe["tools"], temperature=0)

    calls = [{"name": call.name, "arguments": call.arguments} for call in reply.tool_calls]
    assert (probe["answer"], probe["tool_calls"]) == (reply.text or "", calls)


def test_a_schema_is_kept_to(chat: Any) -> None:
    value = chat("Give JSON with name Hugo and age 37.", schema=PERSON, temperature=0)

    assert {"name": "Hugo", "age": 37} == value


def test_usage_is_reported_while_streaming(chat: Any) -> None:
    *_, last = chat.events("What is the capital of France?", temperature=0)

    assert "finish" == last.kind


def test_a_prompt_that_is_too_long_is_refused_and_never_cut(chat: Any) -> None:
    with pytest.raises(ContextTooLong):
        chat("word " * 3000)


def test_an_adapter_is_chosen_by_the_name_of_its_model(chat: Any) -> None:
    question = "What is the capital of France?"
    usual = chat(question, temperature=0, max_tokens=24)

    assert usual == chat(question, temperature=0, max_tokens=24, model="still")
    assert usual != chat(question, temperature=0, max_tokens=24, model="strong")


# The wire.


@pytest.mark.parametrize(
    "path", ["/v1/models", "/invocations", "/metrics", "/docs", "/tokenize", "/version"]
)
def test_no_route_but_its_health_answers_without_the_token(chat: Any, path: str) -> None:
    address = urlsplit(chat.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()

    assert 401 == status


def test_the_openai_package_chats(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        temperature=0,
    )

    assert "The capital of France is Paris." == reply.choices[0].message.content
    assert [{"tiny", "still", "strong"}] == [{each.id for each in client.models.list()}]


def test_the_openai_package_streams(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "Count to 12."}],
        temperature=0,
        stream=True,
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]

    assert "1 2 3 4 5 6 7 8 9 10 11 12" == "".join(pieces)
    assert len(pieces) > 3


def test_the_openai_package_calls_a_tool(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],  # type: ignore[list-item]
        temperature=0,
    )

    (call,) = reply.choices[0].message.tool_calls or ()
    assert ("get_weather", {"city": "Paris"}) == (
        call.function.name,  # type: ignore[union-attr]
        json.loads(call.function.arguments),  # type: ignore[union-attr]
    )


# Vectors and scores.


def test_vectors_are_those_of_another_engine(embed: Any, start: Start) -> None:
    other = start("tiny-embed", mp.deploy.llama_cpp)
    texts = ["a red kite", "the weather in Paris"]

    for here, there in zip(embed(texts), other(texts), strict=True):
        assert 1 == pytest.approx(cosine(here, there), abs=0.01)


def test_the_openai_package_gets_vectors_as_floats_and_as_base64(embed: Any) -> None:
    with openai.OpenAI(base_url=embed.url, api_key=embed.api_key.reveal()) as client:
        floats = client.embeddings.create(
            model="tiny-embed", input="a red kite", encoding_format="float"
        )
        # The package asks for base64 by itself, and turns it back into floats.
        packed = client.embeddings.create(model="tiny-embed", input="a red kite")

    assert floats.data[0].embedding == pytest.approx(packed.data[0].embedding, abs=1e-6)
    assert floats.data[0].embedding == pytest.approx(embed("a red kite"), abs=1e-6)


def test_the_relevant_document_comes_first(start: Start) -> None:
    rerank = start("tiny-rerank", mp.deploy.vllm, **VLLM)
    tried = rows("rerank.json")

    right = [
        rerank(row["query"], documents=row["documents"])[0][0] == row["relevant"] for row in tried
    ]
    assert sum(right) >= 0.85 * len(tried)


# Starts that fail.


def test_more_context_than_the_cache_has_room_for_is_told_in_figures() -> None:
    few = {**VLLM, "max_model_len": 1024, "kv_cache_memory_bytes": 1_000_000}
    model = mp.TrainableModule("tiny").deploy_method(mp.deploy.vllm, **few)

    with pytest.raises(EngineFailed) as caught:
        model.start()
    assert "one request of 1024 tokens needs 0." in str(caught.value)
    assert "lower max_model_len" in str(caught.value)


def test_a_parser_that_vllm_does_not_have_is_told() -> None:
    named = {**VLLM, "tool_call_parser": "hermess"}
    model = mp.TrainableModule("tiny").deploy_method(mp.deploy.vllm, **named)

    with pytest.raises(EngineFailed) as caught:
        model.start()
    assert "vLLM has no tool call parser 'hermess'" in str(caught.value)


# Engines beside each other.


def test_three_engines_whose_packages_conflict_serve_at_once(start: Start, chat: Any) -> None:
    llama = start("tiny", mp.deploy.llama_cpp)
    sentences = start("tiny-embed", mp.deploy.sentence_transformers)

    assert [None] * 3 == [find_spec(name) for name in ("torch", "transformers", "vllm")]
    versions = [
        here.packages["transformers"].version
        for name in ("vllm", "sentence_transformers")
        if (here := installed("engine", name))
    ]
    assert 2 == len(set(versions))
    answers = "What is the capital of France?", {"temperature": 0}
    assert llama(answers[0], **answers[1]) == chat(answers[0], **answers[1])
    assert 128 == len(sentences("a red kite"))
    assert ["ready"] * 3 == [each.status for each in (llama, sentences, chat)]
