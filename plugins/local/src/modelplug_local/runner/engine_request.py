"""What a request to an engine says: JSON, or a multipart form. Standard library alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser

PARTS_LIMIT = 64


class Refused(Exception):  # noqa: N818 - what the caller is told, not a fault of the server
    """
    What is wrong with a request: *status* 4xx, *message* for people, *code* for programs.

    With 429, *retry_after* is when there will be room, in seconds.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str = "invalid_request_error",
        *,
        retry_after: float = 1.0,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class CallerGone(Exception):  # noqa: N818 - nothing failed
    """The caller has closed its connection: nobody wants the answer any more."""


@dataclass(frozen=True)
class Reply:
    """A body as it is; a handler that answers JSON returns a dict instead."""

    body: bytes = field(repr=False)
    mime: str
    status: int = 200


@dataclass(frozen=True)
class Fields:
    """
    What a request says by name; a value that is not as asked for raises Refused.

    `values` are of JSON, or text where they come from a form; null is as good as absent.
    """

    values: Mapping[str, object]
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def only(self, *names: str) -> None:
        """Refused where there is a field that is none of *names*."""
        for name in (*self.values, *self.files):
            if name not in names:
                message = f"unknown field {name[:100]!r}; this engine knows {', '.join(names)}"
                raise Refused(400, message)

    def has(self, name: str) -> bool:
        """Whether it is there."""
        return self.values.get(name) is not None

    def text(self, name: str, default: str | None = None, *, longest: int = 2**20) -> str:
        """Text of at most *longest* characters; required without a *default*."""
        value = self._value(name, default)
        if not isinstance(value, str):
            raise Refused(400, f"{name} must be text")
        if len(value) > longest:
            raise Refused(400, f"{name} has {len(value)} characters and may have {longest}")
        return value

    def number(self, name: str, default: float | None, *, least: float, most: float) -> float:
        """A number from *least* to *most*."""
        value = self._value(name, default)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = math.nan
        if isinstance(value, bool) or not isinstance(value, int | float):
            value = math.nan
        if not least <= value <= most:
            raise Refused(400, f"{name} must be a number from {least} to {most}")
        return float(value)

    def whole(self, name: str, default: int | None, *, least: int, most: int) -> int:
        """A whole number from *least* to *most*."""
        value = self.number(name, default, least=least, most=most)
        if value != int(value):
            raise Refused(400, f"{name} must be a whole number")
        return int(value)

    def one_of(self, name: str, default: str, known: tuple[str, ...]) -> str:
        """One of the words *known*."""
        value = self._value(name, default)
        if value not in known:
            raise Refused(400, f"{name} must be one of {', '.join(known)}")
        return str(value)

    def file(self, name: str) -> bytes:
        """The bytes of an uploaded file."""
        if not self.files.get(name):
            raise Refused(400, f"the file {name!r} is missing or empty; send it as multipart form")
        return self.files[name]

    def _value(self, name: str, default: object) -> object:
        value = self.values.get(name)
        if value is None:
            value = default
        if value is None:
            raise Refused(400, f"{name} is missing")
        return value


@dataclass(frozen=True)
class Request:
    """What a handler gets. A long one asks now and then whether the caller `is_gone`."""

    body: bytes = field(repr=False)
    content_type: str = "application/json"
    is_gone: Callable[[], bool] = field(default=lambda: False, repr=False)

    def check_caller(self) -> None:
        """CallerGone if it is: for between the steps of long work."""
        if self.is_gone():
            raise CallerGone

    def json(self) -> Fields:
        """The fields of a JSON object."""
        try:
            value = json.loads(self.body, parse_constant=_no_constant)
        except (ValueError, RecursionError) as exc:
            raise Refused(400, "the body is not JSON") from exc
        if not isinstance(value, dict):
            raise Refused(400, "the body is not a JSON object")
        return Fields(value)

    def form(self) -> Fields:
        """The fields and files of a multipart form; `name[]` fields are joined by commas."""
        head = Message()
        head["content-type"] = self.content_type
        boundary = head.get_param("boundary")
        if head.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
            raise Refused(400, "the body must be a multipart/form-data form")
        marker = b"\r\n--" + boundary.encode("latin-1", "replace")
        parts = (b"\r\n" + self.body).split(marker, PARTS_LIMIT + 1)
        if len(parts) < 2 or not parts[-1].startswith(b"--"):
            raise Refused(400, f"the form has no end, or more than {PARTS_LIMIT} parts")
        values: dict[str, object] = {}
        files: dict[str, bytes] = {}
        for part in parts[1:-1]:
            name, is_file, content = _read_part(part)
            if is_file:
                files[name] = content
            elif name.endswith("[]") and name in values:
                values[name] = f"{values[name]},{_utf8(content)}"
            else:
                values[name] = _utf8(content)
        return Fields(values, files)


def _no_constant(word: str) -> float:
    message = f"{word} is no JSON number"
    raise ValueError(message)


def _read_part(part: bytes) -> tuple[str, bool, bytes]:
    """(name, whether it is a file, content) of one part of a form."""
    head, found, content = part.partition(b"\r\n\r\n")
    headers = BytesHeaderParser().parsebytes(head.removeprefix(b"\r\n"))
    name = headers.get_param("name", header="content-disposition")
    if not found or not isinstance(name, str):
        raise Refused(400, "a part of the form has no name")
    return name, headers.get_filename() is not None, content


def _utf8(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise Refused(400, "a field of the form is not UTF-8") from exc
