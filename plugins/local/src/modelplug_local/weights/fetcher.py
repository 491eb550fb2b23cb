"""
Speaks to a hub through its own client, as a process of its own: `python -P fetcher.py`.

Why a process: the clients read their settings when they are imported, which the caller may
have done long ago; a download in their threads cannot be interrupted; and a connection that
hangs can only be ended with what waits for it. It ends with its parent.

Lines of JSON both ways. In: {hub, endpoint, token, repository, revision}, then {files, to}.
Out: {revision, files}, then {bytes, cpu} twice a second and {done: {path: sha256}} at last;
{error, status, text} instead of either. Imports nothing of modelplug, to start fast.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

INTERVAL = 0.5
"""Seconds between two lines about progress."""

_BLOCK = 1 << 20
_WORKERS, _TRIES = 4, 4
_PIECE = 1 << 18
# The hub of Hugging Face gives larger files over Xet alone, which does not go on after a kill.
_LARGEST = 50_000_000_000
# Bookkeeping, and a file that is being put together from parts that are counted already.
_NOT_COUNTED = (".lock", ".metadata", ".parallel_tmp", "modelplug_weights.json")


class Problem(Exception):
    """What went wrong, by `kind`; `status` is HTTP's, where there was an answer."""

    def __init__(self, kind: str, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.status = status

    @classmethod
    def nonsense(cls, text: str) -> Problem:
        """An answer that cannot be read."""
        return cls("nonsense", text)


class ModelScope:
    """Both kinds of question to modelscope-hub."""

    tries_again = True
    use_cache = False

    def __init__(self, job: dict[str, Any]) -> None:
        from modelscope_hub import HubApi

        self.api = HubApi(endpoint=job["endpoint"], token=job["token"])
        self.repository = job["repository"]
        self.revision = job["revision"] or "master"
        self.entries: list[dict[str, Any]] = []

    def listing(self) -> list[dict[str, Any]]:
        """path, size, sha256 of each file."""
        found = self.api.list_repo_files(self.repository, "model", revision=self.revision)
        self.entries = [
            {"path": f.path, "size": f.size, "sha256": f.sha256 or "", "blob": ""}
            for f in found
            if f.type != "tree"
        ]
        return self.entries

    def fetch(self, files: list[dict[str, Any]], to: Path) -> None:
        """All of *files*; what is there already is kept, what has begun goes on."""
        self.api.download_repo(
            self.repository,
            "model",
            revision=self.revision,
            local_dir=to,
            max_workers=_WORKERS,
            file_list=[
                {
                    "Path": f["path"],
                    "Size": f["size"],
                    "Sha256": f["sha256"] or None,
                    "Type": "blob",
                }
                for f in files
            ],
        )


class HuggingFace:
    """Both kinds of question to huggingface_hub."""

    tries_again = False  # it gives up at the first answer of 5xx for a file (2.4.0, 2026-11)
    use_cache = True

    def __init__(self, job: dict[str, Any]) -> None:
        from huggingface_hub import HfApi

        self.api = HfApi(endpoint=job["endpoint"], token=job["token"], library_name="modelplug")
        self.repository = job["repository"]
        self.revision = job["revision"]

    def listing(self) -> list[dict[str, Any]]:
        """path, size, and sha256 or, for small files, git's id of the blob."""
        info = self.api.model_info(self.repository, revision=self.revision, files_metadata=True)
        self.revision = info.sha
        return [
            {
                "path": f.rfilename,
                "size": f.size or 0,
                "sha256": f.lfs.sha256 if f.lfs else "",
                "blob": "" if f.lfs else f.blob_id or "",
            }
            for f in info.siblings or ()
        ]

    def fetch(self, files: list[dict[str, Any]], to: Path) -> None:
        """All of *files*; what is there already is kept, what has begun goes on."""
        from concurrent.futures import ThreadPoolExecutor

        from huggingface_hub import constants

        # A chunk is written when all of it is there: with 10 MiB a slow line seems to hang.
        constants.DOWNLOAD_CHUNK_SIZE = _PIECE
        with ThreadPoolExecutor(_WORKERS) as pool:
            for _ in pool.map(lambda file: self._fetch(file, to / file["path"]), files):
                continue

    def _fetch(self, file: dict[str, Any], path: Path) -> None:
        from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils._headers import build_hf_headers

        if path.is_file():
            return
        where = {"repo_id": self.repository, "filename": file["path"], "revision": self.revision}
        if file["size"] > _LARGEST:
            to = path.parents[file["path"].count("/")]
            hf_hub_download(**where, endpoint=self.api.endpoint, token=self.api.token, local_dir=to)
            return
        # Not snapshot_download: since 2.0 it keeps nothing of a file that was not finished when
        # its process ended, and the next one begins at 0 (2.4.0, 2026-11).
        path.parent.mkdir(parents=True, exist_ok=True)
        # What other programs have fetched into the client's own cache; checked as all else is.
        cached = try_to_load_from_cache(**where) if self.use_cache else None
        if isinstance(cached, str):
            _link(Path(cached).resolve(), path)
            return
        part = path.with_name(f"{path.name}.incomplete")
        with part.open("ab") as out:
            http_get(
                hf_hub_url(**where, endpoint=self.api.endpoint),
                out,
                resume_size=out.tell(),
                headers=build_hf_headers(token=self.api.token, library_name="modelplug"),
                expected_size=file["size"],
            )
        part.rename(path)


def main() -> None:
    """One repository: list it, then fetch what the parent chooses."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the clients print goes to the log
    said = _Lines(sys.stdin)
    place: list[Path] = []
    threading.Thread(target=_report, args=(out, place), daemon=True).start()
    job = said.next()
    try:
        hub = (ModelScope if job["hub"] == "modelscope" else HuggingFace)(job)
        listed = _well_formed(hub.listing())
        _tell(out, revision=hub.revision, files=listed)
        order = said.next()
        place.append(Path(order["to"]))
        _tell(out, done=_fetch(hub, order["files"], place[0]))
    except Exception as exc:  # noqa: BLE001 - clients may raise anything; it is sorted here
        problem = exc if isinstance(exc, Problem) else _sorted_out(exc)
        sys.stderr.write(f"{type(exc).__name__}: {exc}\n")
        _tell(out, error=problem.kind, status=problem.status, text=str(problem))
    os._exit(0)  # the clients' threads need not end first


class _Lines:
    """What the parent says; its end ends this process at once, wherever it is."""

    def __init__(self, source: TextIO) -> None:
        from queue import SimpleQueue

        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._source = source
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._source:
            self._queue.put(json.loads(line))
        os._exit(1)

    def next(self) -> Any:
        return self._queue.get()


_telling = threading.Lock()


def _tell(out: TextIO, **message: Any) -> None:
    with _telling:
        out.write(json.dumps(message) + "\n")
        out.flush()


def _report(out: TextIO, place: list[Path]) -> None:
    """Twice a second, from the start: imports of clients take their time on a busy machine."""
    parent = os.getppid()
    while os.getppid() == parent:
        _tell(out, bytes=sum(map(bytes_in, place)), cpu=time.process_time())
        time.sleep(INTERVAL)
    os._exit(1)


def bytes_in(folder: Path) -> int:
    """What has arrived, whatever the client calls the files that are not complete."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            if not name.endswith(_NOT_COUNTED):
                try:
                    total += os.stat(os.path.join(at, name)).st_size
                except FileNotFoundError:  # it was just renamed
                    continue
    return total


def _fetch(hub: ModelScope | HuggingFace, files: list[dict[str, Any]], to: Path) -> dict[str, str]:
    """sha256 of each file, after each is known to be what the hub listed."""
    was_wrong = False
    for attempt in range(_TRIES):
        try:
            hub.fetch(files, to)
        except Exception as exc:  # noqa: BLE001 - see main
            problem = _sorted_out(exc)
            if problem.kind != "wrong" and (hub.tries_again or not _may_pass(problem)):
                raise problem from exc
        else:
            digests = {f["path"]: digest_of(to / f["path"], f) for f in files}
            wrong = [path for path, digest in digests.items() if not digest]
            if not wrong:
                return digests
            for path in wrong:
                (to / path).unlink(missing_ok=True)
            problem = Problem("wrong", f"{', '.join(wrong)} is not what it lists")
        if problem.kind == "wrong":
            if was_wrong:
                break
            # What was kept of an earlier try, or is in the client's cache, does not fit what
            # the hub has now.
            was_wrong, hub.use_cache = True, False
            _discard_parts(to)
        else:
            time.sleep(2**attempt)
    raise problem


def _may_pass(problem: Problem) -> bool:
    return problem.kind == "network" or problem.status in (408, 429, 500, 502, 503, 504)


def digest_of(path: Path, listed: dict[str, Any]) -> str:
    """sha256 of *path*, kept on the disk; empty if it is not what was *listed*."""
    if not path.is_file() or path.stat().st_size != listed["size"]:
        return ""
    digest, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % listed["size"])  # noqa: S324 - git's
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            if listed["blob"]:
                blob.update(block)
        os.fsync(file.fileno())
    fits = listed["sha256"] in ("", digest.hexdigest()) and listed["blob"] in ("", blob.hexdigest())
    return digest.hexdigest() if fits else ""


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:  # on another disk, or one that has no links
        shutil.copyfile(source, path)


