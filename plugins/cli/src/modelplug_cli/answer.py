"""A model's answer on its way to the terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from attrs import define, field

from modelplug_cli.output import DIM, for_terminal, note, styled, waiting

if TYPE_CHECKING:
    from modelplug.models import Model
    from modelplug.types import Event, Usage
    from modelplug_cli.options import Wanted


def open_chat(wanted: Wanted) -> Model:
    """The chat model of that name; Unsupported for one of another type."""
    import modelplug
    from modelplug.errors import Unsupported

    opened: Model = modelplug.AutoModel(**wanted)
    if not opened.type.chats:
        msg = f"{opened.model!r} is a model of type {opened.type} and does not chat"
        raise Unsupported(msg)
    return opened


@define
class Answer:
    """What arrived so far. It stays readable when an error or Ctrl-C cuts the answer short."""

    parts: list[str] = field(factory=list)
    usage: Usage | None = None
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """The answer without the reasoning."""
        return "".join(self.parts)

    def receive(self, model: Model, question: object, **options: Any) -> None:
        """Stream the answer to stdout, and its reasoning, dimmed, to a terminal's stderr."""
        began = time.monotonic()
        pen = _Pen()
        try:
            with (
                waiting(model.model) as spinner,
                contextlib.closing(model.events(question, **options)) as events,
            ):
                for event in events:
                    spinner.stop()
                    self._take(event, pen)
        finally:
            self.seconds = time.monotonic() - began
            pen.lift()

    def _take(self, event: Event, pen: _Pen) -> None:
        if event.kind == "text":
            self.parts.append(event.text)
            pen.text(event.text)
        elif event.kind == "reasoning":
            pen.thought(event.text)
        elif event.kind == "tool_call":
            note(f"the model asks for the tool {event.name}({event.arguments_text})")
        elif event.kind == "usage":
            self.usage = event


class _Pen:
    """
    Writes pieces as they come, and keeps answer and reasoning on lines of their own.

    On a terminal blank lines at either end of the answer are left out, and control characters.
    """

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._thinks = self._terminal and sys.stderr.isatty()
        self._thinking = False
        self._last = "\n"
        self._held = ""

    def text(self, text: str) -> None:
        shown = self._fitted(text) if self._terminal else text
        if not shown:
            return
        if self._thinking:
            sys.stderr.write("\n\n")
            sys.stderr.flush()
            self._thinking = False
        sys.stdout.write(shown)
        sys.stdout.flush()
        self._last = shown[-1]

    def _fitted(self, text: str) -> str:
        text = self._held + for_terminal(text)
        if self._last == "\n":
            text = text.lstrip("\n")
        shown = text.rstrip("\n")
        self._held = text[len(shown) :]
        return shown

    def thought(self, text: str) -> None:
        if self._thinks:
            if not self._thinking:
                self.lift()
            sys.stderr.write(styled(for_terminal(text), DIM, sys.stderr))
            sys.stderr.flush()
            self._thinking = True

    def lift(self) -> None:
        """End the line that is open."""
        if self._thinking:
            sys.stderr.write("\n")
        if self._last != "\n":
            sys.stdout.write("\n")
            self._last = "\n"
        sys.stdout.flush()


def show_usage(usage: Usage | None, seconds: float) -> None:
    """One line on stderr; a figure that was estimated has a `~` before it."""
    if usage is None:
        note(f"tokens: not told; {seconds:.1f} s")
        return
    figures = (
        ("in", "input_tokens"),
        ("out", "output_tokens"),
        ("reasoning", "reasoning_tokens"),
        ("cached", "cached_tokens"),
    )
    told = [
        f"{'~' if name in usage.estimated else ''}{value} {word}"
        for word, name in figures
        if (value := getattr(usage, name)) is not None
    ]
    note(f"tokens: {', '.join(told) or 'not told'}; {seconds:.1f} s")
