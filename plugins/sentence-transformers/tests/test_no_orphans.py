"""kill -9 of a program with a real engine: while it loads torch, and in a request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from modelplug_local.testing import Family, Moment, kill_at

CALLER = str(Path(__file__).with_name("caller.py"))


def test_a_killed_program_leaves_nothing_and_the_next_one_starts(
    family: Family, folders: Any
) -> None:
    argv = [sys.executable, CALLER, str(folders.embed)]

    # Lines: the port, "ready", then one for each request.
    for moment in (Moment(line=1, after=2.0), Moment(line=4, after=0.01)):
        kill_at(family, argv, moment)
