"""`modelplug engine`: what is listed, told and refused; plugins/local tests how they are made."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cli_terminal import Install, Run

MANIFEST = """
[deploy_local.acme]
title = "Acme"
formats = ["gguf"]
types = ["llm"]
module = "acme_core"

[[deploy_local.acme.environments]]
lock = "lock.txt"
"""
POINT = "[modelplug.deploy_local]\nacme = acme:plugin\n"


def record(home: Path, name: str, **more: object) -> Path:
    """What an installation leaves behind, without its packages; answers its folder."""
    folder = home / "environments" / f"engine-{name}"
    (folder / "cpu-1/bin").mkdir(parents=True)
    (folder / "cpu-1/bin/python").symlink_to(sys.executable)
    package = {"version": "1.0", "sha256": "0" * 64, "locked": False}
    told = {
        "kind": "engine", "name": name, "path": "cpu-1", "digest": "", "device": "cpu",
        "version": "3.11.7", "packages": {"acme-core": package}, "size": 2_500_000_000,
        "made": "2026-11-22T12:00:00+00:00", **more,
    }  # fmt: skip
    (folder / "current.json").write_text(json.dumps(told))
    return folder / "cpu-1"


def test_what_could_be_installed_is_listed_with_the_command(run: Run, install: Install) -> None:
    install("acme", POINT, "plugin = object()", MANIFEST)

    rows = {
        line.split("\t")[0]: line.split("\t") for line in run("engine", "list").stdout.splitlines()
    }
    assert ["acme", "engine", "absent", "", "", "", "", "modelplug engine install acme"] == rows[
        "acme"
    ]


def test_what_is_installed_is_listed_with_its_state(
    run: Run, install: Install, env: dict[str, str], tmp_path: Path
) -> None:
    install("acme", POINT, "plugin = object()", MANIFEST)
    env["MODELPLUG_HOME"] = str(tmp_path / "home")
    folder = record(tmp_path / "home", "acme")
    (tmp_path / "site/acme/lock.txt").write_text("# another list\n")

    done = run("engine", "list", "--json")
    (row,) = (row for row in json.loads(done.stdout) if row["name"] == "acme")
    assert ("stale", str(folder), 0) == (row["state"], row["folder"], done.returncode)
    assert ({"acme-core": "1.0"}, {"acme-core": "0" * 64}) == (row["packages"], row["unlocked"])
    line = next(each for each in run("engine", "list").stdout.splitlines() if "acme" in each)
    assert line.startswith("acme\tengine\tstale\tcpu\t3.11.7\t2.50 GB\t~/home/environments/")


def test_doctor_ends_with_1_for_one_that_cannot_be_imported(
    run: Run, install: Install, env: dict[str, str], tmp_path: Path
) -> None:
    install("acme", POINT, "plugin = object()", MANIFEST)
    env["MODELPLUG_HOME"] = str(tmp_path / "home")
    record(tmp_path / "home", "acme")
    (tmp_path / "site/acme/lock.txt").touch()

    done = run("engine", "doctor", "acme")
    assert 1 == done.returncode
    assert "acme\tengine\tbroken\t" in done.stdout
    assert "No module named 'acme_core'" in done.stdout


def test_an_environment_is_removed_and_its_folder_told(
    run: Run, env: dict[str, str], tmp_path: Path
) -> None:
    env["MODELPLUG_HOME"] = str(tmp_path / "home")
    folder = record(tmp_path / "home", "gone")

    done = run("engine", "remove", "gone")
    assert (0, f"{folder.parent}\n") == (done.returncode, done.stdout)
    assert not folder.exists()
    again = run("engine", "remove", "gone")
    assert (1, "error: there is no environment of 'gone'\n") == (again.returncode, again.stderr)


def test_a_name_that_is_no_engine_is_refused(run: Run) -> None:
    done = run("engine", "install", "no-such-engine")

    assert 1 == done.returncode
    assert done.stderr.splitlines()[-1].startswith("error: no installed plugin provides")
