"""
CPU of one call: modelplug, bare httpx and the openai package, side by side.

    python calls.py [--rounds 9] [--only chat,stream,pieces,embed,base64,async,decoder]

Each does the same job against the same loopback server and must give the same value. CPU is
that of this process alone (the server has its own), so what the network and the server take
does not count. Rounds are interleaved, and a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib
import importlib.util
import json
from array import array
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from statistics import median
from typing import Any

import httpx
from common import cpu_of, interleaved, print_table, ratio, running_server, verdict
from server import CHUNKS, VECTORS, answer_text, sse_events, vectors

import modelplug as mp
from modelplug.openai_wire import OpenAIChat
from modelplug.retry import Retry
from modelplug.types import Endpoint, Text

PROMPT = "Why is the sky blue?"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
TEXTS = [f"text number {place}" for place in range(VECTORS)]
AT_ONCE = 64
CALLS = {"chat": 200, "stream": 20, "pieces": 4, "embed": 20, "base64": 60}

Job = Callable[[], Any]
AsyncJob = Callable[[], Awaitable[Any]]


class Modelplug:
    """The public API."""

    def __init__(self, url: str) -> None:
        self._model = self._at(f"{url}/v1", "llm")
        self._pieces = self._at(f"{url}/pieces/v1", "llm")
        self._embed = self._at(f"{url}/v1", "embed")

    def _at(self, url: str, type: str) -> mp.OnlineModule:
        return mp.OnlineModule("m", source="openai", type=type, url=url, api_key="k")

    def chat(self) -> str:
        text: str = self._model(PROMPT)
        return text

    def stream(self) -> list[str]:
        return list(self._model.stream(PROMPT))

    def pieces(self) -> list[str]:
        return list(self._pieces.stream(PROMPT))

    def embed(self) -> list[list[float]]:
        found: list[list[float]] = self._embed(TEXTS)
        return found

    def base64(self) -> list[list[float]]:
        found: list[list[float]] = self._embed(TEXTS, encoding_format="base64")
        return found

    async def achat(self) -> str:
        text: str = await self._model.acall(PROMPT)
        return text


class Httpx:
    """What one would write with the HTTP client alone."""

    def __init__(self, url: str) -> None:
        headers = {"authorization": "Bearer k"}
        self._url = url
        self._client = httpx.Client(headers=headers)
        # With httpx's default, 20 kept connections, 64 at once would connect anew each time.
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
        self._async = httpx.AsyncClient(headers=headers, limits=limits)

    def chat(self) -> str:
        body = {"model": "m", "messages": MESSAGES}
        reply = self._client.post(f"{self._url}/v1/chat/completions", json=body).json()
        text: str = reply["choices"][0]["message"]["content"]
        return text

    def stream(self) -> list[str]:
        return list(self._stream("/v1"))

    def pieces(self) -> list[str]:
        return list(self._stream("/pieces/v1"))

    def _stream(self, base: str) -> Iterable[str]:
        body = {"model": "m", "messages": MESSAGES, "stream": True}
        url = f"{self._url}{base}/chat/completions"
        with self._client.stream("POST", url, json=body) as reply:
            for line in reply.iter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                choices = json.loads(line[6:])["choices"]
                if choices and (text := choices[0]["delta"].get("content")):
                    yield text

    def _embeddings(self, encoding: str) -> list[dict[str, Any]]:
        body = {"model": "m", "input": TEXTS, "encoding_format": encoding}
        reply = self._client.post(f"{self._url}/v1/embeddings", json=body).json()
        data: list[dict[str, Any]] = reply["data"]
        return data

    def embed(self) -> list[list[float]]:
        return [item["embedding"] for item in self._embeddings("float")]

    def base64(self) -> list[list[float]]:
        found = self._embeddings("base64")
        return [array("f", base64.b64decode(item["embedding"])).tolist() for item in found]

    async def achat(self) -> str:
        body = {"model": "m", "messages": MESSAGES}
        reply = await self._async.post(f"{self._url}/v1/chat/completions", json=body)
        text: str = reply.json()["choices"][0]["message"]["content"]
        return text


class OpenAI:
    """The vendor's own package."""

    def __init__(self, url: str) -> None:
        openai: Any = importlib.import_module("openai")  # only where it is installed
        self._client = openai.OpenAI(base_url=f"{url}/v1", api_key="k")
        self._pieces = openai.OpenAI(base_url=f"{url}/pieces/v1", api_key="k")
        self._async = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k")

    def chat(self) -> Any:
        reply = self._client.chat.completions.create(model="m", messages=MESSAGES)
        return reply.choices[0].message.content

    def stream(self) -> list[Any]:
        return self._streamed(self._client)

    def pieces(self) -> list[Any]:
        return self._streamed(self._pieces)

    def _streamed(self, client: Any) -> list[Any]:
        chunks = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        found = (chunk.choices[0].delta.content for chunk in chunks if chunk.choices)
        return [text for text in found if text]

    def embed(self) -> Any:
        reply = self._client.embeddings.create(model="m", input=TEXTS, encoding_format="float")
        return [item.embedding for item in reply.data]

    def base64(self) -> Any:
        # Without a format the package asks for base64 and decodes it itself.
        reply = self._client.embeddings.create(model="m", input=TEXTS)
        return [item.embedding for item in reply.data]

    async def achat(self) -> Any:
        reply = await self._async.chat.completions.create(model="m", messages=MESSAGES)
        return reply.choices[0].message.content


