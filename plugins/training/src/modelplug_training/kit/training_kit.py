"""
What every training script needs: its request, its events, and what becomes of a failure.

This folder is on the path of a script's interpreter, which has the trainer's packages and no
modelplug: nothing here imports more than the standard library. The events are described at
`modelplug.types.Training`.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Failed(Exception):
    """The training cannot go on. `kind` is one of the kinds of the event `failed`."""

    def __init__(self, text: str, mend: str = "", *, kind: str = "error") -> None:
        super().__init__(text)
        self.kind, self.mend = kind, mend


class Run:
    """One training: its `request`, a dictionary as `Training.to_dict` makes it, and events."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.output = Path(request["output"])

    def tell(self, event: str, **fields: Any) -> None:
        """Append one event. A figure that is no number becomes null: JSON has no NaN."""
        line = json.dumps(_sane({"event": event, "time": time.time(), **fields}))
        with open(self.request["events"], "a", encoding="utf-8") as file:
            file.write(line + "\n")

    @property
    def is_told_to_stop(self) -> bool:
        """Whether to end after the step that is running and keep what there is."""
        return os.path.exists(self.request["stop"])

    def inside(self, path: str | Path) -> str:
        """*path* relative to the output, as events give it."""
        return os.path.relpath(path, self.output)


def _sane(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _sane(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_sane(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


def rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def versions(names: Iterable[str]) -> dict[str, str]:
    """Name to version of those distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main(train: Callable[[Run], None]) -> None:
    """Run *train* on the request that the first argument names; exit code 1 if it failed."""
    run = Run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    try:
        train(run)
    except Failed as exc:
        run.tell("failed", kind=exc.kind, text=str(exc), mend=exc.mend)
        sys.exit(1)
    except Exception as exc:  # noqa: BLE001 - a stranger's trainer raises what it likes
        traceback.print_exc()
        kind, mend = _sorted_out(exc)
        run.tell("failed", kind=kind, text=f"{type(exc).__name__}: {exc}", mend=mend)
        sys.exit(1)


def _sorted_out(exc: BaseException) -> tuple[str, str]:
    """(kind, mend) of an exception of somebody else's code."""
    chain = list(_chain(exc))
    # torch and safetensors wrap the system's errors in their own and keep only its text.
    text = " ".join(str(each) for each in chain)
    if any(isinstance(each, OSError) and each.errno in FULL for each in chain) or any(
        os.strerror(number) in text for number in FULL
    ):
        return "disk", "make room where the run's folder is; the same call goes on from there"
    if any(isinstance(each, ImportError) for each in chain):
        return "module", "install the trainer's packages into its interpreter"
    if (
        any(
            isinstance(each, MemoryError) or type(each).__name__ == "OutOfMemoryError"
            for each in chain
        )
        or "not enough memory: you tried to allocate" in text
    ):  # torch on CPU: a RuntimeError
        return "memory", "lower batch_size or max_len, and raise grad_accum instead"
    return "error", ""


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
