"""
Recording provider traffic and playing it back: `with modelplug.tape("x.jsonl"): ...`.

A tape is a file of one JSON object a line: the request without its secrets, and the reply
with its pieces and when each came. It is played back strictly: a request that is not on it
is an error that shows how the nearest one differs.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import orjson

from modelplug.errors import ConfigError, TapeMismatch
from modelplug.proxies import is_loopback
from modelplug.types import Secret
from modelplug.wire import Request, Response

Mode = Literal["auto", "record", "replay"]

_KEPT_HEADERS = frozenset(
    # The last two: a server that says in a header, not in the body, how a job stands.
    "content-type retry-after retry-after-ms x-request-id x-api-status-code x-api-message".split()
)

_current: ContextVar[Tape | None] = ContextVar("modelplug_tape", default=None)


@contextmanager
def tape(path: str | Path, mode: Mode = "auto", *, timing: bool = False) -> Iterator[Tape]:
    """
    Record the calls inside, or play them back: record if *path* does not exist ("auto").

    With *timing*, playing back pauses between the pieces of a stream as the provider did.
    Threads and tasks started inside are on the tape as well where they inherit the context,
    as asyncio's do. Raises TapeMismatch for a request that the tape does not hold.
    """
    file = Path(path)
    if mode not in ("auto", "record", "replay"):
        msg = f"mode= is auto, record or replay, not {mode!r}"
        raise ConfigError(msg)
    records = mode == "record" or (mode == "auto" and not file.exists())
    made = Tape(file, records=records, timing=timing)
    token = _current.set(made)
    try:
        yield made
    finally:
        _current.reset(token)
        made.close()


def current() -> Tape | None:
    """The tape that calls of this context go on, if any."""
    return _current.get()


class Tape:
    """What `tape` gives. `records` tells which way it runs; `played` how many calls so far."""

    def __init__(self, path: Path, *, records: bool, timing: bool) -> None:
        self.path = path
        self.records = records
        self.timing = timing
        self.played = 0
        self._lock = threading.Lock()
        self._lines: list[dict[str, Any]] = []
        self._used: set[int] = set()
        if not records:
            self._lines = _read(path)

    def find(self, request: Request) -> Played:
        """The first reply on the tape to such a request that was not played yet."""
        wanted = describe(request)
        with self._lock:
            for at, line in enumerate(self._lines):
                if at not in self._used and line["request"] == wanted:
                    self._used.add(at)
                    self.played += 1
                    return Played(line["response"], self.timing)
        raise self._mismatch(wanted)

    def note(self, request: Request, response: dict[str, Any]) -> None:
        """Put one call on the tape."""
        line = orjson.dumps({"request": describe(request), "response": response})
        with self._lock:
            self._lines.append({})
            with self.path.open("ab" if len(self._lines) > 1 else "wb") as file:
                file.write(line + b"\n")

    def close(self) -> None:
        """A recording without a call is a file all the same, so that it can be played."""
        if self.records and not self._lines:
            self.path.write_bytes(b"")

    def _mismatch(self, wanted: Mapping[str, Any]) -> TapeMismatch:
        shown = _pretty(wanted)
        rest = [line["request"] for at, line in enumerate(self._lines) if at not in self._used]
        if not rest:
            msg = f"every call on {str(self.path)!r} was played and another one came:\n{shown}"
            return TapeMismatch(f"{msg}\n; record the tape again")
        nearest = max(
            map(_pretty, rest), key=lambda text: difflib.SequenceMatcher(None, text, shown).ratio()
        )
        difference = "\n".join(
            difflib.unified_diff(
                nearest.splitlines(), shown.splitlines(), "on the tape", "this call", lineterm=""
            )
        )
        msg = (
            f"{str(self.path)!r} holds no such call; the nearest differs so:\n{difference}\n"
            f"; record the tape again if the change is meant"
        )
        return TapeMismatch(msg)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as exc:
        msg = f"the tape {str(path)!r} cannot be read: {exc.strerror}; record it first"
        raise ConfigError(msg) from exc
    try:
        told = [orjson.loads(line) for line in lines]
        return [{"request": line["request"], "response": line["response"]} for line in told]
    except (orjson.JSONDecodeError, TypeError, KeyError) as exc:
        msg = f"the tape {str(path)!r} is damaged: {exc}; record it again"
        raise ConfigError(msg) from exc


def _pretty(request: Mapping[str, Any]) -> str:
    return orjson.dumps(request, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()


def describe(request: Request) -> dict[str, Any]:
    """
    What two requests must have in common to be the same call: never a key.

    Files stand there by their digest. A local engine's port and the name that a client
    gives a request are left out: they change.
    """
    secrets = [request.auth] if request.auth else []
    secrets += list(request.secret_headers.values())
    told: dict[str, Any] = {
        "method": request.method,
        "url": _redacted(_portless(request.url), secrets),
        "headers": {
            name: _redacted(value, secrets)
            for name, value in sorted(request.headers.items())
            if not name.endswith("request-id")
        },
        "stream": request.stream,
    }
    if request.body:
        told["body"] = _body(request.body, secrets)
    if request.form:
        told["form"] = dict(sorted(request.form.items()))
    if request.files:
        told["files"] = [
            [name, media.file_name, hashlib.sha256(media.data).hexdigest()]
            for name, media in request.files
        ]
    return told


def _portless(url: str) -> str:
    parts = urlsplit(url)
    local = parts.port is not None and is_loopback(parts.hostname or "")
    return urlunsplit(parts._replace(netloc=parts.hostname or "")) if local else url


def _redacted(text: str, secrets: list[Secret]) -> str:
    for secret in secrets:
        text = secret.redact(text)
    return text


def _body(body: bytes, secrets: list[Secret]) -> Any:
    try:
        return orjson.loads(_redacted(body.decode(), secrets))
    except (UnicodeDecodeError, orjson.JSONDecodeError):
        return hashlib.sha256(body).hexdigest()


def pack(data: bytes) -> str | dict[str, str]:
    """Bytes for the tape: text where they are text."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def unpack(packed: str | Mapping[str, str]) -> bytes:
    """What `pack` packed."""
    if isinstance(packed, str):
        return packed.encode()
    return base64.b64decode(packed["base64"])


