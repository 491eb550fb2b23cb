"""
The chaos table: whatever happens at whatever moment, nothing hangs, nothing is left, and the
next start works. The rows are faults, the columns what the engine is doing at that moment.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelplug.errors import ConfigError, EngineFailed
from modelplug.runtime import Engine
from modelplug.types import Plan, Secret
from modelplug_local.engines.supervisor import Restarts, SupervisedEngine
from modelplug_local.testing import DEADLINE, Family

HERE = Path(__file__).parent
FAKE, CALLER = str(HERE / "fake_engine.py"), str(HERE / "caller.py")
MOMENTS = ["start", "idle", "stream", "stop"]
AT_ONCE = Restarts(most=3, within=60, wait=0, longest_wait=0)


def make(*arguments: str) -> SupervisedEngine:
    def plan_for(host: str, port: int, token: Secret) -> Plan:
        argv = [sys.executable, FAKE, str(port), *arguments]
        return Plan(argv=argv, env={"FAKE_TOKEN": token.reveal()}, start_timeout=60)

    engine = SupervisedEngine("fake", plan_for, AT_ONCE)
    engine.begin()
    return engine


def next_start_works() -> None:
    engine = make()
    engine.wait(DEADLINE)
    assert 200 == status_of(engine, "/v1/models")
    engine.stop()
    assert engine.pid is None


def request_to(engine: Engine, path: str) -> urllib.request.Request:
    request = urllib.request.Request(engine.url.removesuffix("/v1") + path)
    request.add_header("Authorization", f"Bearer {engine.token.reveal()}")
    return request


def status_of(engine: Engine, path: str) -> int:
    with urllib.request.urlopen(request_to(engine, path), timeout=DEADLINE) as response:
        return int(response.status)


class Reader(threading.Thread):
    """Reads a stream that has no end; `heard` is set once it flows, `error` when it broke."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(daemon=True)
        self._engine = engine
        self.heard = threading.Event()
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            with urllib.request.urlopen(
                request_to(self._engine, "/stream"), timeout=DEADLINE
            ) as body:
                while body.read(4096):
                    self.heard.set()
        except OSError as exc:
            self.error = exc
        self.heard.set()


@contextmanager
def at(moment: str, tmp_path: Path) -> Iterator[SupervisedEngine]:
    """An engine that is doing what *moment* says; it must end within the deadline."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    engine = make("--gate", str(gate)) if moment == "start" else make()
    thread: threading.Thread | None = None
    if moment == "start":
        with engine.changed:
            assert engine.changed.wait_for(lambda: engine.pid is not None, DEADLINE)
    else:
        engine.wait(DEADLINE)
    if moment == "stream":
        thread = Reader(engine)
        assert thread.heard.wait(DEADLINE)
    if moment == "stop":
        thread = threading.Thread(target=engine.stop)
        thread.start()
    yield engine
    if moment == "start" and engine.status == "starting":
        opened = os.open(gate, os.O_RDWR)
        os.write(opened, b"go")
        os.close(opened)
    engine.stop()
    if thread is not None:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    assert engine.status in ("stopped", "failed")


# The program.


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_program_is_ended(signum: signal.Signals, moment: str, family: Family) -> None:
    what = {"start": ("starting", "--loading", "1000000")}.get(moment, (moment,))
    program = family.run([sys.executable, CALLER, *what, "--grandchild"], start_new_session=True)
    assert program.stdout is not None
    for _ in range({"start": 1, "stop": 3}.get(moment, 2)):
        program.stdout.readline()

    os.killpg(program.pid, signum)  # as a terminal does

    program.communicate(timeout=DEADLINE)
    family.wait_until_gone()
    next_start_works()


# The engine.


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_engine_is_killed(moment: str, tmp_path: Path) -> None:
    with at(moment, tmp_path) as engine:
        pid = engine.pid
        if pid is not None:  # it may have stopped by now
            os.kill(pid, signal.SIGKILL)
        if moment == "start":
            with pytest.raises(EngineFailed, match="killed by signal 9"):
                engine.wait(DEADLINE)
        elif moment != "stop":
            with engine.changed:
                assert engine.changed.wait_for(lambda: engine.pid not in (pid, None), DEADLINE)
            engine.wait(DEADLINE)
            assert 200 == status_of(engine, "/v1/models")
    next_start_works()


# The machine.


@contextmanager
def full_disk(engine: SupervisedEngine | None = None) -> Iterator[None]:
    """No file can grow, for this program and what it starts: EFBIG where a disk says ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_descriptors(engine: SupervisedEngine | None = None) -> Iterator[None]:
    """This program cannot open anything."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def clock_jump(engine: SupervisedEngine | None = None) -> Iterator[None]:
    """The clock on the wall goes back by a year, then forward by two."""
    true = time.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: true() - 365 * 86400)
        yield
        patch.setattr(time, "time", lambda: true() + 365 * 86400)


@contextmanager
def port_taken(engine: SupervisedEngine | None = None) -> Iterator[None]:
    """Another program has the engine's port whenever the engine itself does not."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if engine is not None and engine.status in ("starting", "stopped"):
            try:
                other.bind(("127.0.0.1", urlsplit(engine.url).port or 0))
                other.listen()
            except OSError:  # the engine was quicker
                pass
        yield


Fault = Callable[[SupervisedEngine | None], AbstractContextManager[None]]
FAULTS: list[Fault] = [full_disk, no_descriptors, clock_jump, port_taken]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_machine_fails_while_it_works(fault: Fault, moment: str, tmp_path: Path) -> None:
    with at(moment, tmp_path) as engine, fault(engine):
        if moment == "idle":
            crash_and_wait(engine)
        if moment == "stop":
            engine.stop()
    next_start_works()


def crash_and_wait(engine: SupervisedEngine) -> None:
    """Kill the engine, so that it is started again while the fault is there."""
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with engine.changed:
        assert engine.changed.wait_for(
            lambda: engine.status == "failed" or engine.pid not in (pid, None), DEADLINE
        )


@pytest.mark.parametrize("fault", [full_disk, no_descriptors], ids=lambda fault: fault.__name__)
def test_a_start_on_a_machine_that_fails_is_an_error(fault: Fault) -> None:
    with fault(None), pytest.raises((EngineFailed, ConfigError)) as caught:
        make("--say", "hello").wait(DEADLINE)
    told = str(caught.value)

    assert told.startswith(("engine 'fake' did not start: ", "no log can be written to "))
    next_start_works()


def test_a_port_that_is_taken_while_the_engine_was_down_fails_and_the_next_start_works() -> None:
    engine = make()
    engine.wait(DEADLINE)
    port = urlsplit(engine.url).port or 0
    engine.stop()

    with socket.create_server(("127.0.0.1", port)):
        next_start_works()
