"""The supervisor, on an engine of a hundred lines."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import stat
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import field, frozen

from modelplug.errors import EngineFailed
from modelplug.runtime import Engine, PlanFor
from modelplug.types import Plan, Secret
from modelplug_local import runtime
from modelplug_local.engines.ports import PORTS
from modelplug_local.engines.supervisor import Restarts, SupervisedEngine, stop_all
from modelplug_local.testing import DEADLINE, Family, is_listening, wait_for_end

FAKE = str(Path(__file__).with_name("fake_engine.py"))
AT_ONCE = Restarts(most=3, within=60, wait=0, longest_wait=0)


@frozen
class Fakes:
    """Starts fake engines, and ends those that a test has left."""

    started: list[SupervisedEngine] = field(factory=list)

    def start(
        self,
        *arguments: str,
        start_timeout: float = DEADLINE,
        restarts: Restarts = AT_ONCE,
        grace: float = 0.5,
    ) -> SupervisedEngine:
        def plan_for(host: str, port: int, token: Secret) -> Plan:
            argv = [sys.executable, FAKE, str(port), *arguments]
            env = {"FAKE_TOKEN": token.reveal()}
            return Plan(argv=argv, env=env, model="fake", start_timeout=start_timeout)

        return self.run(plan_for, restarts, grace)

    def run(
        self, plan_for: PlanFor, restarts: Restarts = AT_ONCE, grace: float = 0.5
    ) -> SupervisedEngine:
        engine = SupervisedEngine("fake", plan_for, restarts, grace)
        self.started.append(engine)
        engine.begin()
        return engine


@pytest.fixture
def fakes() -> Iterator[Fakes]:
    """See Fakes."""
    made = Fakes()
    yield made
    for engine in made.started:
        engine.stop()


def ask(engine: Engine, path: str) -> Any:
    """GET *path* of an engine with its token; the parsed body."""
    request = urllib.request.Request(engine.url.removesuffix("/v1") + path)
    request.add_header("Authorization", f"Bearer {engine.token.reveal()}")
    with urllib.request.urlopen(request, timeout=DEADLINE) as response:
        return json.load(response)


def crash(engine: SupervisedEngine, failed: bool = False) -> None:
    """Make it crash; returns once the supervisor has seen it and started it again."""
    before = engine.pid
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        ask(engine, "/crash")
    wait_until(engine, lambda: engine.pid not in (before, None) or engine.status == "failed")


def wait_until(engine: SupervisedEngine, true: Callable[[], bool]) -> None:
    """Block on the engine's own signal of a change."""
    with engine.changed:
        assert engine.changed.wait_for(true, DEADLINE), engine


def port_of(engine: Engine) -> int:
    return urlsplit(engine.url).port or 0


# Starting


def test_an_engine_becomes_ready(fakes: Fakes) -> None:
    engine = fakes.start()

    engine.wait(DEADLINE)

    assert "ready" == engine.status
    assert ask(engine, "/pids")["engine"] == engine.pid
    assert "fake" == engine.model
    assert port_of(engine) in PORTS


