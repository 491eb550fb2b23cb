"""
Batches across callers: inputs of all requests that wait, those of like length together.

One thread computes. It takes the input whose turn it is and, of the next ones in turn, those
nearest to it in length, so that little is spent on padding (sorting by length is worth 3 to 4
times on a CPU, 2026-11) and yet none waits for ever. Turns are shared: a request's first input
comes right behind the inputs that are computed now, its second one further back, and so on, so
that a request of one text does not wait for all of one with a thousand.

Where nothing is padded (unpadded.py) lengths do not matter, and inputs come as their turns are.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

Compute = Callable[[Any, Sequence[Any]], Sequence[Any]]
"""(what they have in common, inputs) to a result for each; an exception in place of a result
is that input's alone."""

LOOK_AHEAD = 4
"""Batches' worth of inputs among which those of like length are sought."""

PADDING = 64
"""Tokens of padding that a batch may have beside a quarter of its own: about as many as take the
time that one batch more takes for its beginning (all-MiniLM-L6-v2 on a CPU, 2026-11)."""


class Busy(Exception):  # noqa: N818 - what the caller is told, not a fault
    """There is no room; `retry_after` is when there probably will be, in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("the queue is full")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Input:
    """Something to compute and how long it is, in tokens."""

    content: Any
    length: int


@dataclass(eq=False)
class Job:
    """
    The inputs of one request. `results` is done when all are, or one has failed.

    What is left of one that was `dropped` is not computed.
    """

    common: Hashable
    left: int
    results: Future[list[Any]] = field(default_factory=Future)
    found: dict[int, Any] = field(default_factory=dict)
    dropped: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for it."""
        return not (self.dropped or self.results.done())

    def give(self, place: int, result: Any) -> None:
        """The result of one input; an exception is the whole request's."""
        if self.results.done():
            return
        if isinstance(result, BaseException):
            self.results.set_exception(result)
            return
        self.found[place] = result
        self.left -= 1
        if not self.left:
            self.results.set_result([self.found[at] for at in range(len(self.found))])


@dataclass(eq=False)
class _Piece:
    job: Job
    place: int
    input: Input


class Batcher:
    """
    Computes batches of at most *size* inputs and *tokens* padded tokens in a thread of its own.

    At most *waiting* inputs wait; a request that finds nobody waiting is taken whatever its size.
    Where *compute* does not pad, inputs come together as their turns are, whatever their lengths.
    """

    def __init__(
        self, compute: Compute, *, size: int, tokens: int, waiting: int, pads: bool = True
    ) -> None:
        self._compute = compute
        self._size, self._tokens, self._limit = size, tokens, waiting
        self._pads = pads
        self._heap: list[tuple[int, int, _Piece]] = []
        self._numbers = itertools.count()
        self._turn = 0
        self._ahead = 0  # tokens that wait
        self._pace = 0.0  # seconds a token, lately
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="batches", daemon=True).start()

    def submit(self, common: Hashable, inputs: Sequence[Input]) -> Job:
        """Begin; only inputs with an equal *common* come into one batch. Busy without room."""
        job = Job(common, len(inputs))
        # Those of like length take their turns one after another.
        places = sorted(range(len(inputs)), key=lambda place: -inputs[place].length)
        with self._changed:
            over = len(self._heap) + len(inputs) - self._limit
            if self._heap and over > 0:
                raise Busy(self._until_room(over))
            for behind, place in enumerate(places):
                self._push(self._turn + behind, _Piece(job, place, inputs[place]))
            self._changed.notify()
        return job

    def _until_room(self, over: int) -> float:
        """Seconds until *over* of those that wait are done, as things went lately."""
        if not self._pace:
            return 1.0
        return max(0.05, self._pace * self._ahead * min(1.0, over / len(self._heap)))

    def _push(self, turn: int, piece: _Piece) -> None:
        heapq.heappush(self._heap, (turn, next(self._numbers), piece))
        self._ahead += piece.input.length

    def _pop(self) -> tuple[int, _Piece]:
        turn, _, piece = heapq.heappop(self._heap)
        self._ahead -= piece.input.length
        return turn, piece

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._heap)
                batch = self._next()
            if batch:
                self._run(batch)

    def _next(self) -> list[_Piece]:
        """The input whose turn it is and its like; none if nobody waits for those any more."""
        seen: list[tuple[int, _Piece]] = []
        while self._heap and len(seen) < LOOK_AHEAD * self._size:
            turn, piece = self._pop()
            if piece.job.is_wanted:
                seen.append((turn, piece))
        if not seen:
            return []
        self._turn, first = seen[0]
        alike = [each for each in seen if each[1].job.common == first.job.common]
        if self._pads:
            alike.sort(key=lambda each: abs(each[1].input.length - first.input.length))
        batch, longest, real = [first], first.input.length, first.input.length
        for _, piece in alike:
            if len(batch) == self._size:
                break
            would, length = real + piece.input.length, max(longest, piece.input.length)
            padded = length * (len(batch) + 1) if self._pads else would
            if piece is first or padded > self._tokens:
                continue
            if padded - would > PADDING + would // 4:
                continue
            batch.append(piece)
            longest, real = length, would
        taken = {id(piece) for piece in batch}
        for turn, piece in seen:
            if id(piece) not in taken:
                self._push(turn, piece)
        return batch

    def _run(self, batch: list[_Piece]) -> None:
        began = time.perf_counter()
        results = self._results(batch)
        spent = time.perf_counter() - began
        pace = spent / max(1, sum(piece.input.length for piece in batch))
        self._pace = 0.8 * self._pace + 0.2 * pace if self._pace else pace
        for piece, result in zip(batch, results, strict=True):
            piece.job.give(piece.place, result)

    def _results(self, batch: list[_Piece]) -> Sequence[Any]:
        common = batch[0].job.common
        try:
            return self._compute(common, [piece.input.content for piece in batch])
        except Exception as exc:  # noqa: BLE001 - a library's code, and a model's
            if len(batch) == 1:
                return [exc]
        # What one input does to the model must not fall on the others, who are not its caller's.
        return [self._results([piece])[0] for piece in batch]
