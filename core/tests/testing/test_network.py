"""The network is blocked beyond this machine, for every way to reach it, and only inside."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

from modelplug.testing import FaultServer, NetworkBlocked, Reply, block_network, outside_world

FAR = "192.0.2.1"  # RFC 5737: an address for documentation, which is nobody's


def test_a_connection_to_another_machine_is_refused() -> None:
    with block_network(), socket.socket() as there, pytest.raises(NetworkBlocked) as caught:
        there.connect((FAR, 80))

    assert f"socket.connect to '{FAR}' while the network is blocked" in str(caught.value)


def test_a_datagram_to_another_machine_is_refused() -> None:
    with (
        block_network(),
        socket.socket(type=socket.SOCK_DGRAM) as there,
        pytest.raises(NetworkBlocked),
    ):
        there.sendto(b"x", (FAR, 53))


@pytest.mark.parametrize("lookup", [socket.gethostbyname, lambda host: socket.getaddrinfo(host, 1)])
def test_a_name_is_not_looked_up(lookup: object) -> None:
    with block_network(), pytest.raises(NetworkBlocked):
        lookup("example.invalid")  # type: ignore[operator]


def test_asyncio_is_blocked_too() -> None:
    async def reach() -> None:
        await asyncio.open_connection(FAR, 80)

    with block_network(), pytest.raises(NetworkBlocked):
        asyncio.run(reach())


def test_other_threads_are_blocked_too() -> None:
    raised: list[type[BaseException]] = []

    def reach() -> None:
        with socket.socket() as there:
            try:
                there.connect((FAR, 80))
            except NetworkBlocked as error:
                raised.append(type(error))

    with block_network():
        thread = threading.Thread(target=reach)
        thread.start()
        thread.join()

    assert [NetworkBlocked] == raised


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_reached(host: str) -> None:
    with block_network(), FaultServer(Reply()) as server:
        socket.create_connection((host, server.port), timeout=30).close()


def test_blocks_may_be_nested_and_end_with_the_last() -> None:
    with block_network():
        with block_network():
            pass
        with socket.socket() as there, pytest.raises(NetworkBlocked):
            there.connect((FAR, 80))

    # An address needs no look-up by name, so nothing is sent.
    assert [FAR] == [where[4][0] for where in socket.getaddrinfo(FAR, 80, type=socket.SOCK_STREAM)]


def test_connections_and_processes_are_seen() -> None:
    with outside_world() as seen, FaultServer(Reply()) as server:
        socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
        subprocess.run([sys.executable, "-c", ""], check=True)

    assert {"socket.getaddrinfo", "socket.connect", "subprocess.Popen"} <= set(seen)


def test_nothing_is_seen_where_nothing_is_reached() -> None:
    with outside_world() as seen:
        pass

    assert [] == seen
