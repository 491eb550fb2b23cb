"""A click group whose subcommands are known by name and imported when they are called."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "commands"
"""Entry points of group `modelplug.commands` name click commands: further subcommands."""


class LazyGroup(click.Group):
    """
    Subcommands of this distribution by a table, those of others by entry points.

    The table maps a name to (module:attribute, one line of help). Listing imports neither.
    A name in the table is never given to another distribution.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the table in its order, then those of other distributions."""
        return [*self.table, *sorted(set(_others()) - set(self.table))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; PluginBroken if another's cannot be."""
        if cmd_name in self.table:
            return _with_debug(_attribute(self.table[cmd_name][0]))
        if cmd_name not in _others():
            return None
        from modelplug.errors import PluginBroken
        from modelplug.plugins import installed

        command = installed().load(GROUP, cmd_name)
        if not isinstance(command, click.Command):
            origin = installed().find(GROUP, cmd_name).origin
            msg = f"{origin}: {cmd_name!r} is no click command; its author must mend it"
            raise PluginBroken(msg)
        return _with_debug(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, but an unknown name is answered with what to install or the near ones."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing and not name.startswith("-"):
            raise click.UsageError(_unknown(name, self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list under "Commands", without importing one."""
        others = _others()
        rows = [(name, text) for name, (_, text) in self.table.items()]
        rows += [(n, others[n]) for n in self.list_commands(ctx) if n not in self.table]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; a reader that went away, as `head` does, is no problem."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _discard_stdout()
            return 0
        return answer


def _others() -> dict[str, str]:
    """Name to one line of help: what its distribution says of itself, else its name."""
    # The core's index tells the same and more, but costs 100 ms of CPU to import, which
    # --help is not worth (2026-11).
    from importlib.metadata import entry_points

    return {point.name: _summary(point) for point in entry_points(group=f"modelplug.{GROUP}")}


def _summary(point: EntryPoint) -> str:
    if point.dist is None:
        return f"From {point.module}."
    told = point.dist.metadata
    # importlib.metadata's own type has no get(), and a key that is missing is None or an error.
    return f"{told['Summary']}." if "Summary" in told else f"From {point.dist.name}."


def _attribute(place: str) -> click.Command:
    from importlib import import_module

    module, _, attribute = place.partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command


def _with_debug(command: click.Command) -> click.Command:
    """*command* with --debug, so that it may stand on either side of the command's name."""
    if not any(param.name == "debug" for param in command.params):
        command.params.append(debug_option())
    return command


def debug_option() -> click.Option:
    """`--debug`: where an error is shown with its traceback."""

    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.ensure_object(dict)["debug"] = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=remember,
        help="Show the traceback of an error.",
    )


def _unknown(name: str, known: list[str]) -> str:
    from modelplug.errors import did_you_mean
    from modelplug.known import DISTRIBUTIONS

    if distribution := DISTRIBUTIONS.get(GROUP, {}).get(name):
        return f"the command {name!r} is not installed; pip install {distribution}"
    return f"there is no command {name!r}{did_you_mean(name, known)}"


def _discard_stdout() -> None:
    """Make the interpreter's last flush a success: what is left has no reader."""
    import os

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
