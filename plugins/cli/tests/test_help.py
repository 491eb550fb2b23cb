"""Help, unknown commands, and commands of other distributions."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import click
import pytest
from cli_terminal import Install, Run

from modelplug.testing import FaultServer
from modelplug_cli.main import COMMANDS, cli, main

COUNT_MODULES = """
import sys
from modelplug_cli.main import run
code = run(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""

HELLO = """
import click

@click.command()
@click.option("--name", default="you")
def hello(name):
    "Greet."
    print(f"hello {name}")

number = 7
"""


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_no_plugin_and_nothing_heavy(
    arguments: list[str], env: dict[str, str], install: Install
) -> None:
    install("tripwire", "[modelplug.create_online]\ntripwire = tripwire:plugin\n", "1 / 0")
    done = subprocess.run(
        [sys.executable, "-c", COUNT_MODULES, *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("Usage: modelplug")
    loaded = {module.partition(".")[0] for module in done.stderr.split()}
    heavy = {"httpx", "httpcore", "rich", "yaml", "cattrs", "pluggy", "orjson"}
    assert set() == loaded & (heavy | {"tripwire", "modelplug_openai", "readline"})


def test_the_list_of_commands_says_of_each_what_its_own_help_says() -> None:
    context = click.Context(cli)
    loaded = {name: cli.get_command(context, name) for name in COMMANDS}

    assert {name: text for name, (_, text) in COMMANDS.items()} == {
        name: command.short_help for name, command in loaded.items() if command
    }


def test_the_console_script_is_installed_under_the_name_modelplug() -> None:
    (script,) = entry_points(group="console_scripts", name="modelplug")

    assert main is script.load()


def test_an_unknown_command_is_answered_with_the_near_one(run: Run) -> None:
    done = run("chta")

    assert 2 == done.returncode
    assert "there is no command 'chta'; did you mean 'chat'?" in done.stderr


def test_a_command_of_another_distribution_is_listed_unimported_and_runs(
    run: Run, install: Install
) -> None:
    install("hello", "[modelplug.commands]\nhello = hello:hello\n", HELLO, summary="Say hello")
    install("other", "[modelplug.commands]\nother = other:command\n", "1 / 0")

    listed = run("--help").stdout
    assert "hello       Say hello." in listed
    assert "other       From other." in listed
    assert "hello Ada\n" == run("hello", "--name", "Ada").stdout
    broken = run("other")
    assert 1 == broken.returncode
    assert "error: other 1.0 could not be loaded for 'other'" in broken.stderr


def test_a_command_that_two_distributions_provide_is_refused_by_name(
    run: Run, install: Install
) -> None:
    install("hello", "[modelplug.commands]\nhello = hello:hello\n", HELLO)
    install("ciao", "[modelplug.commands]\nhello = ciao:hello\n", HELLO)

    done = run("hello")
    assert 1 == done.returncode
    assert "error: ciao and hello both provide 'hello'" in done.stderr


def test_another_distribution_cannot_take_the_name_of_a_command(run: Run, install: Install) -> None:
    install("hello", "[modelplug.commands]\nversion = hello:hello\n", HELLO)

    assert run("version").stdout.startswith("modelplug ")


def test_a_command_that_is_no_click_command_is_its_authors_fault(
    run: Run, install: Install
) -> None:
    install("hello", "[modelplug.commands]\nseven = hello:number\n", HELLO)

    done = run("seven")
    assert 1 == done.returncode
    assert "error: hello 1.0: 'seven' is no click command; its author must mend it\n" == done.stderr


@pytest.mark.parametrize("place", [0, 1])
def test_debug_shows_the_traceback_on_either_side_of_the_command(
    place: int, run: Run, server: FaultServer
) -> None:
    arguments = ["explain", "x", "--source", "nobody"]

    assert "Traceback" not in run(*arguments).stderr
    arguments.insert(place, "--debug")
    assert "Traceback" in run(*arguments).stderr
