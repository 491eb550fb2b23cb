"""Where engines' output goes: `<home>/logs`, a file for each launch, the newest kept."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from modelplug.errors import ConfigError

KEPT = 20
"""Logs of one engine name that are kept."""

LONGEST = 16 * 1024 * 1024
"""Bytes above which a log begins anew when its engine is started again."""

_TAIL_BYTES = 64 * 1024
_BLOCK = 4096
_numbers = itertools.count()


def home(env: Mapping[str, str]) -> Path:
    """The folder of modelplug's own files: MODELPLUG_HOME, else ~/.modelplug."""
    return Path(env.get("MODELPLUG_HOME") or "~/.modelplug").expanduser()


def new_log(name: str, env: Mapping[str, str]) -> Path:
    """
    A new, empty log file that only its owner can read; older ones of *name* are pruned.

    ConfigError if the folder cannot be written.
    """
    folder = home(env) / "logs"
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "engine"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _prune(folder, stem)
        return _create(folder, stem)
    except OSError as exc:
        too_many = exc.errno in (errno.EMFILE, errno.ENFILE)
        mend = "raise the limit (ulimit -n)" if too_many else "set MODELPLUG_HOME"
        msg = f"no log can be written to {str(folder)!r}: {exc.strerror}; {mend}"
        raise ConfigError(msg) from exc


def _create(folder: Path, stem: str) -> Path:
    moment = time.strftime("%Y%m%d-%H%M%S")
    number = next(_numbers)
    path = folder / f"{stem}-{moment}-{os.getpid()}-{number}.log"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path


def _prune(folder: Path, stem: str) -> None:
    ours = [path for path in folder.glob(f"{stem}-*") if _STAMP.fullmatch(path.name[len(stem) :])]
    for old in sorted(ours)[: -KEPT + 1]:  # the stamp sorts by time
        old.unlink(missing_ok=True)  # another program may prune at the same time


_STAMP = re.compile(r"-\d{8}-\d{6}-\d+-\d+\.log")


def bound(log: Path) -> None:
    """Begin *log* anew if it has grown too long."""
    if log.stat().st_size > LONGEST:
        os.truncate(log, 0)


def tail(log: Path, start: int = 0) -> list[str]:
    """The last lines of *log*, at most 64 KiB of it, from byte *start* on; without blank ones."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start if start <= size else 0, size - _TAIL_BYTES))
        text = file.read().decode("utf-8", "replace")
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if shutil.disk_usage(log.parent).free < _BLOCK:
        # Whoever wrote it could not say so.
        lines.append("modelplug: No space left on device: this log may lack its end")
    return lines
