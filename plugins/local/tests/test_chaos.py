"""
The chaos table: whatever happens at whatever moment, nothing hangs, nothing is left, and the
next start works. The rows are faults, the columns what the program is doing at that moment;
each cell is a case of the one test here, or a reason why there is none.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from repositories import MODEL, chosen, everything, repository

from modelplug.types import Plan, Secret
from modelplug_local import pull
from modelplug_local.engines.supervisor import SupervisedEngine
from modelplug_local.testing import DEADLINE, Family, wait_for_end
from modelplug_local.weights.testing_hub import Hub

HERE = Path(__file__).parent
MOMENTS = ["download", "start", "idle", "stream", "stop"]
# From outside; to its whole group where a terminal does so.
SIGNALS = {
    "kill -9 caller": (os.kill, signal.SIGKILL),
    "SIGTERM": (os.kill, signal.SIGTERM),
    "Ctrl-C": (os.killpg, signal.SIGINT),
}
FAULTS = [*SIGNALS, "kill -9 engine", "full disk", "port taken", "no descriptors", "clock jump"]
NO_CELL = {
    ("port taken", "download"): "what fetches listens on no port, and speaks to us over pipes",
}
CELLS = [(f, m) for f in FAULTS for m in MOMENTS if (f, m) not in NO_CELL]
PORT = "EngineFailed: engine 'fake' did not start: another program has taken its port"
# The second, where no disk could be mounted.
FULL = "EngineFailed: .*: (the disk is full|it exited with status 1)"
FILES = "Too many open files"
# What the program is told while the fault is there, and at a start what one is told that begins
# then; elsewhere it notices nothing.
TOLD = {
    ("kill -9 engine", "download"): ["TransportFailed: .* its client ended without a word; run it"],
    ("kill -9 engine", "start"): ["EngineFailed: .* it was killed by signal 9", "200"],
    ("full disk", "download"): ["ConfigError: 'org/m' cannot be written: .*; make room"],
    ("full disk", "start"): [f"ok|{FULL}", FULL],  # it may have had a block for its log
    ("port taken", "idle"): [PORT],
    ("port taken", "stream"): [PORT],
    ("no descriptors", "download"): [f"ConfigError: 'org/m' cannot be fetched: .*{FILES}.*; raise"],
    ("no descriptors", "start"): [
        f"EngineFailed: .*{FILES}",
        f"ConfigError: no log can be written to .*: {FILES}; raise the limit",
    ],
    ("no descriptors", "idle"): [f"EngineFailed: .*{FILES}"],
}


@pytest.mark.parametrize(("fault", "moment"), CELLS, ids=[f"{f} at {m}" for f, m in CELLS])
def test_nothing_hangs_nothing_is_left_and_the_next_start_works(
    fault: str, moment: str, hub: Hub, family: Family, tmp_path: Path
) -> None:
    hub.repositories[MODEL] = files = repository(6_000_000)
    hub.rate = 3_000_000
    disk, clock = tmp_path / "disk", tmp_path / "clock"
    disk.mkdir()
    clock.write_text("0")
    argv = [sys.executable, str(HERE / "chaos_program.py"), moment, str(disk)]
    env = {"MODELPLUG_HOME": str(disk / "home"), "MODELPLUG_MODEL_CACHE_DIR": str(disk / "models")}
    if fault == "clock jump":
        env |= {"CLOCK": str(clock), "PYTHONPATH": str(HERE / "clock")}
    if fault == "full disk":
        argv = [*mounted(disk), *argv]
    again = hashlib.sha256(files["m-Q4_K_M.gguf"]).hexdigest() if moment == "download" else "200"

    with family.run(argv, env, start_new_session=True, stdin=subprocess.PIPE) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert "here\n" == program.stdout.readline()
        if fault in SIGNALS:
            send, signum = SIGNALS[fault]
            send(program.pid, signum)
        else:
            program.stdin.write(f"{fault}\n")
            program.stdin.flush()
            assert "happened\n" == program.stdout.readline()
        hub.rate = 1e9  # what goes on comes soon to its end
        wait_for_end(program.pid)
        family.wait_until_gone()
        told = program.stdout.read()

    if fault in SIGNALS:
        assert 0 != program.returncode
        assert "" == told
    else:
        assert 0 == program.returncode
        *under, after = told.splitlines()
        expected = TOLD.get((fault, moment), ["ok", "200"][: 2 if moment == "start" else 1])
        assert len(expected) == len(under)
        for pattern, line in zip(expected, under, strict=True):
            assert re.match(pattern, line), line
        assert again == after
    the_next_start_works(disk, files)


def the_next_start_works(disk: Path, files: dict[str, bytes]) -> None:
    """Here, in what was left of the program's folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELPLUG_HOME", str(disk / "home"))
        patch.setenv("MODELPLUG_MODEL_CACHE_DIR", str(disk / "models"))
        pull(MODEL, formats=["gguf"])
        engine = SupervisedEngine("fake", plan_for)
        engine.begin()
        engine.wait(DEADLINE)
        engine.stop()
    assert chosen(files) == everything(disk / "models" / MODEL)
    assert [] == list((disk / "models" / ".staging").iterdir())


def plan_for(host: str, port: int, token: Secret) -> Plan:
    argv = [sys.executable, str(HERE / "fake_engine.py"), str(port)]
    return Plan(argv=argv, env={"FAKE_TOKEN": token.reveal()}, start_timeout=60)


def mounted(folder: Path) -> list[str]:
    """
    What to put before a program that shall have a file system of 96 MB at *folder*.

    Nothing where that is forbidden, as containers mostly do: there a limit stands in for it.
    """
    script = 'mount -t tmpfs -o size=96m tmpfs "$0" && exec "$@"'
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(folder)]
    if shutil.which(argv[0]) is None:
        return []
    tried = subprocess.run([*argv, "true"], capture_output=True, check=False)
    return [] if tried.returncode else argv
