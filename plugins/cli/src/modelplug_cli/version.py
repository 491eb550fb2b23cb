"""`modelplug version`."""

from __future__ import annotations

import platform

import click

from modelplug_cli.output import write_json


@click.command(short_help="Tell the versions.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def version(as_json: bool) -> None:
    """Tell the versions of modelplug, of this command and of Python."""
    from importlib.metadata import version as version_of

    versions = {
        "modelplug": version_of("modelplug"),
        "modelplug-cli": version_of("modelplug-cli"),
        "python": platform.python_version(),
    }
    if as_json:
        write_json(versions)
    else:
        for name, number in versions.items():
            print(name, number)
