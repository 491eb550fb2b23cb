"""`modelplug new-plugin`: the files of a plugin of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from modelplug_cli.output import note


@click.command(short_help="Begin a plugin of your own.")
@click.argument("name")
@click.option(
    "--wire",
    type=click.Choice(["openai", "own"]),
    required=True,
    help="openai: the provider is compatible with OpenAI's; own: it is not.",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default=".",
    help="Where the plugin's folder is made.",
)
def new_plugin(name: str, wire: str, directory: Path) -> None:
    """
    Write a provider plugin called NAME, with its manifest and tests, and print the path of
    each file.
    """
    from modelplug.scaffold import create

    files = create(name, wire, directory)
    for path in files:
        print(path)
    folder = directory / files[0].relative_to(directory).parts[0]
    note(f"next: pip install -e {folder}, then `modelplug explain {name}`")
