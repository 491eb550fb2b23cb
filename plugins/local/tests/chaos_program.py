"""
A program to which something happens: `chaos_program.py MOMENT DISK`.

It prints `here` when it is in the midst of MOMENT, and then waits for the name of a fault on its
standard input, which it brings upon itself, or for a signal. It goes on under the fault, tells how
that ended, mends the fault, starts once more, and tells how that ended. Where anything but a
ModelplugError is raised, its status is not 0.

DISK is where it keeps everything; a file system of its own, if the fault is to fill it up.
"""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from modelplug.errors import ModelplugError
from modelplug.types import Plan, Secret
from modelplug_local import pull
from modelplug_local.engines.supervisor import Restarts, SupervisedEngine
from modelplug_local.testing import DEADLINE

moment, disk = sys.argv[1], Path(sys.argv[2])
FAKE = str(Path(__file__).with_name("fake_engine.py"))
YEAR = 365 * 86400

happened = threading.Event()
mends: list[Callable[[], object]] = []
engines: list[SupervisedEngine] = []


def tell(line: str) -> None:
    sys.stdout.write(line.partition("\n")[0] + "\n")
    sys.stdout.flush()


# What it does.


def make(*arguments: str) -> SupervisedEngine:
    def plan_for(host: str, port: int, token: Secret) -> Plan:
        argv = [sys.executable, FAKE, str(port), *arguments]
        return Plan(argv=argv, env={"FAKE_TOKEN": token.reveal()}, start_timeout=10)

    # Half a second until it is started again: time enough to take its port.
    restarts = Restarts(most=2, within=60, wait=0.5, longest_wait=0.5)
    engine = SupervisedEngine("fake", plan_for, restarts, grace=1)
    engines.append(engine)
    engine.begin()
    return engine


def until(engine: SupervisedEngine, true: Callable[[], bool]) -> None:
    with engine.changed:
        assert engine.changed.wait_for(true, DEADLINE)


def fetch() -> str:
    """The next download."""
    return hashlib.sha256(pull("org/m", formats=["gguf"]).path.read_bytes()).hexdigest()


def download() -> str:
    told = threading.Event()

    def progress(done: int, _: int) -> None:
        if done and not told.is_set():
            told.set()
            tell("here")

    pull("org/m", formats=["gguf"], progress=progress)
    return "ok"


def start() -> str:
    gate, opened = disk / "gate", disk / "opened"
    os.mkfifo(gate)
    opened.touch()
    held = os.open(gate, os.O_RDWR)  # as long as it is, who reads the gate waits
    engine = make("--gate", str(gate), "--grandchild")
    until(engine, lambda: engine.pid is not None)
    tell("here")
    happened.wait()
    opened.replace(gate)  # for who reads it later
    os.close(held)
    engine.wait(DEADLINE)
    engine.stop()
    return "ok"


def idle() -> str:
    engine = make("--grandchild")
    engine.wait(DEADLINE)
    tell("here")
    happened.wait()
    if engine.pid is not None and engine.starts == 1:
        os.kill(engine.pid, signal.SIGKILL)  # so that it starts again under the fault
    until(engine, lambda: engine.status == "failed" or engine.starts > 1)
    engine.wait(DEADLINE)
    engine.stop()
    return "ok"


def stream() -> str:
    engine = make("--grandchild")
    engine.wait(DEADLINE)
    heard = 0  # so often since it happened
    body = urllib.request.urlopen(request_to(engine, "/stream"), timeout=DEADLINE)
    with suppress(OSError), body:  # it breaks off, where the engine does
        body.read(4096)
        tell("here")
        while heard < 100 and body.read(4096):
            heard += happened.is_set()
    happened.wait()
    if heard < 100:
        until(engine, lambda: engine.status == "failed" or engine.starts > 1)
    engine.wait(DEADLINE)
    engine.stop()
    return "ok"


def stop() -> str:
    engine = make("--ignore-term", "--grandchild")
    engine.wait(DEADLINE)
    engine.release()
    tell("here")
    engine.stop()
    happened.wait()
    return "ok"


def serve() -> str:
    """The next start."""
    engine = make("--say", "hello")
    engine.wait(DEADLINE)
    with urllib.request.urlopen(request_to(engine, "/v1/models"), timeout=DEADLINE) as response:
        status = response.status
    engine.stop()
    return str(status)


def request_to(engine: SupervisedEngine, path: str) -> urllib.request.Request:
    request = urllib.request.Request(engine.url.removesuffix("/v1") + path)
    request.add_header("Authorization", f"Bearer {engine.token.reveal()}")
    return request


# What happens to it.


def engine_killed() -> None:
    """SIGKILL for the engine, or for the process that fetches."""
    for pid in children() if moment == "download" else [engines[-1].pid]:
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    if moment != "download":
        until(engines[-1], lambda: engines[-1].pid != pid)


def disk_full() -> None:
    """No byte is left; where no disk could be mounted, no file can grow."""
    if not os.path.ismount(disk):
        limit(resource.RLIMIT_FSIZE, 0)
        return
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (bytes(1 << 20), bytes(4096)):
            try:
                while file.write(block):
                    continue
            except OSError as error:
                assert error.errno == errno.ENOSPC
    mends.append(filler.unlink)


def no_descriptors() -> None:
    """Neither it nor what it has started can open anything."""
    limit(resource.RLIMIT_NOFILE, 3)


def limit(which: int, most: int) -> None:
    for pid in (0, *children()):
        before = resource.prlimit(pid, which)
        resource.prlimit(pid, which, (most, before[1]))
    mends.append(lambda: resource.setrlimit(which, before))


def clock_jump() -> None:
    """The clock goes back by a year, and forward by two when it is mended."""
    clock = Path(os.environ["CLOCK"])
    clock.write_text(str(-YEAR))
    mends.append(lambda: clock.write_text(str(YEAR)))


def port_taken() -> None:
    """Another program has the engine's port as soon as the engine itself has not."""
    engine = engines[-1]
    first = engine.pid
    if moment in ("idle", "stream") and first is not None:
        os.kill(first, signal.SIGKILL)
    if moment != "start":  # there it does not listen yet
        until(engine, lambda: engine.pid != first)
    other = socket.create_server(("127.0.0.1", urlsplit(engine.url).port or 0))
    mends.append(other.close)


def children() -> list[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


FAULTS = {
    "kill -9 engine": engine_killed,
    "full disk": disk_full,
    "no descriptors": no_descriptors,
    "clock jump": clock_jump,
    "port taken": port_taken,
}


def listen() -> None:
    fault = sys.stdin.readline().strip()
    if fault:
        FAULTS[fault]()
        tell("happened")
        happened.set()


def said(act: Callable[[], str]) -> str:
    try:
        return act()
    except ModelplugError as error:
        return f"{type(error).__name__}: {error}"


threading.Thread(target=listen, daemon=True).start()
ACTS = {"download": download, "start": start, "idle": idle, "stream": stream, "stop": stop}
outcome = said(ACTS[moment])
happened.wait()
tell(outcome)
if moment == "start":
    tell(said(serve))  # one that begins under the fault
for mend in mends:
    mend()
tell(said(fetch if moment == "download" else serve))
