"""Many views of one engine at once: nothing of one is seen by another."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

import modelplug as mp

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
SHARES = 100


@pytest.fixture
def llm() -> Iterator[Any]:
    with mp.TrainableModule("tiny").deploy_method("llama_cpp", slots=10) as model:
        yield model.start()


def kinds_of(model: Any) -> list[tuple[Any, Any]]:
    """(a view, how it is called, what only it answers): prompt, history, format, stream, tools."""
    greedy = {"temperature": 0}
    named = model.share(history=[["My name is Ann.", "Nice to meet you, Ann."]])
    return [
        (model.share(), lambda m: m("What is the capital of France?", **greedy)),
        (model.share(format=str.upper), lambda m: m("What is the capital of France?", **greedy)),
        (
            model.share(prompt={"user": "What is the capital of {country}?"}),
            lambda m: m({"country": "Italy"}, **greedy),
        ),
        (named, lambda m: m("What is my name?", **greedy)),
        (model.share(), lambda m: list(m.stream("Tell me a story.", **greedy))),
        (
            model.share(),
            lambda m: [
                (call.name, call.arguments)
                for call in m.respond(
                    "What is the weather in Paris?", tools=[WEATHER], **greedy
                ).tool_calls
            ],
        ),
        (model.share(), lambda m: m.respond("Hello", **greedy).usage.output_tokens),
    ]


def test_a_hundred_shares_in_ten_threads_answer_as_each_alone(llm: Any) -> None:
    kinds = kinds_of(llm)
    alone = [call(view) for view, call in kinds]
    views = [(at % len(kinds), kinds[at % len(kinds)][0].share()) for at in range(SHARES)]

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda it: (it[0], kinds[it[0]][1](it[1])), views))

    assert len(kinds) == len({repr(answer) for answer in alone})
    assert [] == [(kind, answer) for kind, answer in answers if answer != alone[kind]]


def test_a_hundred_shares_in_ten_tasks_keep_their_own_history(llm: Any) -> None:
    names = ("Ann", "Bob", "Hugo")
    alone = {
        name: llm.share(history=history(name))("What is my name?", temperature=0) for name in names
    }

    async def ask(number: int, gate: asyncio.Semaphore) -> tuple[str, str]:
        name = names[number % 3]
        async with gate:
            return name, await llm.share(history=history(name)).acall(
                "What is my name?", temperature=0
            )

    async def ask_all() -> list[tuple[str, str]]:
        gate = asyncio.Semaphore(10)
        return list(await asyncio.gather(*(ask(number, gate) for number in range(SHARES))))

    answers = asyncio.run(ask_all())

    assert all(name in answer for name, answer in alone.items())
    assert [] == [(name, answer) for name, answer in answers if answer != alone[name]]


def history(name: str) -> list[list[str]]:
    return [[f"My name is {name}.", f"Nice to meet you, {name}."]]


def test_what_one_share_keeps_of_its_calls_is_not_anothers() -> None:
    with mp.TrainableModule("tiny", return_trace=True) as llm:
        views = [llm.share() for _ in range(3)]
        for calls, view in enumerate(views):
            for _ in range(calls):
                view("Hello", temperature=0)

        assert [0, 1, 2] == [len(view.trace) for view in views]
        assert [] == llm.trace


def test_the_engine_ends_after_the_last_of_them() -> None:
    # With an option that nobody else gives: an engine is shared by all who ask for the same.
    model = mp.TrainableModule("tiny").deploy_method(mp.deploy.llama_cpp, idle_timeout=3599).start()
    port = urlsplit(model.url).port
    shares = [model.share() for _ in range(SHARES)]

    del model
    while len(shares) > 1:
        shares.pop()
        gc.collect(0)
    assert 0 == connect(port)

    shares.clear()
    gc.collect()
    assert 0 != connect(port)


def connect(port: int | None) -> int:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port or 0))
