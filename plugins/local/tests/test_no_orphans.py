"""However a program ends, nothing of its engines is left."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from modelplug_local.testing import Family, Moment, is_listening, kill_at, moments

CALLER = str(Path(__file__).with_name("caller.py"))


def argv(what: str, *engine: str) -> list[str]:
    return [sys.executable, CALLER, what, *engine]


@pytest.mark.parametrize(
    ("what", "engine", "lines"),
    [("starting", ("--loading", "50"), 1), ("stream", (), 2), ("idle", (), 2)],
    ids=["starting", "in a stream", "idle"],
)
def test_a_killed_program_leaves_nothing(
    what: str, engine: tuple[str, ...], lines: int, family: Family
) -> None:
    for moment in moments(seed=len(what), count=7, lines=lines + 1, longest=0.3):
        kill_at(family, argv(what, "--grandchild", *engine), moment)


ENDS = ["end", "raise", "os-exit", "exec", "fork", "unseen-fork", "idle"]


@pytest.mark.parametrize("what", ENDS)
def test_whatever_ends_a_program_ends_what_it_started(what: str, family: Family) -> None:
    program = family.run(argv(what, "--grandchild"))
    assert program.stdout is not None
    port = int(program.stdout.readline())

    assert "ready\n" == program.stdout.readline()
    if what == "idle":
        program.terminate()
    program.communicate()
    family.wait_until_gone()
    assert not is_listening(port)


def test_an_engine_that_ignores_sigterm_does_not_outlive_a_killed_program(family: Family) -> None:
    kill_at(family, argv("idle", "--grandchild", "--ignore-term"), Moment(line=2, after=0))


def test_the_end_of_a_forked_child_ends_nothing(family: Family) -> None:
    program = family.run(argv("fork-and-go-on"))

    printed, _ = program.communicate()

    assert ["ready", "200 ready"] == printed.splitlines()[1:]


def test_a_signal_from_the_terminal_does_not_reach_the_engine(family: Family) -> None:
    program = family.run(argv("ctrl-c"), start_new_session=True)
    assert program.stdout is not None
    assert ["ready"] == [program.stdout.readline(), program.stdout.readline().strip()][1:]

    os.killpg(program.pid, signal.SIGINT)
    printed, _ = program.communicate()

    assert "interrupted; the engine is ready" == printed.strip()


def test_engines_started_from_threads_that_end_go_on(family: Family) -> None:
    program = family.run(argv("from-a-thread"))

    printed, _ = program.communicate()

    assert "ready\n200 ready" == printed.partition("\n")[2].strip()
