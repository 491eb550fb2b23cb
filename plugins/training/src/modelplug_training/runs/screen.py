"""A training on the terminal: a bar, figures and the curve of the loss, drawn from events alone."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from modelplug_training.runs.curve import text_curve
from modelplug_training.runs.events import Event, History

_HEIGHT = 6


class Screen:
    """What is shown on stderr while a training runs; nothing where that is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr, highlight=False, markup=False)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, event: Event, history: History) -> None:
        """Draw what is known now; a warning stays above."""
        if self._live is None:
            return
        if event["event"] == "warning":
            self.note(event["text"])
        self._live.update(picture(history, self._console.width), refresh=True)

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._console.is_terminal:
            self._console.print(Text(text, style="dim"))


def picture(history: History, width: int) -> RenderableType:
    """Bar, figures and curve."""
    parts: list[RenderableType] = []
    if history.total:
        row = Table.grid(padding=(0, 1))
        row.add_row(
            Text(f"step {history.step}/{history.total}", style="bold"),
            ProgressBar(history.total, history.step, width=max(10, min(40, width - 50))),
            Text(_figures(history)),
        )
        parts.append(row)
    parts += [Text(line, style="cyan") for line in text_curve(history.losses, width, _HEIGHT)]
    return Group(*parts)


def _figures(history: History) -> str:
    told = []
    if history.losses:
        told.append(f"loss {history.losses[-1].loss:.4g}")
    if history.evals and (loss := history.evals[-1][1].get("loss")) is not None:
        told.append(f"eval {loss:.4g}")
    if (left := history.seconds_left) is not None:
        told.append(f"{_duration(left)} left")
    return " · ".join(told)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes}:{rest:02}"
