"""The loss as a curve: in the terminal, and as a picture beside the weights; from events alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from modelplug_training.runs.events import History, Point

_BLOCKS = " ▁▂▃▄▅▆▇█"
_SIZE = (960, 540)
_MARGIN = (70, 30, 20, 40)  # left, top, right, bottom
_TRAIN, _EVAL, _GREY, _INK = "#1f77b4", "#d62728", "#dddddd", "#333333"
_TICKS = 5


def text_curve(points: Sequence[Point], width: int, height: int) -> list[str]:
    """Lines of block characters, the first one the top; none for fewer than two points."""
    if len(points) < 2 or width < 12:
        return []
    labels = width - 8
    columns = min(labels, len(points))
    values = [_mean(part) for part in _parts([point.loss for point in points], columns)]
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    eighths = [round((value - low) / spread * (height * 8 - 1)) + 1 for value in values]
    lines = []
    for row in range(height - 1, -1, -1):
        marks = "".join(_BLOCKS[max(0, min(8, each - row * 8))] for each in eighths)
        label = {height - 1: f"{high:7.3g}", 0: f"{low:7.3g}"}.get(row, " " * 7)
        lines.append(f"{label} {marks}")
    return lines


def _parts(values: Sequence[float], count: int) -> list[Sequence[float]]:
    """*values* in *count* parts of about one length."""
    edges = [round(place * len(values) / count) for place in range(count + 1)]
    return [values[a:b] for a, b in zip(edges, edges[1:], strict=False)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def draw(history: History, title: str, out: Path) -> bool:
    """Write the curve of a training as the PNG *out*; False where there is nothing to draw."""
    train = [(point.step, point.loss) for point in history.losses]
    measured = [
        (step, figures["loss"])
        for step, figures in history.evals
        if math.isfinite(figures.get("loss") or math.nan)
    ]
    points = [*train, *measured]
    if len(points) < 2:
        return False
    picture = Image.new("RGB", _SIZE, "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    frame = _Frame(points)
    for share in range(_TICKS + 1):
        step, loss = frame.at(share / _TICKS)
        pen.line([frame.place(frame.steps[0], loss), frame.place(frame.steps[1], loss)], _GREY)
        _, y = frame.place(step, loss)
        x, _ = frame.place(step, loss)
        pen.text((_MARGIN[0] - 8, y), f"{loss:.3g}", _INK, font, anchor="rm")
        pen.text((x, _SIZE[1] - _MARGIN[3] + 8), f"{step:.0f}", _INK, font, anchor="ma")
    for line, color, name, place in ((train, _TRAIN, "train", 0), (measured, _EVAL, "eval", 80)):
        if line:
            pen.line([frame.place(*point) for point in line], color, 2, joint="curve")
            pen.text((_SIZE[0] - 140 + place, 8), name, color, font)
    pen.text((_MARGIN[0], 8), f"{title}: loss by step", _INK, font)
    picture.save(out, "PNG")
    return True


class _Frame:
    """Where a step and a loss are in the picture."""

    def __init__(self, points: Sequence[tuple[int, float]]) -> None:
        steps, losses = zip(*points, strict=True)
        self.steps = (min(steps), max(max(steps), min(steps) + 1))
        self.losses = (min(0.0, *losses), max(losses) * 1.05 or 1.0)

    def at(self, share: float) -> tuple[float, float]:
        (a, b), (low, high) = self.steps, self.losses
        return a + share * (b - a), low + share * (high - low)

    def place(self, step: float, loss: float) -> tuple[float, float]:
        left, top, right, bottom = _MARGIN
        (a, b), (low, high) = self.steps, self.losses
        x = left + (step - a) / (b - a) * (_SIZE[0] - left - right)
        y = top + (high - loss) / (high - low) * (_SIZE[1] - top - bottom)
        return x, y
