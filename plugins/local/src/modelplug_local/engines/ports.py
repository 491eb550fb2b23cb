"""Where engines listen."""

from __future__ import annotations

import random
import socket

from modelplug.errors import EngineFailed

HOST = "127.0.0.1"
PORTS = range(20_000, 32_768)
"""Below the range that Linux and macOS give to outgoing connections, so that none of those
takes the port while an engine is started again."""


def free_port() -> int:
    """A port on loopback that nothing uses at this moment."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            try:
                sock.bind((HOST, port))
            except OSError:
                continue
            return port
    msg = f"100 ports of {PORTS.start} to {PORTS.stop - 1} were tried and none is free; free some"
    raise EngineFailed(msg)
