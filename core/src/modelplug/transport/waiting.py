"""What a long wait is for, on a terminal and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_CLEAR_LINE = "\r\033[K"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show *what* on stderr while the block runs, if that is a terminal and there is a what."""
    shown = bool(what) and sys.stderr.isatty()
    if shown:
        sys.stderr.write(f"{_CLEAR_LINE}{what}")
        sys.stderr.flush()
    try:
        yield
    finally:
        if shown:
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()
