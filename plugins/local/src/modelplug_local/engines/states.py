"""
What keepers write down of their engines: `<home>/engines/<key>.json`, mode 0600 in 0700.

Such a file says where prompts go and what is sent a signal, so nothing in it is believed that
could be another user's, or is not of the form that is written here.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson
from attrs import asdict, frozen

from modelplug.errors import BadReply, ConfigError
from modelplug.structure import parse_json, structure
from modelplug_local.engines import logs
from modelplug_local.engines.ports import HOST

_LARGEST = 64 * 1024
_KEY = re.compile(r"[0-9a-f]{32}")
_URL = re.compile(rf"http://{re.escape(HOST)}:\d{{1,5}}(/[\w/.-]*)?")


@frozen
class State:
    """
    One engine. `process` is the identity of the keeper `pid`, `ready` the path that tells that
    the engine serves, `base` that of its OpenAI routes, `starts` how often it was started and
    `began` when first, in seconds since 1970.
    """

    name: str
    engine: str
    model: str
    url: str
    ready: str
    base: str
    token: str
    log_path: str
    pid: int
    process: str
    status: str
    starts: int
    began: float


def folder() -> Path:
    """Where the files are, made if it is not there; ConfigError unless it is ours alone."""
    path = logs.home(os.environ) / "engines"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        msg = f"{str(path)!r} cannot be made: {exc.strerror}; set MODELPLUG_HOME"
        raise ConfigError(msg) from exc
    if not _is_ours(path.lstat(), stat.S_IFDIR):
        msg = f"{str(path)!r} is not this user's alone; chmod 700 it, or set MODELPLUG_HOME"
        raise ConfigError(msg)
    return path


def every_key() -> list[str]:
    """The keys of all files, whatever is in them; none where the folder is not ours alone."""
    path = logs.home(os.environ) / "engines"
    if not path.is_dir() or not _is_ours(path.lstat(), stat.S_IFDIR):
        return []
    return sorted(file.stem for file in path.glob("*.json") if _KEY.fullmatch(file.stem))


def read(key: str) -> State | None:
    """The state under *key*; None where there is none that can be believed."""
    path = _path(key)
    try:
        if not _is_ours(path.parent.lstat(), stat.S_IFDIR):
            return None
        # Neither a link is followed nor a fifo waited for.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        if not _is_ours(os.fstat(fd), stat.S_IFREG):
            return None
        data = file.read(_LARGEST + 1)
    try:
        state = structure(parse_json(data), State)
    except BadReply:
        return None
    sound = len(data) <= _LARGEST and _URL.fullmatch(state.url) and state.pid > 1
    return state if sound and state.token and state.process else None


def write(key: str, state: State) -> None:
    """Replace the state under *key*: whoever reads sees the old one or the new one, whole."""
    path = folder() / f"{key}.json"
    beside = path.with_suffix(f".{os.getpid()}.new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(orjson.dumps(asdict(state)))
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def remove(key: str, process: str = "") -> None:
    """Take away what is under *key*; with *process* only if that keeper wrote it."""
    state = read(key)
    if not process or (state is not None and state.process == process):
        with suppress(OSError):
            _path(key).unlink()


@contextmanager
def alone(key: str) -> Iterator[None]:
    """For the time of a start: who else wants to start the same waits here."""
    path = folder() / f"{key}.lock"
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            if os.fstat(fd).st_ino != path.lstat().st_ino:
                raise FileNotFoundError(path)
        except FileNotFoundError:  # who had it before has taken the file away
            os.close(fd)
            continue
        break
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)


def _path(key: str) -> Path:
    return logs.home(os.environ) / "engines" / f"{key}.json"


def _is_ours(found: os.stat_result, kind: int) -> bool:
    return (
        stat.S_IFMT(found.st_mode) == kind
        and found.st_uid == os.geteuid()
        and not found.st_mode & 0o077
    )
