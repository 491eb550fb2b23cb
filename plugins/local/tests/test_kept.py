"""Engines that go on beyond a program: found again, believed only when they are what they say."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import evolve

from modelplug.errors import ConfigError, EngineFailed
from modelplug.runtime import Engine, Kept
from modelplug.types import Plan, Secret
from modelplug_local import runtime
from modelplug_local.engines import activity, states
from modelplug_local.engines.identity import Process, identity
from modelplug_local.testing import DEADLINE, Family, is_listening, wait_for_end

FAKE = str(Path(__file__).with_name("fake_engine.py"))
KEY, OTHER = "0" * 32, "f" * 32


def plan_for(*arguments: str) -> Callable[[str, int, Secret], Plan]:
    def plan(host: str, port: int, token: Secret) -> Plan:
        argv = [sys.executable, FAKE, str(port), *arguments]
        return Plan(argv=argv, env={"FAKE_TOKEN": token.reveal()}, model="fake", start_timeout=60)

    return plan


def keep(*arguments: str, key: str = KEY, **more: Any) -> Kept:
    return runtime.keep("fake", plan_for(*arguments), key=key, engine="quick", **more)


def ask(key: str = KEY) -> Engine:
    engine = runtime.launch("fake", plan_for(), key=key)
    engine.wait(DEADLINE)
    return engine


def engine_of(kept: Kept) -> int:
    """Process id of the engine itself, as it says."""
    import urllib.request

    request = urllib.request.Request(kept.url.removesuffix("/v1") + "/pids")
    request.add_header("Authorization", f"Bearer {kept.token.reveal()}")
    with urllib.request.urlopen(request, timeout=DEADLINE) as response:
        return int(json.load(response)["engine"])


def port_of(engine: Engine | Kept) -> int:
    return urlsplit(engine.url).port or 0


@pytest.fixture
def state_file(home: Path) -> Path:
    """Where the keeper of KEY writes."""
    return home / "engines" / f"{KEY}.json"


@pytest.fixture(autouse=True)
def _nothing_is_left(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    family = Family()
    monkeypatch.setenv(Family.NAME, family.mark)  # keepers are nobody's children
    yield
    for kept in runtime.kept():
        runtime.end(kept)
    # This very process carries no mark: its environment was read at its start.
    family.wait_until_gone()


def test_a_kept_engine_is_used_by_who_asks_for_the_same(state_file: Path) -> None:
    kept = keep()
    pid = engine_of(kept)

    mine, same, other = ask(), ask(), ask(OTHER)

    assert kept.url == mine.url == same.url != other.url
    assert ("ready", kept.token, "fake") == (mine.status, mine.token, mine.model)
    assert [kept] == runtime.kept()
    mine.stop()
    same.stop()
    other.stop()
    assert "stopped" == mine.status
    assert pid == engine_of(kept)
    runtime.end(kept)
    wait_for_end(pid)
    assert not is_listening(port_of(kept))
    assert [] == runtime.kept()
    assert [] == list(state_file.parent.iterdir())


def test_it_outlives_the_program_that_started_it(family: Family) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_kept;"
        "kept = test_kept.keep(); print(kept.url)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
    )

    (kept,) = runtime.kept()
    assert kept.url == done.stdout.strip()
    assert kept.url == ask().url


def test_what_is_written_down_is_for_its_owner_alone(state_file: Path) -> None:
    kept = keep()

    assert 0o600 == stat.S_IMODE(state_file.stat().st_mode)
    assert 0o700 == stat.S_IMODE(state_file.parent.stat().st_mode)
    command = Path(f"/proc/{kept.pid}/cmdline").read_bytes()
    assert kept.token.reveal().encode() not in command
    assert kept.token.reveal() not in repr(kept)


def test_keeping_twice_is_keeping_once() -> None:
    found: list[Kept] = []
    threads = [threading.Thread(target=lambda: found.append(keep())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert [found[0].url] * 4 == [kept.url for kept in found]
    assert 1 == len(runtime.kept())


def test_one_that_cannot_start_says_why_and_leaves_nothing(state_file: Path) -> None:
    with pytest.raises(EngineFailed) as caught:
        keep("--say", "MemoryError", "--exit", "1")

    assert (
        "engine 'fake' did not start: memory is not enough (it exited with status 1); close "
        "programs, or take smaller weights or a shorter context"
    ) == str(caught.value).splitlines()[0]
    assert [] == list(state_file.parent.iterdir())


def test_a_crashed_one_comes_back_and_calls_in_flight_hear_of_it() -> None:
    kept = keep()
    mine, before = ask(), engine_of(kept)

    with mine.use() as use:
        assert not use.ended(within=0)
        os.kill(before, signal.SIGKILL)
        assert use.ended(within=DEADLINE)
    mine.wait(DEADLINE)

    assert kept.url == mine.url
    assert before != engine_of(kept)
    mine.stop()


def test_the_end_of_its_keeper_is_its_own(state_file: Path) -> None:
    kept = keep("--grandchild")
    mine, pid = ask(), engine_of(kept)

    os.kill(kept.pid, signal.SIGKILL)
    wait_for_end(pid)
    wait_for_end(kept.pid)  # its files are closed, and so the engine ends, before it has gone

    assert "stopped" == mine.status
    with pytest.raises(EngineFailed, match="which was kept, has ended; call again"):
        mine.wait()
    new = ask()
    assert not isinstance(new, type(mine))
    assert [] == runtime.kept()
    assert not state_file.exists()
    new.stop()


def test_a_keeper_whose_file_is_taken_away_ends(state_file: Path) -> None:
    kept = keep()
    pid = engine_of(kept)

    state_file.unlink()

    wait_for_end(pid)
    wait_for_end(kept.pid)


def test_an_idle_one_ends_altogether() -> None:
    kept = keep(idle_timeout=0.3)

    wait_for_end(kept.pid)

    assert [] == runtime.kept()


def test_nobody_waits_for_a_start_whose_starter_was_killed(family: Family, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_kept;"
        "test_kept.keep('--gate', sys.argv[2], '--loading', '1000000')"
    )
    starter = family.run([sys.executable, "-c", code, str(Path(__file__).parent), str(gate)])
    gate.write_bytes(b"go")  # waits until the engine, and so the keeper, are there

    starter.kill()

    starter.communicate()
    family.wait_until_gone()


# What cannot be believed.


def written(state_file: Path, **changes: object) -> None:
    """Change what the keeper has written."""
    data = json.loads(state_file.read_bytes()) | changes
    state_file.write_text(json.dumps(data))


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"pid": 1}', b"\xff\xfe", b"[" * 50_000, b'{"pid": "' + b"9" * 70_000],
    ids="empty cut list short binary deep long".split(),
)
def test_a_file_that_cannot_be_read_is_no_engine(state_file: Path, text: bytes) -> None:
    states.folder()
    state_file.write_bytes(text)
    state_file.chmod(0o600)

    assert [] == runtime.kept()
    engine = ask()
    assert engine.pid is not None
    engine.stop()


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://evil.example/v1"},
        {"url": "http://127.0.0.1:80@evil.example/v1"},
        {"url": "file:///etc/passwd"},
        {"pid": 1},
        {"pid": 0},
        {"pid": -1},
        {"process": ""},
        {"process": "another boot 17"},
        {"token": ""},
    ],
    ids=str,
)
def test_a_file_that_says_what_is_not_so_is_not_believed(
    state_file: Path, changes: dict[str, object]
) -> None:
    kept = keep()
    written(state_file, **changes)

    engine = ask()

    assert kept.url != engine.url
    engine.stop()
    wait_for_end(kept.pid)  # nobody could have ended it


def test_a_number_that_another_process_has_now_is_not_signalled(
    state_file: Path, family: Family
) -> None:
    kept = keep()
    stranger = family.run([sys.executable, "-c", "input()"])
    written(state_file, pid=stranger.pid)

    runtime.end(kept)

    assert stranger.poll() is None
    stranger.kill()
    stranger.communicate()


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o666])
def test_a_file_that_others_may_read_or_write_is_not_believed(state_file: Path, mode: int) -> None:
    kept = keep()
    state_file.chmod(mode)

    engine = ask()

    assert kept.url != engine.url
    engine.stop()


def test_links_and_fifos_are_neither_followed_nor_waited_for(
    state_file: Path, tmp_path: Path
) -> None:
    kept = keep()
    copy = tmp_path / "copy.json"
    copy.write_bytes(state_file.read_bytes())
    copy.chmod(0o600)
    state_file.unlink()
    state_file.symlink_to(copy)
    assert states.read(KEY) is None

    state_file.unlink()
    os.mkfifo(state_file, 0o600)
    assert states.read(KEY) is None
    assert [] == runtime.kept()
    wait_for_end(kept.pid)


def test_a_folder_that_is_not_ours_alone_is_refused(state_file: Path) -> None:
    kept = keep()
    state_file.parent.chmod(0o777)

    with pytest.raises(ConfigError) as caught:
        keep(key=OTHER)

    assert (
        f"'{state_file.parent}' is not this user's alone; chmod 700 it, or set MODELPLUG_HOME"
        == str(caught.value)
    )
    assert [] == runtime.kept()
    engine = ask()
    assert kept.url != engine.url
    engine.stop()
    state_file.parent.chmod(0o700)


def test_a_token_that_the_engine_refuses_is_not_used(state_file: Path) -> None:
    kept = keep()
    written(state_file, token="another")

    engine = ask()

    assert kept.url != engine.url
    engine.stop()


# Processes.


def test_a_process_is_told_by_its_start() -> None:
    me = os.getpid()

    assert identity(me) == identity(me) != identity(os.getppid())
    assert Process(me, identity(me)).look()
    assert not Process(me, identity(os.getppid())).lives
    assert not Process(me, "").lives
    assert "" == identity(2**22 + 1)


def test_a_process_that_has_ended_is_noticed(family: Family) -> None:
    child = family.run([sys.executable, "-c", "input()"])
    process = Process(child.pid, identity(child.pid))
    assert process.look(within=0)

    process.signal(signal.SIGKILL)

    assert not process.look(within=DEADLINE)
    process.signal(signal.SIGKILL)
    process.close()
    child.communicate()


def test_a_connection_is_remembered_by_the_kernel_after_it_closed(family: Family) -> None:
    engine = ask()
    port = port_of(engine)

    assert os.geteuid() == activity.listener(port)
    assert activity.listener(1) is None
    idle = activity.idle_for(port)
    assert idle is not None
    assert 0 <= idle < DEADLINE
    assert activity.idle_for(1) is None
    engine.stop()


def test_a_state_survives_being_written_and_read(state_file: Path) -> None:
    kept = keep()
    state = states.read(KEY)
    assert state is not None

    states.write(OTHER, evolve(state, name="数学"))

    other = states.read(OTHER)
    assert other is not None
    assert ("数学", state.token) == (other.name, kept.token.reveal())
    states.remove(OTHER)
