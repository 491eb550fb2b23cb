"""`modelplug plugins`: what is installed, broken and hidden."""

from __future__ import annotations

import click

from modelplug_cli.output import note, write_json, write_rows


@click.command(short_help="List the installed plugins.")
@click.option("--check", is_flag=True, help="Import each plugin too, as its first use would.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def plugins(check: bool, as_json: bool) -> int:
    """
    List each name that an installed plugin provides, with its distribution and state: ok,
    broken, duplicate (two distributions provide it) or blocked (by MODELPLUG_BLOCK).

    No plugin is imported without --check. Exit code 1: one is broken or a duplicate.
    """
    from attrs import asdict

    from modelplug_cli.listing import list_plugins

    rows = list_plugins(check=check)
    if as_json:
        write_json([asdict(row) for row in rows])
    elif rows:
        write_rows(
            ("group", "name", "from", "version", "state", "why"),
            [(r.group, r.name, r.distribution, r.version, r.state, r.why) for r in rows],
        )
    else:
        note("no plugin is installed; pip install modelplug-openai, for one")
    return 1 if any(row.state in ("broken", "duplicate") for row in rows) else 0
