"""The group `modelplug`, and how an error becomes one line and an exit code."""

from __future__ import annotations

import io
import sys

import click

from modelplug_cli.group import LazyGroup, debug_option
from modelplug_cli.output import show_error

PROBLEM, INTERRUPTED = 1, 130

COMMANDS = {
    "chat": ("modelplug_cli.chat:chat", "Talk with a model, turn by turn."),
    "ask": ("modelplug_cli.ask:ask", "Ask a model one question."),
    "embed": ("modelplug_cli.embed:embed", "Turn texts into vectors."),
    "explain": ("modelplug_cli.explain:explain", "Tell what MODEL would be, and why."),
    "config": ("modelplug_cli.config:config", "Check, show or convert a config map."),
    "models": ("modelplug_cli.models:models", "Search what the installed plugins offer."),
    "pull": ("modelplug_cli.weights:pull", "Fetch a model's weights."),
    "rm": ("modelplug_cli.weights:rm", "Delete fetched weights."),
    "bundle": (
        "modelplug_cli.weights:bundle",
        "Pack models, wheels and a configuration into one file.",
    ),
    "unbundle": ("modelplug_cli.weights:unbundle", "Unpack what modelplug bundle has packed."),
    "start": ("modelplug_cli.kept:start", "Start a local model and keep it running."),
    "ps": ("modelplug_cli.kept:ps", "List the engines that are kept running."),
    "stop": ("modelplug_cli.kept:stop", "End engines that are kept running."),
    "logs": ("modelplug_cli.kept:logs", "Show the log of an engine that is kept running."),
    "engines": ("modelplug_cli.engines:engines", "Tell which engine could run what here."),
    "engine": ("modelplug_cli.engine:engine", "Install what engines and trainers run on."),
    "plugins": ("modelplug_cli.plugins:plugins", "List the installed plugins."),
    "doctor": ("modelplug_cli.doctor:doctor", "Check this machine and what is installed."),
    "new-plugin": ("modelplug_cli.new_plugin:new_plugin", "Begin a plugin of your own."),
    "version": ("modelplug_cli.version:version", "Tell the versions."),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    params=[debug_option()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a problem, 2 wrong usage, 130 interrupted.",
)
def cli() -> None:
    """One command over online model providers and local engines; each is a plugin."""


def run(args: list[str] | None = None) -> int:
    """Run one command line, by default this process's; answers the exit code."""
    _set_streams()
    state = {"debug": False}
    try:
        answer = cli.main(args, prog_name="modelplug", standalone_mode=False, obj=state)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        # Imported here because --help has no need of it.
        from modelplug.errors import ModelplugError

        if not isinstance(error, ModelplugError):
            raise
        if state["debug"]:
            import traceback

            traceback.print_exc()
        show_error(error)
        return PROBLEM
    return answer if isinstance(answer, int) else 0


def _set_streams() -> None:
    # What a terminal's encoding lacks is escaped; it must not end an answer half-way.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # In the C locale Python lets bytes that are no text through as surrogates (PEP 538).
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="strict")


def main() -> None:
    """The console script."""
    sys.exit(run())