class Recorder:
    """Notes one reply as it comes; nothing is written before it has ended."""

    def __init__(self, tape: Tape, request: Request, response: Response) -> None:
        self._tape = tape
        self._request = request
        self._begun = time.monotonic()
        headers = {k: v for k, v in response.headers.items() if k in _KEPT_HEADERS}
        self._told: dict[str, Any] = {"status": response.status, "headers": headers}
        self._pieces: list[list[Any]] = []
        if not response.streaming:
            self._told["body"] = pack(response.body)

    def piece(self, data: bytes | None) -> None:
        """One piece of a stream; None is its end."""
        if data is not None:
            after = round(time.monotonic() - self._begun, 4)
            self._pieces.append([after, pack(data)])

    def done(self) -> None:
        """The reply has ended, or the caller has had enough."""
        if "body" not in self._told:
            self._told["pieces"] = self._pieces
        self._tape.note(self._request, self._told)


class Played:
    """One reply off the tape."""

    def __init__(self, told: Mapping[str, Any], timing: bool) -> None:
        self._pieces = iter(told.get("pieces", ()))
        self._timing = timing
        self._at = 0.0
        self.response = Response(
            told["status"],
            told["headers"],
            unpack(told.get("body", "")),
            streaming="pieces" in told,
        )

    def read(self) -> tuple[float, bytes | None]:
        """(seconds to pause, the next piece or None)."""
        piece = next(self._pieces, None)
        if piece is None:
            return 0.0, None
        after, packed = piece
        pause = after - self._at if self._timing else 0.0
        self._at = after
        return pause, unpack(packed)
