"""Files that go in and media that come out."""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Iterable
from pathlib import Path

from attrs import field, frozen

from modelplug.errors import ConfigError


@frozen
class Media:
    """Sound or an image: `data` bytes of type `mime`."""

    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")
    mime: str = "application/octet-stream"
    name: str = ""

    @property
    def file_name(self) -> str:
        """`name`, or one with the suffix of `mime`: servers read the format off it."""
        return self.name or f"file{suffix_of(self.mime)}"

    def save(self, path: str | Path) -> Path:
        """Write to *path*; a path without a suffix gets the one of `mime`. Answers the path."""
        target = Path(path)
        if not target.suffix:
            target = target.with_suffix(suffix_of(self.mime))
        target.write_bytes(self.data)
        return target

    def base64(self) -> str:
        """The bytes as base64 text."""
        return base64.b64encode(self.data).decode("ascii")

    def data_uri(self) -> str:
        """`data:<mime>;base64,...`, as vision models take images."""
        return f"data:{self.mime};base64,{self.base64()}"

    @property
    def address(self) -> str:
        """The data URI: for servers that take one wherever they take a URL."""
        return self.data_uri()


@frozen
class Remote:
    """A file at a URL, for providers that fetch it themselves."""

    url: str

    @property
    def address(self) -> str:
        """The URL."""
        return self.url


File = str | bytes | Path | Media | Remote
"""A file as users give one: a path, bytes, a URL or a data URI."""


def as_file(item: File) -> Media | Remote:
    """*item* as bytes with their type, or as the URL that it is; ConfigError if unreadable."""
    if isinstance(item, Media | Remote):
        return item
    if isinstance(item, bytes):
        return Media(item, sniff(item))
    if isinstance(item, str) and item.startswith(("http://", "https://")):
        return Remote(item)
    if isinstance(item, str) and item.startswith("data:"):
        return from_data_uri(item)
    path = Path(item).expanduser()
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as exc:  # ValueError: a null byte in the name
        reason = exc.strerror if isinstance(exc, OSError) else exc
        msg = f"the file {str(item)!r} cannot be read: {reason}; give a path, bytes or URL"
        raise ConfigError(msg) from exc
    return Media(data, _type_of(path.name, data), path.name)


_PROPER = {
    "audio/x-wav": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-aiff": "audio/aiff",
    "audio/mp4a-latm": "audio/mp4",
}
"""Names that Python's and the machine's tables still give; providers list the others."""


def _type_of(name: str, data: bytes) -> str:
    told = mimetypes.guess_type(name)[0] or sniff(data)
    return _PROPER.get(told, told)


def from_data_uri(uri: str) -> Media:
    """The bytes inside `data:<mime>;base64,...`."""
    head, comma, body = uri.removeprefix("data:").partition(",")
    if not comma or not head.endswith(";base64"):
        msg = f"the data URI {uri[:40]!r}... is not data:<type>;base64,<bytes>"
        raise ConfigError(msg)
    try:
        data = base64.b64decode(body, validate=True)
    except ValueError as exc:
        msg = f"the data URI {uri[:40]!r}... is not base64: {exc}"
        raise ConfigError(msg) from exc
    return Media(data, head.removesuffix(";base64") or sniff(data))


def as_wav(samples: bytes, rate: int) -> Media:
    """*samples*, bare sound of 16 bits and one channel, with the head that players need."""
    import wave  # 1 ms, for the few that need it

    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples)
    return Media(file.getvalue(), "audio/wav")


_MAGIC: Iterable[tuple[bytes, str]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
)


_SUFFIXES = {
    "audio/wav": ".wav",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/aac": ".aac",
    "image/webp": ".webp",
}


def suffix_of(mime: str) -> str:
    """The suffix of files of type *mime*, or .bin."""
    bare = mime.partition(";")[0].strip().lower()
    # Python's own table lacks these where the system has no mime.types (3.11).
    return _SUFFIXES.get(bare) or mimetypes.guess_extension(bare) or ".bin"


def sniff(data: bytes) -> str:
    """The media type that the first bytes show, or application/octet-stream."""
    if data[:4] == b"RIFF":
        return "image/webp" if data[8:12] == b"WEBP" else "audio/wav"
    return next(
        (mime for magic, mime in _MAGIC if data.startswith(magic)), "application/octet-stream"
    )
