"""Files that go in and media that come out."""

from __future__ import annotations

import base64
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

    def save(self, path: str | Path) -> Path:
        """Write to *path*; a path without a suffix gets the one of `mime`. Answers the path."""
        target = Path(path)
        if not target.suffix:
            target = target.with_suffix(mimetypes.guess_extension(self.mime) or ".bin")
        target.write_bytes(self.data)
        return target

    def data_uri(self) -> str:
        """`data:<mime>;base64,...`, as vision models take images."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode('ascii')}"


def as_media(item: Media | str | bytes | Path) -> Media | str:
    """A file as users give one: bytes and paths become Media, a URL or data URI stays text."""
    if isinstance(item, Media):
        return item
    if isinstance(item, bytes):
        return Media(item, sniff(item))
    if isinstance(item, str) and item.startswith(("http://", "https://", "data:")):
        return item
    path = Path(item).expanduser()
    try:
        data = path.read_bytes()
    except OSError as exc:
        msg = f"the file {str(item)!r} cannot be read: {exc.strerror}; give a path, bytes or URL"
        raise ConfigError(msg) from exc
    return Media(data, mimetypes.guess_type(path.name)[0] or sniff(data))


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


def sniff(data: bytes) -> str:
    """The media type that the first bytes show, or application/octet-stream."""
    if data[:4] == b"RIFF":
        return "image/webp" if data[8:12] == b"WEBP" else "audio/wav"
    return next(
        (mime for magic, mime in _MAGIC if data.startswith(magic)), "application/octet-stream"
    )
