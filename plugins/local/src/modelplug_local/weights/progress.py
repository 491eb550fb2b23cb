"""How far a download is, on one line of a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], None]
"""(bytes there, bytes in all)"""

_QUIET = ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS")


@contextmanager
def shown(title: str, callback: Progress | None) -> Iterator[Progress]:
    """*callback* if there is one; else a line on stderr where that is a terminal; else nothing."""
    if callback is not None:
        yield callback
    elif not sys.stderr.isatty() or any(os.environ.get(name) for name in _QUIET):
        yield lambda done, total: None
    else:
        line = _Line(title)
        try:
            yield line.show
        finally:
            line.end()


class _Line:
    def __init__(self, title: str) -> None:
        self._title = title
        self._begun: tuple[float, int] | None = None

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        began, had = self._begun = self._begun or (now, done)
        rate = (done - had) / (now - began) if now > began else 0.0
        parts = [f"{self._title}  {100 * done // max(total, 1):3}%  {size(done)} of {size(total)}"]
        if rate > 0:
            left = round((total - done) / rate)
            parts.append(f"{size(rate)}/s  {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
        # \033[K: what a longer line before has left at the end.
        sys.stderr.write("\r" + "  ".join(parts) + "\033[K")
        sys.stderr.flush()

    def end(self) -> None:
        if self._begun is not None:
            sys.stderr.write("\n")
            sys.stderr.flush()


def size(count: float) -> str:
    """`1.3 GB`, in powers of ten, as disks are sold and hubs count."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
