"""The command lines of the README."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from modelplug_cli.main import COMMANDS, cli

README = Path(__file__).parents[1] / "README.md"


def command_lines() -> list[str]:
    blocks = README.read_text(encoding="utf-8").split("```sh\n")[1:]
    lines = [line for block in blocks for line in block.split("```")[0].splitlines()]
    return [line for line in lines if "modelplug " in line and not line.startswith("pip ")]


@pytest.mark.parametrize("line", command_lines())
def test_each_command_line_is_one_that_the_command_takes(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "city.json").write_text("{}")
    words = shlex.split(line, comments=True)
    words = words[words.index("modelplug") + 1 :]

    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    assert words[0] == command.make_context(words[0], words[1:]).info_name


def test_every_command_is_in_the_readme() -> None:
    shown = re.findall(r"(?:^|`|\| )modelplug ([\w-]+)", README.read_text("utf-8"), re.M)

    assert set(COMMANDS) == set(shown)
