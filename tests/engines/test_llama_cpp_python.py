"""llama-cpp-python, built from its source: the second runtime of the engine llama.cpp."""

from __future__ import annotations

import math
import operator
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest
from shared import Start, rows

import modelplug as mp
from modelplug.errors import ContextTooLong
from modelplug.testing import LocalContract

PACKAGE = "llama-cpp-python[server]>=0.3.36,<0.4"


@pytest.fixture(scope="session", autouse=True)
def options(home: Path) -> dict[str, Any]:
    """What `deploy_method` is told: the runtime, and an interpreter that has it."""
    folder = home / "llama-cpp-python"
    python = str(folder / "bin" / "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603
    subprocess.run([python, "-m", "pip", "install", "-q", PACKAGE], check=True)  # noqa: S603
    found = {"runtime": "llama_cpp_python", "python": python}
    for contract in (TestChat, TestEmbed, TestRerank):
        contract.options = found
    return found


class TestChat(LocalContract):
    engine = "llama_cpp"
    weights = "tiny"
    corrupt_says = "Failed to load model"


class TestEmbed(LocalContract):
    engine = "llama_cpp"
    weights = "tiny-embed"
    type = "embed"
    corrupt_says = "Failed to load model"


class TestRerank(LocalContract):
    engine = "llama_cpp"
    weights = "tiny-rerank"
    type = "rerank"
    corrupt_says = "Failed to load model"


@pytest.fixture
def embed(start: Start, options: dict[str, Any]) -> Any:
    return start("tiny-embed", mp.deploy.llama_cpp, **options)


def test_its_vectors_are_those_of_the_other_runtime(embed: Any, start: Start) -> None:
    other = start("tiny-embed", mp.deploy.llama_cpp, runtime="xllamacpp")
    texts = ["a red kite", "the weather in Paris"]

    for here, there in zip(embed(texts), other(texts), strict=True):
        assert 1 == pytest.approx(math.hypot(*here), abs=1e-5)
        assert 1 == pytest.approx(sum(map(operator.mul, here, there)), abs=1e-3)


def test_pooling_that_is_asked_for_is_used(start: Start, options: dict[str, Any]) -> None:
    texts = ["a red kite", "the weather in Paris"]
    vectors = {
        (runtime, pooling): start(
            "tiny", mp.deploy.llama_cpp, type="embed", pooling=pooling, **options
        )(texts)
        for runtime, options in (("python", options), ("xllamacpp", {"runtime": "xllamacpp"}))
        for pooling in ("mean", "last")
    }

    assert vectors["python", "mean"][0] != pytest.approx(vectors["python", "last"][0], abs=0.1)
    for pooling in ("mean", "last"):
        for here, there in zip(
            vectors["python", pooling], vectors["xllamacpp", pooling], strict=True
        ):
            assert 1 == pytest.approx(sum(map(operator.mul, here, there)), abs=1e-3)


def test_its_scores_are_those_of_the_other_runtime(start: Start, options: dict[str, Any]) -> None:
    here = start("tiny-rerank", mp.deploy.llama_cpp, **options)
    there = start("tiny-rerank", mp.deploy.llama_cpp, runtime="xllamacpp")

    for row in rows("rerank.json"):
        asked = {"documents": row["documents"]}
        first, second = dict(here(row["query"], **asked)), dict(there(row["query"], **asked))
        assert first == pytest.approx(second, abs=0.02)


def test_a_text_that_is_too_long_is_refused_and_never_cut(embed: Any) -> None:
    with pytest.raises(ContextTooLong):
        embed("kite " * 3000)


def test_the_openai_package_gets_vectors_as_floats_and_as_base64(embed: Any) -> None:
    with openai.OpenAI(base_url=embed.url, api_key=embed.api_key.reveal()) as client:
        floats = client.embeddings.create(model="m", input="a red kite", encoding_format="float")
        # The package asks for base64 by itself, and turns it back into floats.
        packed = client.embeddings.create(model="m", input="a red kite")

    assert floats.data[0].embedding == pytest.approx(packed.data[0].embedding, abs=1e-6)
    assert floats.data[0].embedding == pytest.approx(embed("a red kite"), abs=1e-6)
    assert packed.usage.total_tokens > 2


def test_a_probe_is_answered_as_by_the_other_runtime(start: Start, options: dict[str, Any]) -> None:
    chat = start("tiny", mp.deploy.llama_cpp, **options)
    asked = "What is the capital of France?", {"temperature": 0}

    assert "The capital of France is Paris." == chat(asked[0], **asked[1])
