"""kill -9 of a program with a real engine, at twenty moments."""

from __future__ import annotations

import sys
from pathlib import Path

from modelplug_local.testing import Family, Moment, kill_at, moments

CALLER = str(Path(__file__).with_name("caller.py"))


def test_a_killed_program_leaves_nothing_and_the_next_one_starts(
    family: Family, weights_folder: Path
) -> None:
    argv = [sys.executable, CALLER, str(weights_folder / "tiny.q8_0.gguf")]

    # Before the launch, while it starts, when it is ready, in a stream. Each program that is
    # waited for until it is ready is the next start after a kill.
    for moment in moments(seed=9, count=20, lines=4, longest=0.3):
        kill_at(family, argv, moment)
    kill_at(family, argv, Moment(line=2, after=0))
