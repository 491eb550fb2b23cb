"""
Local engines: tokens a second through TrainableModule and by hand, and the time to the first.

    python engines.py [--rounds 15] [--starts 7]

"By hand" is an asyncio client of thirty lines on the same running engine, so both get the same
tokens from the same process. Rounds are interleaved; a ratio is the median of the rounds'
ratios. Wall-clock time: client and engine share the machine, as they do for users.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import importlib.util
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from common import interleaved, print_table, ratio

import modelplug as mp
from modelplug.plugins import installed
from modelplug.types import Deployment, Plan, Secret

AT_ONCE = (1, 8, 32)
STORY = "Tell me a story."
GOAL = 0.97


def tokens_a_second(ask: Callable[[], Any], at_once: int) -> float:
    """Tokens a second of two calls for each of *at_once*, and of 16 at least."""
    # A few calls measure the scheduler: 4 of them gave 700 to 2,800 tokens a second (2026-11).
    requests = max(2 * at_once, 16)

    async def all_of_them() -> float:
        gate = asyncio.Semaphore(at_once)

        async def one() -> int:
            async with gate:
                return int(await ask())

        began = time.perf_counter()
        tokens = sum(await asyncio.gather(*(one() for _ in range(requests))))
        return tokens / (time.perf_counter() - began)

    return asyncio.run(all_of_them())


async def through_modelplug(model: Any) -> int:
    """Pieces of one streamed story."""
    return len([text async for text in model.astream(STORY, temperature=0)])


async def by_hand(url: str, key: str) -> int:
    """The same, with nothing between: a connection, a request, its lines."""
    address = urlsplit(url)
    body = json.dumps({
        "model": "tiny",
        "messages": [{"role": "user", "content": STORY}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
    }).encode()  # fmt: skip
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    tokens = 0
    while line := await reader.readline():
        if line.startswith(b"data: {"):
            choices = json.loads(line[6:])["choices"]
            tokens += bool(choices and choices[0]["delta"].get("content"))
    writer.close()
    return tokens


def throughput(title: str, rounds: int, **options: Any) -> list[list[str]]:
    """A row for each number at once, on an engine with *options*; rounds are short, and many."""
    rows = []
    with mp.TrainableModule("tiny").deploy_method("llama_cpp", **options) as model:
        model("Hello")
        key = model.api_key
        assert key is not None  # an engine that was started here has one
        ours, theirs = partial(through_modelplug, model), partial(by_hand, model.url, key.reveal())
        assert asyncio.run(ours()) == asyncio.run(theirs())
        for at_once in AT_ONCE:
            measured = interleaved(
                {
                    "modelplug": partial(tokens_a_second, ours, at_once),
                    "by hand": partial(tokens_a_second, theirs, at_once),
                },
                rounds,
            )
            figures = [f"{median(measured[name]):.0f}" for name in ("modelplug", "by hand")]
            value = ratio(measured["modelplug"], measured["by hand"])
            rows.append([f"{title}, {at_once} at once", *figures, f"{value:.3f}"])
    return rows


def first_token_of_modelplug() -> float:
    """Seconds from start() to the first token."""
    with mp.TrainableModule("tiny").deploy_method("llama_cpp", slots=4) as model:
        began = time.perf_counter()
        next(iter(model.start().stream(STORY)))
        return time.perf_counter() - began


def first_token_by_hand() -> float:
    """The same with the engine's own program: started, asked until it is ready, called."""
    runtime = installed().runtime()
    weights = runtime.find("tiny", formats=["gguf"])
    began = time.perf_counter()
    host, port, token = "127.0.0.1", 27_999, Secret("by-hand")
    plan = installed().deploy_local(
        "llama_cpp", Deployment(weights, {"slots": 4}, host, port, token)
    )
    assert isinstance(plan, Plan)
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(  # noqa: S603 - a list, and no shell
            list(plan.argv), env={**os.environ, **plan.env}, stdout=log, stderr=log
        ) as engine,
    ):
        while _status(host, port) != 200:
            time.sleep(0.005)
        connection = http.client.HTTPConnection(host, port)
        body = json.dumps({"messages": [{"role": "user", "content": STORY}], "stream": True})
        headers = {"Authorization": "Bearer by-hand", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        response = connection.getresponse()
        while b'"content":"' not in response.readline():
            pass
        seconds = time.perf_counter() - began
        engine.terminate()
        connection.close()
    return seconds


def _status(host: str, port: int) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--starts", type=int, default=7)
    given = parser.parse_args()

    rows = throughput("xllamacpp", given.rounds, slots=32, context=512)
    if importlib.util.find_spec("llama_cpp"):
        rows += throughput("llama-cpp-python's server", 3, runtime="llama_cpp_python")
    head = ("tokens a second", "modelplug", "by hand", "ratio")
    print_table("One engine, called through modelplug and by hand", head, rows)

    started = interleaved(
        {"modelplug": first_token_of_modelplug, "by hand": first_token_by_hand}, given.starts
    )
    figures = [f"{median(started[name]):.3f}" for name in ("modelplug", "by hand")]
    value = ratio(started["modelplug"], started["by hand"])
    head = ("seconds", "modelplug", "by hand", "ratio")
    print_table("From start() to the first token", head, [["tiny", *figures, f"{value:.2f}"]])

    for row in rows[: len(AT_ONCE)]:
        word = "within" if float(row[3]) >= GOAL else "BELOW"
        print(f"  {row[0]}: {row[3]} of by hand, {word} the goal of {GOAL}")


if __name__ == "__main__":
    main()