def test_launch_answers_before_the_engine_is_ready(fakes: Fakes, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    engine = fakes.start("--gate", str(gate))

    assert "starting" == engine.status
    gate.write_bytes(b"go")
    engine.wait(DEADLINE)
    assert "ready" == engine.status


def test_an_engine_that_answers_503_is_waited_for(fakes: Fakes) -> None:
    engine = fakes.start("--loading", "5")

    engine.wait(DEADLINE)

    assert "ready" == engine.status


def test_an_engine_without_the_ready_path_is_asked_for_its_models(fakes: Fakes) -> None:
    engine = fakes.start("--no-health")

    engine.wait(DEADLINE)

    assert "ready" == engine.status


def test_a_proxy_in_the_environment_is_not_asked(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    fakes.start().wait(DEADLINE)


def test_a_wait_that_is_too_short_says_so(fakes: Fakes) -> None:
    engine = fakes.start("--hang")

    with pytest.raises(EngineFailed) as caught:
        engine.wait(0)

    assert "engine 'fake' is still starting after 0 s; wait longer" == str(caught.value)


def test_a_port_that_another_program_took_is_given_up_for_another(fakes: Fakes) -> None:
    taken: list[socket.socket] = []

    def plan_for(host: str, port: int, token: Secret) -> Plan:
        if not taken:
            taken.append(socket.create_server((host, port)))
        argv = [sys.executable, FAKE, str(port)]
        return Plan(argv=argv, env={"FAKE_TOKEN": token.reveal()})

    engine = fakes.run(plan_for)
    engine.wait(DEADLINE)

    with taken[0] as other:
        assert other.getsockname()[1] != port_of(engine)
    assert "ready" == engine.status


# Failing to start


def test_an_engine_that_ends_fails_at_once_with_its_last_words(fakes: Fakes) -> None:
    engine = fakes.start("--say", "ValueError: the moon is full", "--exit", "7", start_timeout=3600)

    with pytest.raises(EngineFailed) as caught:
        engine.wait(DEADLINE)

    assert (
        "engine 'fake' did not start: it exited with status 7, saying "
        "'ValueError: the moon is full'; see its log\n"
        f"the last lines of {engine.log_path}:\n"
        "    ValueError: the moon is full"
    ) == str(caught.value)
    assert "failed" == engine.status
    assert str(engine.log_path) == caught.value.log_path


def test_a_known_cause_comes_with_its_mend(fakes: Fakes) -> None:
    engine = fakes.start("--say", "torch.OutOfMemoryError: CUDA out of memory.", "--exit", "1")

    with pytest.raises(EngineFailed) as caught:
        engine.wait(DEADLINE)

    assert (
        "engine 'fake' did not start: the memory of the GPU is not enough (it exited with status "
        "1); free it, or take smaller weights, a shorter context or fewer layers on the GPU"
    ) == str(caught.value).splitlines()[0]


def test_an_engine_killed_by_the_kernel_is_said_to_lack_memory(fakes: Fakes) -> None:
    engine = fakes.start("--kill-self", "9")

    with pytest.raises(EngineFailed, match="killed by signal 9, as the kernel does when memory"):
        engine.wait(DEADLINE)


def test_an_engine_that_hangs_fails_when_its_time_is_up(fakes: Fakes) -> None:
    engine = fakes.start("--hang", start_timeout=0.5)

    with pytest.raises(EngineFailed) as caught:
        engine.wait(DEADLINE)

    assert (
        "engine 'fake' did not start: it was not ready after 0.5 s (it did not answer); see its log"
        == str(caught.value).splitlines()[0]
    )
    assert engine.pid is None


def test_a_program_that_is_missing_is_named(fakes: Fakes) -> None:
    engine = fakes.run(lambda host, port, token: Plan(argv=["/no/such/engine"]))

    with pytest.raises(EngineFailed) as caught:
        engine.wait(DEADLINE)

    assert (
        "engine 'fake' did not start: the program '/no/such/engine' cannot be run: No such file "
        "or directory (it exited with status 127); check the path, or the option python"
        == str(caught.value).splitlines()[0]
    )


def test_every_waiting_thread_hears_of_a_failure(fakes: Fakes) -> None:
    engine = fakes.start("--exit", "1")
    heard = []

    def listen() -> None:
        with pytest.raises(EngineFailed) as caught:
            engine.wait(DEADLINE)
        heard.append(caught.value)

    threads = [threading.Thread(target=listen) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert 4 == len(set(map(id, heard)))


def test_secrets_that_an_engine_prints_are_not_in_the_error(fakes: Fakes) -> None:
    def plan_for(host: str, port: int, token: Secret) -> Plan:
        argv = [sys.executable, "-c", "import os; exit(os.environ['A'] + os.environ['HUB_TOKEN'])"]
        return Plan(argv=argv, env={"A": token.reveal(), "HUB_TOKEN": "hub-canary"})

    engine = fakes.run(plan_for)
    with pytest.raises(EngineFailed) as caught:
        engine.wait(DEADLINE)

    assert engine.token.reveal() in engine.log_path.read_text()
    assert engine.token.reveal() not in str(caught.value)
    assert "hub-canary" not in str(caught.value)


# Ending


def test_stop_leaves_neither_process_nor_port(fakes: Fakes) -> None:
    engine = fakes.start("--grandchild", "--ignore-term")
    engine.wait(DEADLINE)
    pids = ask(engine, "/pids")

    engine.stop()
    engine.stop()

    assert "stopped" == engine.status
    assert not is_listening(port_of(engine))
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_left_the_engines_session_is_asked_to_end_before_it_is_killed(fakes: Fakes) -> None:
    engine = fakes.start("--grandchild", grace=3600)
    engine.wait(DEADLINE)
    pids = ask(engine, "/pids")

    engine.stop()

    wait_for_end(pids["grandchild"])


def test_stop_ends_an_engine_that_is_still_starting(fakes: Fakes) -> None:
    engine = fakes.start("--hang")

    engine.stop()

    assert "stopped" == engine.status
    with pytest.raises(EngineFailed, match="was stopped; start it again"):
        engine.wait(DEADLINE)


def test_many_threads_may_stop_one_engine(fakes: Fakes) -> None:
    engine = fakes.start()
    engine.wait(DEADLINE)

    threads = [threading.Thread(target=engine.stop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert "stopped" == engine.status
    assert not is_listening(port_of(engine))


def test_stop_all_ends_every_engine_of_the_program(fakes: Fakes) -> None:
    engines = [fakes.start(), fakes.start()]
    for engine in engines:
        engine.wait(DEADLINE)

    stop_all()

    assert ["stopped", "stopped"] == [engine.status for engine in engines]


# Crashing


def test_a_crashed_engine_is_back_at_the_same_url_with_the_same_token(fakes: Fakes) -> None:
    engine = fakes.start("--grandchild")
    engine.wait(DEADLINE)
    url, token, pids = engine.url, engine.token, ask(engine, "/pids")

    crash(engine)
    engine.wait(DEADLINE)

    assert (url, token) == (engine.url, engine.token)
    assert ask(engine, "/pids")["engine"] == engine.pid != pids["engine"]
    assert "it exited with status 3" == engine.outcome
    wait_for_end(pids["grandchild"])


def test_an_engine_that_is_killed_is_started_again(fakes: Fakes) -> None:
    engine = fakes.start()
    engine.wait(DEADLINE)
    killed = engine.pid
    assert killed is not None

    os.kill(killed, signal.SIGKILL)
    wait_until(engine, lambda: engine.pid not in (killed, None))
    engine.wait(DEADLINE)

    assert "it was killed by signal 9" == engine.outcome


def test_an_engine_that_crashes_too_often_fails(fakes: Fakes) -> None:
    engine = fakes.start(restarts=AT_ONCE)
    engine.wait(DEADLINE)

    for _ in range(AT_ONCE.most):
        crash(engine)
        engine.wait(DEADLINE)
    crash(engine)

    with pytest.raises(EngineFailed) as caught:
        engine.wait(DEADLINE)
    assert "engine 'fake' ended 4 times in 60 s: it exited with status 3; see its log" == str(
        caught.value
    )


def test_an_engine_that_does_not_come_back_fails_with_the_cause(
    fakes: Fakes, tmp_path: Path
) -> None:
    engine = fakes.start("--crash-after-first", str(tmp_path / "started"))
    engine.wait(DEADLINE)

    crash(engine)

    with pytest.raises(EngineFailed, match="did not start: it exited with status 4"):
        engine.wait(DEADLINE)


def test_what_a_killed_guard_leaves_is_swept(fakes: Fakes, family: Family) -> None:
    engine = fakes.start("--grandchild", "--ignore-term")
    engine.wait(DEADLINE)
    pids = ask(engine, "/pids")
    guard = int(Path(f"/proc/{engine.pid}/stat").read_text().rpartition(")")[2].split()[1])

    os.kill(guard, signal.SIGKILL)
    wait_until(engine, lambda: engine.pid not in (pids["engine"], None))
    engine.wait(DEADLINE)

    assert "its guard process was killed" == engine.outcome
    for pid in pids.values():
        wait_for_end(pid)


# Whoever calls


def test_signals_that_the_program_blocks_or_ignores_are_not_missed(fakes: Fakes) -> None:
    signums = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signums)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        engine = fakes.start()
        engine.wait(DEADLINE)
        crash(engine)
        engine.wait(DEADLINE)
        engine.stop()
    finally:
        signal.signal(signal.SIGCHLD, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signums)

    assert "it was killed by signal 15" == engine.outcome


def test_an_asyncio_program_has_its_own_children_too(fakes: Fakes) -> None:
    async def main() -> tuple[str, int | None]:
        engine = fakes.start()
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(5)")
        await asyncio.to_thread(engine.wait, DEADLINE)
        status = engine.status
        await asyncio.to_thread(engine.stop)
        return status, await child.wait()

    assert [("ready", 5)] * 2 == [asyncio.run(main()), asyncio.run(main())]


def test_descriptors_may_have_high_numbers(fakes: Fakes) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        engine = fakes.start()
        engine.wait(DEADLINE)
        engine.stop()
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert "it was killed by signal 15" == engine.outcome


def test_nothing_is_held_open_after_the_end(fakes: Fakes) -> None:
    fakes.start().stop()
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(3):
        engine = fakes.start()
        engine.wait(DEADLINE)
        engine.stop()

    assert before == len(os.listdir("/proc/self/fd"))


# Logs


def test_a_log_is_for_its_owner_alone(fakes: Fakes, home: Path) -> None:
    engine = fakes.start("--say", "hello")
    engine.wait(DEADLINE)

    assert "hello\n" == engine.log_path.read_text()
    assert home / "logs" == engine.log_path.parent
    assert 0o600 == stat.S_IMODE(engine.log_path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(engine.log_path.parent.stat().st_mode)


def test_the_runtime_launches(fakes: Fakes) -> None:
    plan = Plan(argv=[sys.executable, FAKE, "--help"])
    engine = runtime.launch("Org/Name 7B", lambda host, port, token: plan)

    with pytest.raises(EngineFailed, match="engine 'Org/Name 7B' did not start"):
        engine.wait(DEADLINE)

    assert engine.log_path.name.startswith("Org-Name-7B-")