def contestants(url: str) -> dict[str, Any]:
    """All that are installed; the first is what ratios are against."""
    found: dict[str, Any] = {"httpx": Httpx(url), "modelplug": Modelplug(url)}
    if importlib.util.find_spec("openai"):
        found["openai"] = OpenAI(url)
    return found


EXPECTED: dict[str, Any] = {
    "chat": "".join(answer_text(20)),
    "stream": answer_text(),
    "pieces": answer_text(),
    "embed": [vector.tolist() for vector in vectors()],
    "base64": [vector.tolist() for vector in vectors()],
}


def check_same(name: str, job: str, value: object) -> None:
    """A contestant that gives anything else is not doing the same job."""
    if value != EXPECTED[job]:
        msg = f"{name} gives another value for {job}"
        raise AssertionError(msg)


def compare(job: str, title: str, found: dict[str, Any], rounds: int) -> float:
    """Print the table of one job; answers modelplug's ratio to httpx."""
    jobs: dict[str, Callable[[], float]] = {}
    for name, contestant in found.items():
        run: Job = getattr(contestant, job)
        check_same(name, job, run())
        jobs[name] = partial(cpu_of, run, CALLS[job])
    interleaved(jobs, 1)
    measured = interleaved(jobs, rounds)
    rows = [_row(name, cpu, measured["httpx"]) for name, cpu in measured.items()]
    print_table(title, ["", "CPU ms", "× httpx", "rounds"], rows)
    return ratio(measured["modelplug"], measured["httpx"])


def _row(name: str, cpu: list[float], base: list[float]) -> list[str]:
    ratios = sorted(our / their for our, their in zip(cpu, base, strict=True))
    spread = f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
    return [name, f"{median(cpu) * 1000:.3f}", f"{median(ratios):.2f}", spread]


def compare_async(found: dict[str, Any], rounds: int) -> tuple[float, float]:
    """One at a time and 64 at once; modelplug's ratio to itself, and to httpx at 64."""
    runners = {name: asyncio.Runner() for name in found}
    jobs: dict[str, Callable[[], float]] = {}
    for name, contestant in found.items():
        runner, call = runners[name], contestant.achat
        check_same(name, "chat", runner.run(call()))
        jobs[f"{name}, one at a time"] = partial(_async_cost, runner, _one_by_one, call)
        jobs[f"{name}, {AT_ONCE} at once"] = partial(_async_cost, runner, _at_once, call)
    interleaved(jobs, 1)
    measured = interleaved(jobs, rounds)
    base = measured["httpx, one at a time"]
    rows = [_row(name, cpu, base) for name, cpu in measured.items()]
    print_table("async chat, CPU per call", ["", "CPU ms", "× httpx one", "rounds"], rows)
    many = measured[f"modelplug, {AT_ONCE} at once"]
    one = measured["modelplug, one at a time"]
    for runner in runners.values():
        runner.close()
    return ratio(many, one), ratio(many, measured[f"httpx, {AT_ONCE} at once"])


