"""Downloads that end in every way, and programs that ask for one model at once."""

from __future__ import annotations

import os
import random
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from repositories import HUBS, MODEL, chosen, everything, repository

from modelplug.errors import ConfigError, TransportFailed
from modelplug_local import pull, runtime
from modelplug_local.weights.testing_hub import Hub

PROGRAM = """
import sys
from modelplug_local import pull
print("begun", flush=True)
pull(sys.argv[1], formats=["gguf"], source=sys.argv[2])
print("done", flush=True)
"""


def start(source: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", PROGRAM, MODEL, source]
    began = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603
    assert began.stdout is not None
    assert "begun\n" == began.stdout.readline()
    return began


def until(true: Callable[[], bool]) -> None:
    """Wait for it, twenty seconds at most."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        select.select([], [], [], 0.01)


def children(pid: int) -> list[int]:
    """What process *pid* has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def every_descriptor() -> list[int]:
    """All that this process may still open."""
    taken: list[int] = []
    while True:
        try:
            taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return taken


@HUBS
def test_a_download_killed_at_ten_random_moments_ends_in_exactly_the_right_bytes(
    hub: Hub, cache: Path, source: str
) -> None:
    hub.repositories[MODEL] = files = repository(24_000_000)
    hub.rate = 24_000_000
    moments = random.Random(11)  # noqa: S311 - the same moments each time
    for _ in range(10):
        running = start(source)
        try:
            running.wait(moments.uniform(0.2, 1.6))
        except subprocess.TimeoutExpired:
            running.kill()
        running.communicate()
        assert not (cache / MODEL).exists() or chosen(files) == everything(cache / MODEL)

    pull(MODEL, formats=["gguf"], source=source)

    assert chosen(files) == everything(cache / MODEL)
    assert [] == list((cache / ".staging").iterdir())


@HUBS
def test_ctrl_c_ends_it_at_once_and_the_next_call_goes_on(
    hub: Hub, cache: Path, source: str
) -> None:
    hub.repositories[MODEL] = files = repository(24_000_000)
    hub.rate = 12_000_000
    running = start(source)
    until(lambda: hub.sent.get("m-Q4_K_M.gguf", 0) > 12_000_000)
    running.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, said = running.communicate(timeout=20)

    assert time.monotonic() - began < 1.5
    assert "KeyboardInterrupt" in said
    hub.rate = 0
    hub.sent.clear()
    pull(MODEL, formats=["gguf"], source=source)
    assert chosen(files) == everything(cache / MODEL)
    assert hub.sent["m-Q4_K_M.gguf"] < 16_000_000


@HUBS
def test_eight_processes_at_once_download_once(hub: Hub, cache: Path, source: str) -> None:
    hub.repositories[MODEL] = files = repository(3_000_000)
    hub.rate = 6_000_000
    running = [start(source) for _ in range(8)]

    ended = [each.communicate(timeout=60)[0] for each in running]

    assert ["done\n"] * 8 == ended
    assert chosen(files) == everything(cache / MODEL)
    assert len(files["m-Q4_K_M.gguf"]) == hub.sent["m-Q4_K_M.gguf"]


@HUBS
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_fetches_ends_with_the_program(
    hub: Hub, cache: Path, source: str, number: signal.Signals
) -> None:
    hub.repositories[MODEL] = repository(24_000_000)
    hub.rate = 2_000_000
    running = start(source)
    until(lambda: hub.sent.get("m-Q4_K_M.gguf", 0) > 0)
    fetchers = children(running.pid)

    running.send_signal(number)
    running.communicate(timeout=20)

    assert 1 == len(fetchers)
    until(lambda: not Path(f"/proc/{fetchers[0]}").exists())


@HUBS
def test_a_fetcher_that_is_killed_is_an_error_and_the_next_call_goes_on(
    hub: Hub, cache: Path, source: str
) -> None:
    hub.repositories[MODEL] = files = repository(24_000_000)
    hub.rate = 12_000_000
    running = start(source)
    until(lambda: hub.sent.get("m-Q4_K_M.gguf", 0) > 12_000_000)
    for fetcher in children(running.pid):
        os.kill(fetcher, signal.SIGKILL)
    _, said = running.communicate(timeout=20)

    assert "its client ended without a word; run it again" in said
    hub.rate = 0
    hub.sent.clear()
    pull(MODEL, formats=["gguf"], source=source)
    assert chosen(files) == everything(cache / MODEL)
    assert hub.sent["m-Q4_K_M.gguf"] < 16_000_000


@HUBS
def test_a_disk_that_fills_up_is_an_error_and_the_next_call_goes_on(
    hub: Hub, cache: Path, source: str
) -> None:
    hub.repositories[MODEL] = files = repository(6_000_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, limits[1]))
    try:
        with pytest.raises(ConfigError, match="'org/m' cannot be written: .*; make room"):
            pull(MODEL, formats=["gguf"], source=source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert not (cache / MODEL).exists()
    pull(MODEL, formats=["gguf"], source=source)
    assert chosen(files) == everything(cache / MODEL)


def test_a_process_out_of_file_descriptors_is_told_so(hub: Hub, cache: Path) -> None:
    hub.repositories[MODEL] = repository()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(map(int, os.listdir("/dev/fd")))  # other tests hold some
    resource.setrlimit(resource.RLIMIT_NOFILE, (most + 100, limits[1]))
    taken = every_descriptor()
    try:
        os.close(taken.pop())
        os.close(taken.pop())
        with pytest.raises((ConfigError, TransportFailed), match="Too many open files"):
            pull(MODEL, formats=["gguf"])
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_what_is_left_to_fetch_is_told_from_the_disk(hub: Hub, cache: Path) -> None:
    hub.repositories[MODEL] = files = repository(24_000_000)
    hub.rate = 12_000_000
    running = start("modelscope")
    until(lambda: hub.sent.get("m-Q4_K_M.gguf", 0) > 0)
    running.kill()
    running.communicate()
    hub.seen.clear()

    seen = runtime.look(MODEL, formats=["gguf"])

    assert seen.download is not None
    assert (["m-Q4_K_M.gguf", "LICENSE"], sum(map(len, chosen(files).values()))) == (
        seen.download.files,
        seen.download.size,
    )
    assert [] == hub.seen
