"""
What a trainer tells while it runs, and what is known of it from that alone.

Bar, curve, picture, `tune status` and the checks all read a `History`; nothing else of a
trainer is looked at. The events are described at `modelplug.types.Training`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from attrs import define, field, frozen

Event = Mapping[str, Any]


class Follower:
    """Reads a file of events as it grows; a line that is not complete yet waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def __iter__(self) -> Iterator[Event]:
        """The events that have come since the last time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                yield json.loads(line)


def mend(path: Path) -> None:
    """Take away the half line that a killed trainer has left, so that the next can append."""
    if path.exists():
        text = path.read_bytes()
        path.write_bytes(text[: text.rfind(b"\n") + 1])


@frozen
class Point:
    """The loss, and the learning rate where it is told, at one step."""

    step: int
    loss: float
    lr: float | None = None


@define
class History:
    """
    A training so far, over all its tries.

    `at` is the time of the last event, `began` that of the first one of this try.
    """

    step: int = 0
    total: int = 0
    epoch: float | None = None
    began: float = 0.0
    at: float = 0.0
    started_at: int = 0
    losses: list[Point] = field(factory=list)
    evals: list[tuple[int, Mapping[str, float]]] = field(factory=list)
    checkpoints: list[tuple[int, str]] = field(factory=list)
    warnings: list[str] = field(factory=list)
    samples: list[Mapping[str, Any]] = field(factory=list)
    begun: Event | None = None
    failed: Event | None = None
    finished: Event | None = None
    fault: str = ""
    """What is wrong with the figures themselves; the training must end."""

    _before: list[float] = field(factory=list)

    @classmethod
    def of(cls, path: Path) -> History:
        """What the file of events tells."""
        history = cls()
        for event in Follower(path):
            history.add(event)
        return history

    def add(self, event: Event) -> None:
        """Take one event in; one of a later version of the contract is passed over."""
        self.at = event["time"]
        take = getattr(self, f"_{event['event']}", None)
        if take is not None:
            take(event)

    def _started(self, event: Event) -> None:
        self.begun, self.failed, self.finished, self.fault = event, None, None, ""
        self.began, self.step, self.total = event["time"], event["step"], event["total"]
        self.started_at = event["step"]
        # Those after the checkpoint that it goes on from were of steps that are done again.
        self.losses = [point for point in self.losses if point.step <= self.step]
        self.evals = [each for each in self.evals if each[0] <= self.step]
        self._before = [point.loss for point in self.losses]

    def _metric(self, event: Event) -> None:
        self.step, self.total = event["step"], event["total"]
        self.epoch = event.get("epoch")
        loss = event["loss"]
        if loss is None or not math.isfinite(loss):
            self.fault = f"the loss is {loss} at step {self.step}"
            return
        self.losses.append(Point(self.step, loss, event.get("lr")))
        self._check_jump(loss)

    def _check_jump(self, loss: float) -> None:
        # A trainer that resumes and loads no weights goes on from the base without a word
        # (FlagEmbedding 1.4.2: from 1.72 to 4.08, and exit status 0; 2026-11).
        before, self._before = self._before, []
        if len(before) < 2:
            return
        recent = before[len(before) // 2 :][-5:]
        typical = median(recent)
        has_learnt = typical < 0.8 * before[0]
        if has_learnt and loss > max(recent) and loss > (before[0] + typical) / 2:
            self.fault = (
                f"the loss was {typical:.3g} where it was interrupted and is {loss:.3g} after "
                f"resuming ({before[0]:.3g} at the beginning): the checkpoint was not loaded"
            )

    def _eval(self, event: Event) -> None:
        self.evals.append((event["step"], event["metrics"]))

    def _checkpoint(self, event: Event) -> None:
        self.checkpoints.append((event["step"], event["path"]))

    def _warning(self, event: Event) -> None:
        self.warnings.append(event["text"])

    def _samples(self, event: Event) -> None:
        self.samples = list(event["samples"])

    def _failed(self, event: Event) -> None:
        self.failed = event

    def _finished(self, event: Event) -> None:
        self.finished = event
        self.step, self.total = event["step"], event["total"]

    @property
    def seconds_left(self) -> float | None:
        """About how long it will take yet."""
        done = self.step - self.started_at
        if done <= 0 or self.total <= self.step:
            return None
        return (self.at - self.began) / done * (self.total - self.step)

    def last_checkpoint(self, output: Path) -> Path | None:
        """The newest complete checkpoint that is still there."""
        for _, path in reversed(self.checkpoints):
            if (output / path).is_dir():
                return output / path
        return None
