"""
Recorded replies: a folder of files, and an expected.toml that says what each must come out as.

A file is named after what it shows: `chat.json`, `chat.sse`, `tools.sse`, `embed.json`,
`error-429-quota.json`, `text2image.json`, `tts.mp3`. Its ending gives the content type.
`expected.toml` has a table for each name; `chat.json` and `chat.sse` share the table `[chat]`,
since a stream must add up to the whole. The keys of a table are the fields of `Expected`.

A call that takes several requests has `chat-1.json`, `chat-2.json` and so on in place of
`chat.json`. In a reply, `http://server.invalid` stands for the server's own address, so that
it can say where the next one is. Files that go in are in a folder `inputs`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelplug.testing.fault_server import Reply

OPENAI = Path(__file__).parent / "replies" / "openai"
"""Replies in the form of OpenAI's documentation, with what compatible servers make of it."""

STREAM_ENDINGS = (".sse", ".ndjson")

_CONTENT_TYPES = {
    ".json": "application/json",
    ".sse": "text/event-stream; charset=utf-8",
    ".ndjson": "application/x-ndjson",
    ".html": "text/html",
    ".txt": "text/plain; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".png": "image/png",
    ".bin": "application/octet-stream",
}
PLACEHOLDER = b"http://server.invalid"
_DEFAULT_INPUTS = {"llm": "2+2?", "vlm": "2+2?", "embed": "a", "rerank": "q"}
_STATUS_IN_NAME = re.compile(r"error-(\d{3})(-|$)")
_PART = re.compile(r"(.+)-(\d+)")
REQUEST_ID = "req-contract-1"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """
    What a reply must come out as; a field that is left out is not looked at.

    `input`, `options` and `files`, paths in the folder, are what the model of `type` is
    called with. `value` is what the plain call answers, `text`, `reasoning`, `tool_calls`,
    `finish_reason`, `model`, `id` and `usage` what the rich result holds, and `media` the
    `mime` and `size` in bytes of each thing that was made.

    `error` is the name of the class in modelplug.errors, `code` and `retryable` its fields,
    `says` a part of its text, and `partial` the text that was delivered before it.

    `status` and `headers` are those of the reply. `path` is how the request's path ends,
    `sends` a part of its JSON body or, with `exactly`, the whole, so that a field which the
    provider does not know fails, `sends_streaming` what a stream asks for besides, and
    `parts` fields of a multipart body, a file by its name.
    """

    type: str = "llm"
    input: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    text: str | None = None
    reasoning: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] | None = None
    finish_reason: str | None = None
    model: str | None = None
    id: str | None = None
    usage: Mapping[str, int] | None = None
    media: Sequence[Mapping[str, Any]] | None = None
    files: Sequence[str] = ()
    error: str | None = None
    code: str | None = None
    retryable: bool = False
    says: str = ""
    partial: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    sends: Mapping[str, Any] = field(default_factory=dict)
    sends_streaming: Mapping[str, Any] = field(default_factory=dict)
    exactly: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """One named reply: its files, of which only a call in several requests has many."""

    name: str
    paths: tuple[Path, ...]
    expected: Expected

    @property
    def file(self) -> str:
        """Name and ending, as `chat.sse`."""
        return self.name + self.paths[0].suffix

    @property
    def streams(self) -> bool:
        """Whether it is the reply to a call that asked for a stream."""
        return self.paths[0].suffix in STREAM_ENDINGS

    @property
    def files(self) -> list[Path]:
        """The files that the model is called with."""
        return [self.paths[0].parent / file for file in self.expected.files]

    @property
    def replies(self) -> list[Reply]:
        """What the server says to the first request, the second and so on."""
        return self.replies_from("http://server.invalid")

    def replies_from(self, origin: str) -> list[Reply]:
        """The same, from a server at *origin*."""
        return [self._reply(path, origin) for path in self.paths]

    @property
    def reply(self) -> Reply:
        """What the server says, where one request is all."""
        (only,) = self.replies
        return only

    def _reply(self, path: Path, origin: str) -> Reply:
        headers = {"content-type": _CONTENT_TYPES[path.suffix], "x-request-id": REQUEST_ID}
        if self.expected.error is not None:
            headers["retry-after"] = "0"  # an error that is tried again costs the suite no time
        body = path.read_bytes().replace(PLACEHOLDER, origin.encode())
        return Reply(self.expected.status, headers | dict(self.expected.headers), body)


