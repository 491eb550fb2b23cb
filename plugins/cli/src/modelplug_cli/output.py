"""Data on stdout, talk on stderr, and styles only where a terminal wants them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

DIM, RED, BOLD_CYAN = "2", "1;31", "1;36"

# Not tab and newline. A model's text is a stranger's: an escape sequence in it could set the
# terminal's clipboard (OSC 52) or hide text.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def styled(text: str, style: str, stream: TextIO) -> str:
    """*text* in *style*, where *stream* is a terminal and NO_COLOR is not set."""
    plain = not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"\033[{style}m{text}\033[0m"


def for_terminal(text: str) -> str:
    """*text* without control characters other than tab and newline."""
    return _CONTROL.sub("", text)


def note(text: str) -> None:
    """A dimmed line of talk."""
    sys.stdout.flush()
    print(styled(text, DIM, sys.stderr), file=sys.stderr)


def show_error(error: Exception) -> None:
    """`error: ...` on stderr."""
    sys.stdout.flush()
    text = for_terminal(str(error)) or type(error).__name__
    print(styled("error:", RED, sys.stderr), text, file=sys.stderr)


def write_json(value: Any, *, indent: bool = True) -> None:
    """*value* as JSON in UTF-8, with a newline at its end."""
    import orjson

    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    if indent:
        option |= orjson.OPT_INDENT_2
    sys.stdout.write(orjson.dumps(value, option=option).decode())


def write_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """
    A table on a terminal, without the columns that are empty; elsewhere a line of
    tab-separated fields for each row.
    """
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(" ".join(field.split()) for field in row))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    filled = [place for place in range(len(headings)) if any(row[place] for row in rows)]
    for place in filled:
        table.add_column(headings[place], overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[place]) for place in filled))
    console(sys.stdout).print(table)


_STYLES: Mapping[str, str] = {
    "ok": "green",
    "note": "yellow",
    "broken": "bold red",
    "duplicate": "bold red",
    "blocked": "yellow",
}


def _cell(field: str) -> Any:
    from rich.text import Text

    return Text(for_terminal(field), style=_STYLES.get(field, ""))


def console(stream: TextIO) -> Console:
    """rich's console; it costs 80 ms of CPU to import, so only where a terminal is (2026-11)."""
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


@contextmanager
def waiting(text: str) -> Iterator[Any]:
    """A spinner on stderr until the block ends or `stop()` of what it gives; none in a pipe."""
    if not sys.stderr.isatty():
        yield _Still()
        return
    sys.stdout.flush()
    with console(sys.stderr).status(text, spinner="dots") as status:
        yield status


class _Still:
    def stop(self) -> None:
        """Nothing turns here."""