def _discard_parts(to: Path) -> None:
    for path in [*to.rglob("*.incomplete"), *to.rglob("*.parallel_tmp")]:
        path.unlink(missing_ok=True)


def _well_formed(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for file in files:
        if not isinstance(file["path"], str) or not isinstance(file["size"], int):
            msg = f"its list of files cannot be read: {str(file)[:200]}"
            raise Problem.nonsense(msg)
    if not files:
        msg = "its list of files is empty"
        raise Problem.nonsense(msg)
    return files


def _sorted_out(error: BaseException) -> Problem:
    """The kind of an error of either client, by its class and its answer's status."""
    if isinstance(error, Problem):
        return error
    chain = _chain(error)
    statuses = [status for each in chain if (status := _status(each))]
    names = {cls.__name__ for each in chain for cls in type(each).__mro__}
    text = f"{type(chain[-1]).__name__}: {chain[-1]}" if not str(error) else str(error)
    status = statuses[0] if statuses else None
    if isinstance(error, ImportError):
        return Problem("client", text)
    if any(isinstance(each, OSError) and each.errno in _DISK for each in chain):
        return Problem("disk", text)
    if any(isinstance(each, OSError) and each.errno in _DESCRIPTORS for each in chain):
        return Problem("descriptors", text)
    if status == 416 or "Consistency check failed" in text:
        return Problem("wrong", text, status)
    kind = next((kind for kind, classes in _KINDS if names & classes), None)
    if kind is None or (kind == "network" and status):
        kind = _by_status(status) or kind or "nonsense"
    return Problem(kind, text, status)


# No space, no quota, a file-size limit, read-only, no permission.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)

_KINDS = (
    ("denied", {"GatedRepoError", "AuthenticationError", "PermissionDeniedError"}),
    ("missing", {"RepositoryNotFoundError", "RevisionNotFoundError", "NotExistError"}),
    ("wrong", {"FileIntegrityError", "FileSizeMismatchError"}),
    (
        "nonsense",
        {"JSONDecodeError", "FileMetadataError", "KeyError", "TypeError", "ValidationError"},
    ),
    (
        "network",
        {
            "ConnectionError",
            "TransportError",
            "Timeout",
            "TimeoutException",
            "RequestTimeoutError",
            "NetworkError",
            "_DownloadDeadlineError",
            "ChunkedEncodingError",
            "LocalEntryNotFoundError",
            "OfflineModeIsEnabled",
        },
    ),
)


def _by_status(status: int | None) -> str | None:
    if status in (401, 403):
        return "denied"
    if status in (404, 410):
        return "missing"
    return "status" if status else None


def _chain(error: BaseException) -> list[BaseException]:
    """*error*, the first of the files that failed with it, and what caused them."""
    chain: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in chain:
        chain.append(each)
        failed = getattr(each, "failed_files", None)
        first = next(iter(failed.values()), None) if isinstance(failed, dict) else None
        each = first if isinstance(first, BaseException) else (each.__cause__ or each.__context__)
    return chain


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    return status if isinstance(status, int) and status >= 400 else None


if __name__ == "__main__":
    main()
