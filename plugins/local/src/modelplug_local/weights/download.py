"""
Fetches weights from a hub: the files that one format needs, verified, all of them or none.

The hub's own client works in a child process (fetcher.py); this side chooses the files, sees
that the disk has room, watches that bytes come, and puts what is complete in its place.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, field, frozen

from modelplug.errors import (
    AuthRefused,
    BadReply,
    CallError,
    ConfigError,
    NoModel,
    PermissionRefused,
    TimedOut,
    TransportFailed,
    refused,
)
from modelplug_local.engines.logs import new_log, tail
from modelplug_local.weights import fetcher
from modelplug_local.weights.hubs import Access
from modelplug_local.weights.progress import Progress, shown
from modelplug_local.weights.store import (
    File,
    Manifest,
    check_disk,
    check_path,
    locked,
    note_listing,
    publish,
    read_manifest,
    staging,
    write_manifest,
)

Choose = Callable[[Sequence[str]], Sequence[str]]
"""The names of all files of a repository to those that are wanted; NoModel if there are none."""

TRIES = 3
"""How often a connection that hangs is begun anew; what has arrived is kept."""


@frozen
class Patience:
    """
    A download hangs if nothing came in `seconds` and nothing was computed either.

    Both clients give up by themselves at a silent connection; this is for one that drips.
    """

    seconds: float = 120.0
    computing: float = 0.05  # of the time: hashing a file that is there already needs minutes


class _Hangs(Exception):
    """Nothing came for too long."""


def download(
    repository: str,
    choose: Choose,
    access: Access,
    root: Path,
    *,
    ready: Callable[[Path], bool] = lambda _: False,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Path:
    """
    The folder under the cache *root* that holds the files of *repository* that *choose* picks.

    *ready* tells of the folder whether another process has fetched them meanwhile.

    Raises NoModel for a repository that does not exist, a CallError for whatever else the hub
    did, ConfigError if the disk has no room or the hub's client is missing. What has arrived
    stays, and the next call goes on from there.
    """
    folder = root / repository
    staged = staging(root, access.hub.name, repository)
    with locked(root, repository):
        if ready(folder):
            return folder
        for last in (*[False] * (TRIES - 1), True):
            with _Child(repository, access, patience or Patience()) as child:
                try:
                    manifest = child.list()
                    note_listing(root, manifest)
                    wanted = _wanted(manifest, choose)
                    missing = _missing(folder, wanted)
                    if missing:
                        _prepare(root, staged, evolve(manifest, files=wanted), missing)
                        with shown(repository, progress) as tell:
                            digests = child.fetch(missing, staged, tell)
                        wanted = [evolve(f, sha256=digests.get(f.path, f.sha256)) for f in wanted]
                        publish(staged, folder, evolve(manifest, files=_complete(folder, wanted)))
                    return folder
                except _Hangs as exc:
                    if last:
                        raise child.hung(str(exc)) from None
    raise AssertionError  # the last try returns or raises


def files_of(repository: str, choose: Choose, access: Access, root: Path) -> Manifest:
    """The files that *choose* would have of *repository*; asks the hub, fetches nothing."""
    with _Child(repository, access, Patience()) as child:
        try:
            manifest = child.list()
        except _Hangs as exc:
            raise child.hung(str(exc)) from None
    note_listing(root, manifest)
    return evolve(manifest, files=_wanted(manifest, choose))


def _wanted(manifest: Manifest, choose: Choose) -> list[File]:
    for file in manifest.files:
        check_path(file.path)
    by_name = {file.path: file for file in manifest.files}
    return [by_name[name] for name in choose(list(by_name))]


def _missing(folder: Path, wanted: Sequence[File]) -> list[File]:
    """Those that *folder* does not have yet, as its manifest says."""
    there = read_manifest(folder)
    had = {file.path: file for file in there.files} if there else {}

    def has(file: File) -> bool:
        known, path = had.get(file.path), folder / file.path
        if known is None or not path.is_file() or path.stat().st_size != file.size:
            return False
        if file.sha256:
            return known.sha256 == file.sha256
        return bool(file.blob) and known.blob == file.blob

    return [file for file in wanted if not has(file)]


def _complete(folder: Path, wanted: Sequence[File]) -> list[File]:
    """*wanted* with the hashes that are known from before for what was not fetched again."""
    there = read_manifest(folder)
    known = {file.path: file.sha256 for file in there.files} if there else {}
    return [f if f.sha256 else evolve(f, sha256=known.get(f.path, "")) for f in wanted]


def _prepare(root: Path, staged: Path, manifest: Manifest, missing: Sequence[File]) -> None:
    try:
        staged.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        msg = f"{str(root)!r} cannot be written: {exc.strerror}; set MODELPLUG_MODEL_CACHE_DIR"
        raise ConfigError(msg) from exc
    needed = sum(file.size for file in missing)
    check_disk(root, needed, fetcher.bytes_in(staged), manifest.repository)
    write_manifest(staged, manifest)


class _Child:
    """The process that speaks to the hub. Its output goes to a log, the talk with us over pipes."""

    def __init__(self, repository: str, access: Access, patience: Patience) -> None:
        self._repository = repository
        self._access = access
        self._patience = patience
        self._log = new_log("download", os.environ)
        self._buffer = b""

    def __enter__(self) -> _Child:
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - a list, and no shell
                    [sys.executable, "-P", fetcher.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=_environment(self._access),
                    # Ctrl-C reaches this program, which ends it; it must not print a traceback.
                    start_new_session=True,
                )
        except OSError as exc:
            msg = f"no process can be started that fetches {self._repository!r}: {exc.strerror}"
            raise ConfigError(msg) from exc
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None  # made so above
            try:
                pipe.close()
            except BrokenPipeError:  # what was not sent has no reader any more
                continue

    def list(self) -> Manifest:
        """All files of the repository."""
        token = self._access.token
        self._say(
            hub=self._access.hub.name,
            endpoint=self._access.endpoint,
            token=token.reveal() if token else None,
            repository=self._repository,
            revision=None,
        )
        told = self._until("files", lambda _: None)
        files = [File(**file) for file in told["files"]]
        return Manifest(self._access.hub.name, self._repository, str(told["revision"]), files)

    def fetch(self, files: Sequence[File], to: Path, tell: Progress) -> Mapping[str, str]:
        """Each of *files* into *to*; their sha256."""
        total = sum(file.size for file in files)
        self._say(files=[asdict(file) for file in files], to=str(to))
        done: Mapping[str, str] = self._until("done", lambda n: tell(min(n, total), total))["done"]
        tell(total, total)
        return done

    def _say(self, **message: Any) -> None:
        assert self._process.stdin is not None  # made so above
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # it has ended, and its output tells why

    def _until(self, key: str, tell: Callable[[int], None]) -> dict[str, Any]:
        """The message that has *key*."""
        watch = _Watch(self._patience)
        for message in self._messages():
            if message is None or "bytes" in message:
                watch.look(message)
                if message:
                    tell(message["bytes"])
            elif "error" in message:
                raise self._problem(message)
            elif key in message:
                return message
        msg = "its client ended without a word"
        raise self._problem({"error": "died", "text": msg, "status": None})

    def _messages(self) -> Iterator[dict[str, Any] | None]:
        """What it says, until it has nothing more to say; None now and then while it is silent."""
        assert self._process.stdout is not None  # made so above
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(self._patience.seconds / 10):
                    yield None
                    continue
                piece = os.read(self._process.stdout.fileno(), 1 << 16)
                if not piece:
                    return
                *lines, self._buffer = (self._buffer + piece).split(b"\n")
                yield from map(json.loads, lines)

    def hung(self, what: str) -> TimedOut:
        """The error of one that hangs."""
        said = self._last_words()
        msg = (
            f"{self._access.hub.name} hangs: {what} of {self._repository!r}{said}; run it again, "
            f"which goes on from there, or take another hub with MODELPLUG_MODEL_SOURCE"
        )
        return TimedOut(msg, limit="idle")

    def _last_words(self) -> str:
        lines = tail(self._log)
        return f" (its client: {self._clean(lines[-1])[:300]})" if lines else ""

    def _clean(self, text: str) -> str:
        """Without the token and without what a signed URL holds, on one line."""
        if token := self._access.token:
            text = text.replace(token.reveal(), "***")
        return re.sub(r"\?[^\s'\")>]+", "?...", " ".join(text.split()))

    def _problem(self, message: Mapping[str, Any]) -> Exception:
        hub, repository = self._access.hub, self._repository
        kind, status = message["error"], message["status"]
        text = self._clean(message["text"])[:500]
        if kind == "client":
            msg = (
                f"{hub.name} needs its client ({text}); pip install {hub.distribution}, or put the "
                f"weights under MODELPLUG_MODEL_PATH"
            )
            return ConfigError(msg)
        if kind == "disk":
            msg = f"{repository!r} cannot be written: {text}; make room, and run it again"
            return ConfigError(msg)
        if kind == "descriptors":
            msg = (
                f"{repository!r} cannot be fetched: {text}; raise the limit (ulimit -n), and run "
                f"it again"
            )
            return ConfigError(msg)
        if kind == "missing":
            asked = "may not show it to this token" if self._access.token else "hides it"
            msg = (
                f"{hub.name} has no repository {repository!r}, or {asked}; check the name at "
                f"{hub.page.format(repository)}, {_token_mend(self._access)}"
            )
            return NoModel(msg)
        if kind == "denied":
            msg = (
                f"{hub.name} does not give {repository!r} ({status}); accept its licence at "
                f"{hub.page.format(repository)}, and {_token_mend(self._access)}"
            )
            cls = PermissionRefused if status == 403 else AuthRefused
            return cls(msg, status=status, provider=hub.name)
        return self._call_error(kind, status, text)

    def _call_error(self, kind: str, status: int | None, text: str) -> CallError:
        hub = self._access.hub.name
        again = "run it again, which goes on from there, or take another hub with source="
        if status:
            msg = f"{hub} answered {status} for {self._repository!r}: {text}; {again}"
            return refused(status)(msg, status=status, provider=hub)
        if kind in ("wrong", "nonsense"):
            msg = (
                f"{hub} gave what cannot be right for {self._repository!r}: {text}; a proxy or a "
                f"login page may answer in its place: check the address, then run it again"
            )
            return BadReply(msg, provider=hub)
        msg = f"{hub} could not be reached for {self._repository!r}: {text}; {again}"
        return TransportFailed(msg, provider=hub)


@frozen
class _Watch:
    """Raises _Hangs where bytes stop coming."""

    patience: Patience
    _marks: list[tuple[float, int, float]] = field(factory=list)

    def look(self, message: Mapping[str, Any] | None) -> None:
        now = time.monotonic()
        last = self._marks[-1] if self._marks else (now, 0, 0.0)
        mark = (now, message["bytes"], message["cpu"]) if message else (now, *last[1:])
        self._marks.append(mark)
        while len(self._marks) > 1 and self._marks[1][0] <= now - self.patience.seconds:
            self._marks.pop(0)
        began, had, computed = self._marks[0]
        idle = mark[2] - computed < self.patience.computing * self.patience.seconds
        if now - began >= self.patience.seconds and mark[1] <= had and idle:
            msg = f"nothing came in {now - began:.0f} s"
            raise _Hangs(msg)


def _token_mend(access: Access) -> str:
    variable = access.hub.token_env[0]
    return f"check {variable}" if access.token else f"set {variable} if you may see it"


def _environment(access: Access) -> dict[str, str]:
    """The client's own settings, as far as it takes them at its import alone."""
    env = {**os.environ, "TQDM_DISABLE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if access.endpoint:
        for name in access.hub.endpoint_env:
            env[name] = access.endpoint
    return env
