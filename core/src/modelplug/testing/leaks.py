"""Where a key must not be seen: reprs, messages, tracebacks with their locals, logs."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

CANARY = "sk-canary-7Qd4mZ1xW9cR5tYb"
"""The key that the contract calls with, so that it can be looked for."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """*error*, its causes and its contexts, those that `from None` hides included."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        this = waiting.pop()
        if this is None or id(this) in seen:
            continue
        seen.add(id(this))
        yield this
        waiting += [this.__cause__, this.__context__]
        if isinstance(this, BaseExceptionGroup):
            waiting += this.exceptions


def places_in_error(error: BaseException, secret: str = CANARY) -> list[str]:
    """Each place of *error*, or of what led to it, that shows *secret*; [] when none does."""
    places: list[str] = []
    for this in chain(error):
        name = type(this).__name__
        shown = {
            "str": str(this),
            "repr": repr(this),
            "args": repr(this.args),
            "fields": repr(vars(this)),
            "notes": repr(getattr(this, "__notes__", [])),
        }
        places += [f"{what} of {name}" for what, text in shown.items() if secret in text]
        told = traceback.TracebackException.from_exception(this, capture_locals=True)
        for frame in told.stack:
            places += [
                f"local {local!r} of {frame.name} ({frame.filename}:{frame.lineno}) "
                f"in the traceback of {name}"
                for local, text in (frame.locals or {}).items()
                if secret in text
            ]
    return places


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(f"{record.name}: {self.format(record)} {record.__dict__!r}")


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """All that any logger says inside, from DEBUG up, with the fields of each record."""
    collector = _Collector()
    loggers = [logging.getLogger()] + [
        logger
        for logger in logging.Logger.manager.loggerDict.values()
        if isinstance(logger, logging.Logger)
    ]
    before = [(logger, logger.level, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
        if logger.parent is None or not logger.propagate:
            logger.addHandler(collector)
    try:
        yield collector.records
    finally:
        for logger, level, disabled in before:
            logger.setLevel(level)
            logger.disabled = disabled
            logger.removeHandler(collector)
