"""`modelplug embed`."""

from __future__ import annotations

import json

from cli_replies import vectors
from cli_terminal import Run

from modelplug.testing import FaultServer

MOON = ("moon-1", "--source", "openai")


def test_embed_writes_one_vector_on_a_line(run: Run, server: FaultServer) -> None:
    server.answer(vectors([0.5, 1.0], [0.25, -2.0]))

    done = run("embed", "text-embedding-x", "--source", "openai", given="a\r\nb\n")
    assert "[0.5,1.0]\n[0.25,-2.0]\n" == done.stdout
    assert ["a", "b"] == server.requests[0].json["input"]


def test_embed_takes_texts_as_arguments_and_gives_json(run: Run, server: FaultServer) -> None:
    server.answer(vectors([0.5], [0.25]))

    done = run("embed", "text-embedding-x", "--source", "openai", "a b", "c", "--json")
    result = json.loads(done.stdout)
    assert ("moon-embed", [[0.5], [0.25]], 4) == (
        result["model"],
        result["vectors"],
        result["usage"]["input_tokens"],
    )
    assert ["a b", "c"] == server.requests[0].json["input"]


def test_embed_refuses_an_empty_line_by_its_number(run: Run, server: FaultServer) -> None:
    done = run("embed", "text-embedding-x", "--source", "openai", given="a\n\nb\n")

    assert (1, "") == (done.returncode, done.stdout)
    assert "line 2 of stdin is empty" in done.stderr
    assert [] == server.requests


def test_embed_refuses_a_model_that_gives_no_vectors(run: Run) -> None:
    done = run("embed", *MOON, "a")

    assert 1 == done.returncode
    assert "is a model of type llm and gives no vectors" in done.stderr
