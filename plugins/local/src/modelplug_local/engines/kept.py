"""
Engines that are kept beyond the program that started them, and how others come to use them.

A keeper (keeper.py) supervises each and writes down where it is (states.py). Before a program
uses one it has looked that the keeper is the process that wrote this, that whoever listens on
the port is the same user, and that it takes the token.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import asdict

from modelplug.errors import EngineFailed
from modelplug.runtime import Kept, PlanFor
from modelplug.types import Plan, Secret
from modelplug_local.engines import activity, logs, states
from modelplug_local.engines.adopted import AdoptedEngine
from modelplug_local.engines.failures import PORT_TAKEN
from modelplug_local.engines.identity import Process
from modelplug_local.engines.ports import HOST, free_port
from modelplug_local.engines.probe import Probe
from modelplug_local.engines.states import State
from modelplug_local.engines.supervisor import PORT_TRIES

if TYPE_CHECKING:
    from modelplug.catalog import Failure as Row

_PATIENCE = 30.0
"""Seconds that a keeper has to end its engine, whose grace is 5, before it is killed."""


def adopt(key: str) -> AdoptedEngine | None:
    """The engine that is kept under *key*, if it lives and is what it claims to be."""
    found = _living(key)
    if found is None:
        return None
    state, keeper = found
    if state.status == "ready" and not _answers(state):
        keeper.close()
        return None
    return AdoptedEngine(key, state, keeper)


def keep(
    name: str,
    plan_for: PlanFor,
    *,
    key: str,
    engine: str,
    failures: Sequence[Row] = (),
    idle_timeout: float | None = None,
) -> Kept:
    """See `modelplug.runtime.Runtime.keep`."""
    with states.alone(key):
        if (found := _living(key)) is not None:
            state, keeper = found
            there = AdoptedEngine(key, state, keeper)
            there.wait()
            there.stop()
            return _kept(key, state)
        for tries_left in reversed(range(PORT_TRIES)):
            port, token = free_port(), Secret(os.urandom(24).hex())
            order = {
                "name": name,
                "engine": engine,
                "key": key,
                "port": port,
                "token": token.reveal(),
                "plan": _as_data(plan_for(HOST, port, token)),
                "failures": [asdict(row) for row in failures],
                "idle_timeout": idle_timeout,
            }
            told = _start_keeper(name, order)
            state_now = states.read(key)
            if told.get("ready") and state_now is not None:
                return _kept(key, state_now)
            if told.get("cause") != PORT_TAKEN or not tries_left:
                break
        raise EngineFailed(told["error"], log_path=told["log_path"])


def list_kept() -> list[Kept]:
    """The engines that are kept and live, the oldest first; what dead ones left is removed."""
    found = []
    for key in states.every_key():
        living = _living(key)
        if living is None:
            states.remove(key)
        else:
            state, keeper = living
            keeper.close()
            found.append(_kept(key, state))
    return sorted(found, key=lambda each: each.began)


def end(kept: Kept) -> None:
    """End one that is kept; returns when nothing is left of it."""
    living = _living(kept.key)
    if living is not None:
        _, keeper = living
        keeper.signal(SIGTERM)
        if keeper.look(_PATIENCE):
            keeper.signal(SIGKILL)  # its guard ends the engine
            keeper.look(_PATIENCE)
        keeper.close()
    states.remove(kept.key)


def _living(key: str) -> tuple[State, Process] | None:
    state = states.read(key)
    if state is None:
        return None
    keeper = Process(state.pid, state.process)
    return (state, keeper) if keeper.lives else None


def _answers(state: State) -> bool:
    """Whether the same user listens at its address, and takes its token."""
    port = urlsplit(state.url).port or 0
    if activity.listener(port) not in (None, os.geteuid()):
        return False
    return Probe(HOST, port, Secret(state.token), state.ready, state.base)()[0]


def _kept(key: str, state: State) -> Kept:
    return Kept(
        key, state.name, state.engine, state.url, Secret(state.token), state.model,
        Path(state.log_path), state.pid, state.status, state.began,
    )  # fmt: skip


def _as_data(plan: Plan) -> dict[str, Any]:
    data, memory = asdict(plan, recurse=False), plan.memory
    del data["lacks"]  # for who calls it, not for who runs it
    told = memory and {"device": memory.device, "parts": dict(memory.parts)}
    return data | {"argv": list(plan.argv), "env": dict(plan.env), "memory": told}


def _start_keeper(name: str, order: dict[str, Any]) -> dict[str, Any]:
    """
    Have a keeper started on *order* and say what it told: it is ready, or why it is not.

    It ends by itself if this program ends, or leaves this function, before it was ready.
    """
    log = logs.new_log(f"{name}-keeper", os.environ)
    with log.open("ab") as errors:
        # It forks and ends at once, so that the keeper is nobody's child. -P: no file of the
        # working folder may pose as a module.
        starter = subprocess.Popen(  # noqa: S603 - a list, and no shell
            [sys.executable, "-P", "-m", "modelplug_local.engines.keeper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    with starter:
        assert starter.stdin is not None
        assert starter.stdout is not None
        try:
            starter.stdin.write(json.dumps(order).encode() + b"\n")
            starter.stdin.flush()
        except BrokenPipeError:  # it has told why in its log
            starter.stdout.close()
        else:
            if line := starter.stdout.readline():
                told: dict[str, Any] = json.loads(line)
                return told
    lines = "\n".join(f"    {line}" for line in logs.tail(log)[-15:])
    msg = f"the keeper of {name!r} ended at its start; the last lines of {log}:\n{lines}"
    return {"error": msg, "log_path": str(log)}
