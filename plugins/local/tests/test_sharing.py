"""Who asks for the same gets the same process, and the last one ends it."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelplug.catalog import Failure
from modelplug.errors import EngineFailed
from modelplug.runtime import Engine
from modelplug.types import Plan, Secret
from modelplug_local import runtime
from modelplug_local.testing import DEADLINE, Family

FAKE = str(Path(__file__).with_name("fake_engine.py"))


def plan_for(*arguments: str, **changes: Any) -> Callable[[str, int, Secret], Plan]:
    def plan(host: str, port: int, token: Secret) -> Plan:
        argv = [sys.executable, FAKE, str(port), *arguments]
        return Plan(argv=argv, env={"FAKE_TOKEN": token.reveal()}, model="fake", **changes)

    return plan


def ask(key: str, *arguments: str, **more: Any) -> Engine:
    return runtime.launch("fake", plan_for(*arguments), key=key, **more)


def test_the_same_key_is_the_same_process_until_the_last_lets_go(family: Family) -> None:
    first, second, other = ask("a"), ask("a"), ask("b")
    for engine in (first, second, other):
        engine.wait(DEADLINE)

    assert first.url == second.url != other.url
    assert first.pid == second.pid != other.pid
    first.stop()
    first.stop()
    assert ("stopped", "ready") == (first.status, second.status)
    second.stop()
    assert second.pid is None
    assert "ready" == other.status
    other.stop()


def test_without_a_key_nothing_is_shared(family: Family) -> None:
    engines = [runtime.launch("fake", plan_for()) for _ in range(2)]

    for engine in engines:
        engine.wait(DEADLINE)

    assert engines[0].pid != engines[1].pid
    for engine in engines:
        engine.stop()


def test_another_patience_is_another_engine(family: Family) -> None:
    engines = [ask("a"), ask("a", idle_timeout=3600), ask("a", idle_timeout=3600)]

    for engine in engines:
        engine.wait(DEADLINE)

    assert 2 == len({engine.pid for engine in engines})
    for engine in engines:
        engine.stop()


def test_one_that_failed_is_not_given_out_again(family: Family) -> None:
    failed = ask("a", "--exit", "1")
    with pytest.raises(EngineFailed):
        failed.wait(DEADLINE)

    sound = ask("a")
    sound.wait(DEADLINE)

    failed.stop()
    assert "ready" == sound.status
    sound.stop()


def test_many_threads_that_ask_and_let_go_start_one_process_and_leave_none(family: Family) -> None:
    pids: set[int | None] = set()
    all_hold = threading.Barrier(16)

    def hold() -> None:
        engine = ask("a")
        engine.wait(DEADLINE)
        pids.add(engine.pid)
        all_hold.wait(DEADLINE)
        engine.stop()

    threads = [threading.Thread(target=hold) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert 1 == len(pids)
    family.wait_until_gone()
    assert 1 == len(list((Path(os.environ["MODELPLUG_HOME"]) / "logs").iterdir()))


class Holder:
    """Lets go of an engine when the garbage collector finds it, in a cycle with itself."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.me = engine, self

    def __del__(self) -> None:
        self.engine.stop()


def test_engines_that_the_garbage_collector_ends_hang_nobody(family: Family) -> None:
    before = gc.get_threshold()
    gc.set_threshold(5)  # in the middle of nearly every line
    try:
        for number in range(12):
            holder = Holder(ask(f"{number % 3}"))
            holder.engine.wait(DEADLINE)
            del holder
    finally:
        gc.set_threshold(*before)
    gc.collect()

    family.wait_until_gone()


def test_a_plugins_own_failures_are_known_before_the_common_ones() -> None:
    row = Failure(
        match=r"CUDA out of (?P<what>\w+)", cause="no {what} is left", mend="buy some more"
    )
    engine = runtime.launch(
        "fake", plan_for("--say", "CUDA out of memory", "--exit", "1"), failures=[row]
    )

    with pytest.raises(EngineFailed) as caught:
        engine.wait(DEADLINE)

    assert (
        "engine 'fake' did not start: no memory is left (it exited with status 1); buy some more"
    ) == str(caught.value).splitlines()[0]
