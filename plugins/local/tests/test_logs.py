"""Logs: named for their engine, bounded in number and size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelplug.errors import ConfigError
from modelplug_local.engines import logs


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"MODELPLUG_HOME": str(tmp_path)}


def test_home_is_a_setting() -> None:
    assert Path("/srv/mp") == logs.home({"MODELPLUG_HOME": "/srv/mp"})
    assert Path.home() / ".modelplug" == logs.home({})


def test_a_name_makes_a_safe_file_name(env: dict[str, str]) -> None:
    assert logs.new_log("../../etc/x", env).parent == Path(env["MODELPLUG_HOME"]) / "logs"
    assert logs.new_log("///", env).name.startswith("engine-")


def test_the_newest_logs_of_a_name_are_kept(env: dict[str, str]) -> None:
    made = [logs.new_log("a", env) for _ in range(logs.KEPT + 3)]
    other = logs.new_log("a-b", env)

    left = set(made[0].parent.iterdir())

    assert made[-1] in left
    assert other in left
    assert logs.KEPT + 1 == len(left)


def test_a_log_that_has_grown_too_long_begins_anew(env: dict[str, str]) -> None:
    log = logs.new_log("a", env)
    os.truncate(log, logs.LONGEST)

    logs.bound(log)
    assert logs.LONGEST == log.stat().st_size

    os.truncate(log, logs.LONGEST + 1)
    logs.bound(log)
    assert 0 == log.stat().st_size


def test_the_tail_begins_where_it_is_told_and_leaves_out_blank_lines(env: dict[str, str]) -> None:
    log = logs.new_log("a", env)
    log.write_bytes(b"before\nafter \n\n\xff\n")

    assert ["after", "\ufffd"] == logs.tail(log, start=7)
    assert ["before", "after", "\ufffd"] == logs.tail(log, start=10_000)


def test_the_tail_of_a_long_log_is_bounded(env: dict[str, str]) -> None:
    log = logs.new_log("a", env)
    log.write_text("x" * 200_000)

    assert 65536 == len(logs.tail(log)[0])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError) as caught:
        logs.new_log("a", {"MODELPLUG_HOME": str(tmp_path / "file")})

    assert (
        f"no log can be written to '{tmp_path}/file/logs': Not a directory; set MODELPLUG_HOME"
        == str(caught.value)
    )