def _async_cost(
    runner: asyncio.Runner, job: Callable[[AsyncJob], Coroutine[Any, Any, None]], call: AsyncJob
) -> float:
    return cpu_of(lambda: runner.run(job(call)), 1) / (4 * AT_ONCE)


async def _one_by_one(call: AsyncJob) -> None:
    for _ in range(4 * AT_ONCE):
        await call()


async def _at_once(call: AsyncJob) -> None:
    for _ in range(4):
        await asyncio.gather(*(call() for _ in range(AT_ONCE)))


def decode_cost(cut: int, rounds: int) -> float:
    """µs of CPU for a token, from bytes cut every *cut* bytes to events."""
    body = b"".join(sse_events())
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)]
    codec = OpenAIChat(Endpoint("openai", "m", "http://127.0.0.1/v1", retry=Retry()))

    def decode() -> list[Any]:
        decoder = codec.decoder(None)  # type: ignore[arg-type]  # it does not look at the call
        events: list[Any] = []
        for piece in pieces:
            decoder.feed(piece, events)
        return events

    texts = [event.text for event in decode() if type(event) is Text]
    check_same("the decoder", "stream", texts)
    cpu_of(decode, 20)
    return median(cpu_of(decode, 20) for _ in range(rounds)) / CHUNKS * 1e6


def compare_decoding(rounds: int) -> float:
    """Print what a token costs; answers the highest, for bytes as large reads bring them."""
    line = len(sse_events()[1])
    cuts = {"16 KiB a read": 16 * 1024, "one event a read": line, "half an event": line // 2}
    cost = {name: decode_cost(cut, rounds) for name, cut in cuts.items()}
    rows = [[name, f"{micros:.2f}"] for name, micros in cost.items()]
    print_table("decoding a stream, no network", ["", "µs a token"], rows)
    return max(cost["16 KiB a read"], cost["one event a read"])


TITLES = {
    "chat": "chat, one call",
    "stream": f"stream of {CHUNKS} chunks in large writes, one call",
    "pieces": f"stream of {CHUNKS} chunks, a write each, one call",
    "embed": f"embed {VECTORS} texts, JSON floats, one call",
    "base64": f"embed {VECTORS} texts, base64, one call",
}


def main() -> None:
    """Run what was asked for and print tables, then the limits."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default=",".join([*TITLES, "async", "decoder"]))
    asked = parser.parse_args()
    wanted = asked.only.split(",")
    limits = []
    with running_server() as url:
        found = contestants(url)
        ratios = {
            job: compare(job, title, found, asked.rounds)
            for job, title in TITLES.items()
            if job in wanted
        }
        if "chat" in ratios:
            limits.append(f"chat: {verdict(ratios['chat'], 1.2, ' × httpx')}")
        if "embed" in ratios:
            limits.append(f"embed, JSON floats: {verdict(ratios['embed'], 1.2, ' × httpx')}")
        if "async" in wanted:
            itself, others = compare_async(found, asked.rounds)
            told = verdict(itself, 1.3, " × one at a time")
            limits.append(f"{AT_ONCE} at once: {told} ({others:.2f} × httpx at {AT_ONCE})")
    if "decoder" in wanted:
        limits.append(f"a token: {verdict(compare_decoding(asked.rounds), 12, ' µs')}")
    print("\n" + "\n".join(limits))


if __name__ == "__main__":
    main()
