"""`modelplug new-plugin`."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_terminal import Run


@pytest.mark.parametrize("wire", ["openai", "own"])
def test_new_plugin_prints_the_path_of_each_file_it_wrote(
    wire: str, run: Run, tmp_path: Path
) -> None:
    done = run("new-plugin", "acme", "--wire", wire, "--directory", str(tmp_path))

    folder = tmp_path / "modelplug-acme"
    written = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    assert 0 == done.returncode
    assert written == done.stdout.splitlines()
    assert str(folder / "pyproject.toml") in written
    assert f"next: pip install -e {folder}, then `modelplug explain acme`\n" == done.stderr


def test_new_plugin_writes_into_the_folder_that_one_is_in(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = run("new-plugin", "acme", "--wire", "openai")
    assert 0 == done.returncode
    assert "next: pip install -e modelplug-acme, then `modelplug explain acme`\n" == done.stderr
    assert all((tmp_path / line).is_file() for line in done.stdout.splitlines())


def test_new_plugin_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    arguments = ("new-plugin", "acme", "--wire", "openai", "--directory", str(tmp_path))
    run(*arguments)

    done = run(*arguments)
    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("error: ")


def test_new_plugin_needs_a_wire(run: Run) -> None:
    done = run("new-plugin", "acme")

    assert 2 == done.returncode
    assert "--wire" in done.stderr