class Replies:
    """
    The replies of the given folders. A name is taken, with its table, from the first folder
    that has a file of that name, so that a provider overrides what is its own and no more.
    """

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self._recorded: dict[str, Recorded] = {}
        names: set[str] = set()
        for folder in folders:
            found = _read_folder(folder)
            self._recorded |= {r.file: r for r in found if r.name not in names}
            names |= {r.name for r in found}

    def __getitem__(self, file: str) -> Recorded:
        try:
            return self._recorded[file]
        except KeyError:
            folders = " or ".join(str(folder) for folder in self.folders)
            msg = f"no recorded reply {file!r} in {folders}; record one, secrets removed"
            raise LookupError(msg) from None

    def __contains__(self, file: str) -> bool:
        return file in self._recorded

    def errors(self) -> list[Recorded]:
        """Those of an HTTP status that is an error, by file name."""
        return [r for r in self._all() if r.expected.status >= 400]

    def answers(self) -> list[Recorded]:
        """Those of status 2xx, by file name; a stream may still end in an error."""
        return [r for r in self._all() if r.expected.status < 400]

    def _all(self) -> list[Recorded]:
        return [recorded for _, recorded in sorted(self._recorded.items())]


def _read_folder(folder: Path) -> list[Recorded]:
    tables = tomllib.loads((folder / "expected.toml").read_text(encoding="utf-8"))
    found: list[Recorded] = []
    for name, table in tables.items():
        expected = _expected(name, table, folder)
        paths = sorted(path for path in folder.iterdir() if path.stem == name)
        found += [Recorded(name, (path,), expected) for path in paths]
        found += [
            Recorded(name, parts, expected) for parts in _in_parts(name, folder, tables).values()
        ]
        if not any(recorded.name == name for recorded in found):
            msg = f"{folder / 'expected.toml'} has a table [{name}] and no file is named so"
            raise LookupError(msg)
    used = {path for recorded in found for path in recorded.paths}
    for path in sorted(folder.iterdir()):
        if path not in used and path.is_file() and path.name != "expected.toml":
            msg = (
                f"{path.name} has no table in {folder / 'expected.toml'}; say what it comes out as"
            )
            raise LookupError(msg)
    return found


def _in_parts(name: str, folder: Path, tables: Mapping[str, object]) -> dict[str, tuple[Path, ...]]:
    """`chat-1.json`, `chat-2.json` for the name `chat`: in order, by the ending of the first."""
    numbered: dict[int, dict[str, Path]] = {}
    for path in folder.iterdir():
        part = _PART.fullmatch(path.stem)
        if part and part[1] == name and path.stem not in tables:
            numbered.setdefault(int(part[2]), {})[path.suffix] = path
    if not numbered:
        return {}
    # A part that comes with one ending alone, such as a file to fetch, belongs to them all.
    return {
        ending: tuple(
            at.get(ending) or next(iter(at.values())) for _, at in sorted(numbered.items())
        )
        for ending in numbered[min(numbered)]
    }


def _expected(name: str, table: dict[str, Any], folder: Path) -> Expected:
    defaults: dict[str, Any] = {"input": _DEFAULT_INPUTS.get(table.get("type", "llm"))}
    if status := _STATUS_IN_NAME.match(name):
        defaults["status"] = int(status[1])
    try:
        return Expected(**(defaults | table))
    except TypeError as exc:
        msg = f"{folder / 'expected.toml'}, table [{name}]: {exc}"
        raise LookupError(msg) from exc
