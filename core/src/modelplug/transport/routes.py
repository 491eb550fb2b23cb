"""Where a request goes: the address it names, and the proxy on the way there."""

from __future__ import annotations

import base64
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpcore
from attrs import frozen

from modelplug.errors import ConfigError
from modelplug.proxies import proxy_for
from modelplug.transport.http1 import Headers, Http1
from modelplug.types import Secret
from modelplug.wire import Conversation

if TYPE_CHECKING:
    import ssl


@frozen
class Proxy:
    """An HTTP proxy; `auth` is the value of its `proxy-authorization`."""

    secure: bool
    host: str
    port: int
    auth: Secret | None

    @property
    def headers(self) -> Headers:
        """What a request to it carries."""
        return [(b"proxy-authorization", self.auth.reveal().encode())] if self.auth else []


@frozen
class Route:
    """What requests have in common that can go over one connection."""

    secure: bool
    host: str
    port: int
    proxy: Proxy | None

    @property
    def tunnelled(self) -> bool:
        """Whether the proxy only passes the bytes on."""
        return self.proxy is not None and self.secure

    def tunnel(self) -> Conversation[None]:
        """Ask the proxy for a tunnel (RFC 9110, section 9.3.6)."""
        assert self.proxy is not None
        host = f"[{self.host}]" if ":" in self.host else self.host
        there = f"{host}:{self.port}".encode()
        http = Http1()
        yield http.request("CONNECT", there, [(b"host", there), *self.proxy.headers], b"")
        head = None
        while head is None:
            head = http.head((yield None))
        if not 200 <= head[0] < 300:
            msg = f"the proxy answered {head[0]} when it was asked for a tunnel"
            raise httpcore.ProxyError(msg)


@frozen
class Address:
    """A URL taken apart. `authority` is as the `host` header has it."""

    secure: bool
    host: str
    port: int
    authority: bytes
    target: bytes

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, text: str) -> Address:
        """*text* taken apart; ConfigError where it is no http address."""
        try:
            parts = urlsplit(text)
            port = parts.port
            host = (parts.hostname or "").encode("idna").decode()
        except ValueError as exc:
            msg = f"the address {text!r} cannot be read: {exc}; check url="
            raise ConfigError(msg) from exc
        if parts.scheme not in ("http", "https") or not host:
            msg = f"the address {text!r} is not http:// or https:// with a host; check url="
            raise ConfigError(msg)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not is_printable(target) or " " in target:
            msg = f"the address {text!r} holds a character that must be percent-encoded; check url="
            raise ConfigError(msg)
        shown = f"[{host}]" if ":" in host else host
        return cls(
            secure=parts.scheme == "https",
            host=host,
            port=port or _PORTS[parts.scheme],
            authority=(shown if port is None else f"{shown}:{port}").encode(),
            target=target.encode(),
        )

    def route(self, text: str) -> Route:
        """The way there; *text* is the whole address."""
        proxy = proxy_for(text)
        return Route(self.secure, self.host, self.port, None if proxy is None else _proxy(proxy))


_PORTS = {"http": 80, "https": 443}


def is_printable(text: str) -> bool:
    """Whether *text* can stand in the head of a request."""
    return text.isascii() and text.isprintable()


@cache
def _proxy(text: str) -> Proxy:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None  # not chained: the error may show the password
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = (
            "the proxy's address in the environment is not http:// or https:// with a host; "
            "check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"
        )
        raise ConfigError(msg)
    auth = None
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        auth = Secret(f"Basic {base64.b64encode(login.encode()).decode()}")
    return Proxy(parts.scheme == "https", parts.hostname, port or _PORTS[parts.scheme], auth)


@cache
def tls() -> ssl.SSLContext:
    """The one TLS context: making one costs 60 to 90 ms (2026-11)."""
    import httpx

    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
