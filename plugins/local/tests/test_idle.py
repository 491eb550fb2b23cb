"""An engine that nobody calls is ended, and comes back for the next call."""

from __future__ import annotations

import json
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from modelplug.types import Plan, Secret
from modelplug_local.engines.supervisor import SupervisedEngine
from modelplug_local.testing import DEADLINE, is_listening

FAKE = str(Path(__file__).with_name("fake_engine.py"))
SOON = 0.2


@pytest.fixture
def start() -> Iterator[Callable[..., SupervisedEngine]]:
    """`start(idle_timeout)`: a ready engine; ended after the test."""
    engines: list[SupervisedEngine] = []

    def plan_for(host: str, port: int, token: Secret) -> Plan:
        return Plan(argv=[sys.executable, FAKE, str(port)], env={"FAKE_TOKEN": token.reveal()})

    def start(idle_timeout: float | None) -> SupervisedEngine:
        engines.append(SupervisedEngine("fake", plan_for, idle_timeout=idle_timeout))
        engines[-1].begin()
        engines[-1].wait(DEADLINE)
        return engines[-1]

    yield start
    for engine in engines:
        engine.stop()


def wait_until(engine: SupervisedEngine, true: Callable[[], bool]) -> None:
    with engine.changed:
        assert engine.changed.wait_for(true, DEADLINE), engine


def ask(engine: SupervisedEngine, path: str) -> Any:
    request = urllib.request.Request(engine.url.removesuffix("/v1") + path)
    request.add_header("Authorization", f"Bearer {engine.token.reveal()}")
    with urllib.request.urlopen(request, timeout=DEADLINE) as response:
        return json.load(response)


def test_it_is_unloaded_and_started_again_at_the_same_url(start: Any) -> None:
    engine = start(SOON)
    url, before = engine.url, engine.pid

    wait_until(engine, lambda: engine.status == "unloaded" and engine.pid is None)
    assert not is_listening(urlsplit(url).port or 0)
    assert "it was not called for 0.2 s" == engine.outcome

    with engine.use():
        engine.wait(DEADLINE)
        assert (url, engine.pid) == (engine.url, ask(engine, "/pids")["engine"])
    assert before != engine.pid
    wait_until(engine, lambda: engine.status == "unloaded")
    assert 2 == engine.starts


def test_it_is_not_unloaded_while_a_call_is_made(start: Any) -> None:
    engine = start(SOON)

    with engine.use() as use:
        assert not use.ended(within=5 * SOON)
        assert "ready" == engine.status
    wait_until(engine, lambda: engine.status == "unloaded")


def test_a_call_of_another_program_keeps_it_too(start: Any) -> None:
    engine = start(SOON)
    request = urllib.request.Request(engine.url.removesuffix("/v1") + "/stream")
    request.add_header("Authorization", f"Bearer {engine.token.reveal()}")

    with urllib.request.urlopen(request, timeout=DEADLINE) as response, engine.changed:
        assert not engine.changed.wait_for(lambda: engine.status != "ready", 5 * SOON)
        assert response.read(1)
    wait_until(engine, lambda: engine.status == "unloaded")


def test_without_a_timeout_it_stays(start: Any) -> None:
    engine = start(None)

    with engine.changed:
        assert not engine.changed.wait_for(lambda: engine.status != "ready", 2 * SOON)


def test_many_that_call_an_unloaded_one_start_it_once(start: Any) -> None:
    engine = start(SOON)
    wait_until(engine, lambda: engine.status == "unloaded")
    answers: list[int] = []

    def call() -> None:
        with engine.use():
            engine.wait(DEADLINE)
            answers.append(ask(engine, "/pids")["engine"])

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert (8, 1) == (len(answers), len(set(answers)))


def test_an_unloaded_one_can_be_stopped(start: Any) -> None:
    engine = start(SOON)
    wait_until(engine, lambda: engine.status == "unloaded")

    engine.stop()

    assert ("stopped", None) == (engine.status, engine.pid)
