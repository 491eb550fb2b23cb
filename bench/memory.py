"""
Whether memory stays flat over many streams.

    python memory.py [--streams 50000]

Half of them sync, half async; one in ten is left after its first piece. Tells the resident
memory after 10 % and at the end: what grows in between is a leak.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

from common import print_table, running_server
from server import SHORT, answer_text

import modelplug as mp

ALLOWED = 1.0
"""MiB that the allocator may move by; a leak of 24 bytes a stream shows over 45,000."""


def resident() -> float:
    """Resident memory of this process in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def sync_streams(model: mp.OnlineModule, streams: int, mark: Callable[[int], None]) -> None:
    """Run *streams* streams; *mark* is told after each how many have been."""
    for at in range(1, streams + 1):
        pieces = model.stream("Hi")
        if at % 10 == 0:
            next(pieces)
            del pieces  # nobody holds it any more, which ends the request
        else:
            _check(list(pieces))
        mark(at)


async def async_streams(model: mp.OnlineModule, streams: int, mark: Callable[[int], None]) -> None:
    """As `sync_streams`."""
    for at in range(1, streams + 1):
        async with contextlib.aclosing(model.astream("Hi")) as pieces:
            if at % 10 == 0:
                await anext(pieces)
            else:
                _check([piece async for piece in pieces])
        mark(at)


def _check(pieces: list[str]) -> None:
    if pieces != answer_text(SHORT):
        msg = f"a stream gave {len(pieces)} pieces"
        raise AssertionError(msg)


class Marks:
    """Resident memory at a tenth and at the end of a run."""

    def __init__(self, streams: int) -> None:
        self._at = (streams // 10, streams)
        self.found: list[float] = []
        self.began = time.process_time()

    def __call__(self, at: int) -> None:
        if at in self._at:
            self.found.append(resident())

    def row(self, name: str, streams: int) -> list[str]:
        """For the table."""
        early, late = self.found
        cpu = (time.process_time() - self.began) / streams * 1000
        return [name, f"{early:.1f}", f"{late:.1f}", f"{late - early:+.2f}", f"{cpu:.2f}"]


def main() -> None:
    """Run the streams; print a table and whether memory was flat."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--streams", type=int, default=50_000)
    half = parser.parse_args().streams // 2
    with running_server() as url, _model(url) as model:
        for_sync = Marks(half)
        sync_streams(model, half, for_sync)
        rows = [for_sync.row("sync", half)]
        for_async = Marks(half)
        asyncio.run(async_streams(model, half, for_async))
        rows.append(for_async.row("async", half))
    head = [f"{half} streams each", "MiB at 10 %", "MiB at end", "growth", "CPU ms a stream"]
    print_table("memory over many streams", head, rows)
    grown = max(marks.found[1] - marks.found[0] for marks in (for_sync, for_async))
    print(f"\nmemory: {'flat' if grown <= ALLOWED else 'NOT flat'}, {grown:+.2f} MiB at most")


def _model(url: str) -> mp.OnlineModule:
    return mp.OnlineModule("m", source="openai", type="llm", url=f"{url}/short/v1", api_key="k")


if __name__ == "__main__":
    main()
