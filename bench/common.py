"""What the scripts share: the server's process, medians, and how a table is printed."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import IO, TypeVar, cast

K = TypeVar("K")
V = TypeVar("V")

HERE = Path(__file__).parent


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """The server in a process of its own, while the block runs; gives `http://127.0.0.1:port`."""
    with subprocess.Popen(  # noqa: S603 - our own interpreter and script
        [sys.executable, str(HERE / "server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        # Popen closes the pipes as the block ends, and the server ends with its input.
        yield f"http://127.0.0.1:{int(cast('IO[str]', process.stdout).readline())}"


def fresh(code: str, *, env: Mapping[str, str] | None = None) -> list[float]:
    """The numbers that *code* prints in a fresh interpreter, on its last line."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False
    )
    if done.returncode:
        msg = f"a fresh interpreter failed: {done.stderr.strip()[-2000:]}"
        raise RuntimeError(msg)
    return [float(word) for word in done.stdout.strip().splitlines()[-1].split()]


def cpu_of(job: Callable[[], object], times: int) -> float:
    """CPU seconds of this process for one run of *job*, the mean over *times* runs."""
    gc.collect()
    began = time.process_time()
    for _ in range(times):
        job()
    return (time.process_time() - began) / times


def interleaved(jobs: Mapping[K, Callable[[], V]], rounds: int) -> dict[K, list[V]]:
    """What each job measures, one after the other in every round, so that noise meets all alike."""
    measured: dict[K, list[V]] = {name: [] for name in jobs}
    for at in range(rounds):
        names = list(jobs)
        for name in names[at % len(names) :] + names[: at % len(names)]:
            measured[name].append(jobs[name]())
    return measured


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: a round that was disturbed was so for both."""
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """*rows* below *head*, the first column to the left."""
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  " + "  ".join(cells))


def verdict(value: float, limit: float, unit: str = "") -> str:
    """How *value* stands to *limit*."""
    word = "within" if value <= limit else "OVER"
    return f"{value:.2f}{unit}, {word} the limit of {limit:g}{unit}"
