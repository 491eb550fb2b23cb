"""What goes on the wire for a request of ours, and what is made of a reply and of an error."""

from __future__ import annotations

import ssl
import zlib
from typing import TYPE_CHECKING

import h11
import httpcore

from modelplug._version import VERSION
from modelplug.errors import BadReply, CallError, ConfigError, TransportFailed
from modelplug.transport.http1 import Headers
from modelplug.transport.routes import Address, Route, is_printable

if TYPE_CHECKING:
    from modelplug.transport.patience import Patience
    from modelplug.types import Secret
    from modelplug.wire import Request

LARGEST_BODY = 1024 * 1024 * 1024
"""Bytes of one reply, decompressed, beyond which it is refused."""

WIRE_ERRORS = (
    httpcore.NetworkError,
    h11.ProtocolError,
    httpcore.TimeoutException,
    httpcore.ProxyError,
    ssl.SSLError,
    OSError,
)

_USER_AGENT = f"modelplug/{VERSION}".encode()


def prepare(request: Request, address: Address, route: Route) -> tuple[str, bytes, Headers, bytes]:
    """
    (method, target, headers, body) for the wire. No caller keeps them in a variable: they hold
    the key, and a traceback may be shown with its locals.
    """
    body, kind = _body(request)
    target = address.target
    headers = [
        (b"host", address.authority),
        (b"user-agent", _USER_AGENT),
        (b"accept-encoding", b"identity"),
    ]
    if route.proxy is not None and not route.tunnelled:
        target = b"http://%b%b" % (address.authority, target)
        headers += route.proxy.headers
    if kind:
        headers.append((b"content-type", kind))
    if body or request.method not in ("GET", "HEAD"):
        headers.append((b"content-length", b"%d" % len(body)))
    headers += [(name.encode(), value.encode()) for name, value in request.headers.items()]
    if request.auth is not None:
        headers.append((b"authorization", b"Bearer " + _value(request.auth)))
    headers += [(n.encode(), _value(s)) for n, s in request.secret_headers.items()]
    return request.method, target, headers, body


def _value(secret: Secret) -> bytes:
    # h11 would refuse it as well, and show it in its error.
    if not is_printable(secret.reveal()):
        msg = "the key holds a character that no header can; check api_key="
        raise ConfigError(msg)
    return secret.reveal().encode()


def _body(request: Request) -> tuple[bytes, bytes]:
    """(body, content type where the headers do not give it)."""
    if not request.form and not request.files:
        return request.body, b""
    import httpx  # only for multipart: its import costs 100 ms

    files = [(field, (m.file_name, m.data, m.mime)) for field, m in request.files]
    encoded = httpx.Request("POST", request.url, data=dict(request.form), files=files)
    return encoded.read(), encoded.headers["content-type"].encode()


class Decompressor:
    """Gzip or deflate, piece by piece; some gateways compress although asked not to."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ("gzip", "x-gzip", "deflate"):
            msg = f"the reply is compressed as {encoding!r}, which was not asked for"
            raise BadReply(msg)
        self._encoding = encoding
        self._inflate = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, by its header

    def feed(self, data: bytes) -> bytes:
        """What *data* completes."""
        try:
            plain = self._inflate.decompress(data, LARGEST_BODY)
        except zlib.error as exc:
            msg = f"the reply is not {self._encoding} as its header says"
            raise BadReply(msg) from exc
        if self._inflate.unconsumed_tail:
            raise too_large()
        return plain


def decompressor(headers: dict[str, str]) -> Decompressor | None:
    """What the reply's `content-encoding` needs."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    return None if encoding in ("identity", "") else Decompressor(encoding)


def too_large() -> BadReply:
    """The error for a body beyond `LARGEST_BODY`."""
    return BadReply(f"the reply is larger than {LARGEST_BODY} bytes")


def failed(exc: BaseException, patience: Patience, host: str) -> CallError:
    """
    What went wrong on the wire as an error of ours.

    The cause keeps its text and loses its frames: their locals hold the request's headers.
    """
    if isinstance(exc, httpcore.TimeoutException):
        return patience.expired(connecting=isinstance(exc, httpcore.ConnectTimeout))
    text = str(exc) or type(exc).__name__
    error = TransportFailed(f"the connection to {host} failed: {text}")
    error.__cause__ = type(exc)(text)
    return error
