"""What a test may reach: the loopback interface, or nothing. Seen by Python's audit events."""

from __future__ import annotations

import ipaddress
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["NetworkBlocked", "block_network", "outside_world"]


class NetworkBlocked(RuntimeError):
    """
    A socket to somewhere else than this machine was asked for.

    It is no OSError, so that code which handles a failed connection does not swallow it.
    """


_CONNECTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_PROCESSES = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork")
_OUTSIDE = frozenset((*_CONNECTS, *_LOOKUPS, *_PROCESSES))

# An audit hook sees every socket, whichever library or event loop opened it; a patched
# `socket.socket` misses those of C extensions. It can never be removed, so there is one,
# which does nothing while neither of these is in use.
_lock = threading.Lock()
_installed = False
_blocking = 0
_watchers: list[list[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not (_blocking or _watchers) or event not in _OUTSIDE:
        return
    if _watchers:
        for seen in _watchers:
            seen.append(event)
    if not _blocking or event in _PROCESSES:
        return
    host = arguments[0] if event in _LOOKUPS else _host(arguments[1])
    if not _is_here(host):
        msg = f"{event} to {host!r} while the network is blocked; use a loopback server"
        raise NetworkBlocked(msg)


def _host(address: object) -> object:
    # A unix socket's address is text, and a message to a connected peer has None.
    return address[0] if isinstance(address, tuple) and address else None


def _is_here(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _install() -> None:
    global _installed
    with _lock:
        if not _installed:
            sys.addaudithook(_audit)
            _installed = True


@contextmanager
def block_network() -> Iterator[None]:
    """
    Inside, a connection or a name look-up beyond this machine raises NetworkBlocked, in every
    thread. May be nested. As a fixture: `with block_network(): yield`.
    """
    global _blocking
    _install()
    with _lock:
        _blocking += 1
    try:
        yield
    finally:
        with _lock:
            _blocking -= 1


@contextmanager
def outside_world() -> Iterator[list[str]]:
    """The audit events of connections, look-ups and processes that happen inside."""
    _install()
    seen: list[str] = []
    with _lock:
        _watchers.append(seen)
    try:
        yield seen
    finally:
        with _lock:
            # By identity: two lists that are both still empty are equal.
            _watchers[:] = [watcher for watcher in _watchers if watcher is not seen]
