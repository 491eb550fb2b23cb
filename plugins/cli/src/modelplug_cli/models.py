"""`modelplug models`: what the installed plugins offer, searched by words."""

from __future__ import annotations

import click

from modelplug_cli.output import note, write_json, write_rows


@click.command(short_help="Search what the installed plugins offer.")
@click.argument("query", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def models(query: tuple[str, ...], as_json: bool) -> int:
    """
    List what each installed provider offers, by type, and the models whose weights ship in a
    plugin. With QUERY, only those in which every word is found: source, title, type, model,
    pattern or capability, such as "rerank qwen" or "vlm tools".

    Read from the manifests; no plugin is imported. Exit code 1: nothing was found.
    """
    from attrs import asdict

    from modelplug.plugins import installed
    from modelplug.search import offers

    found = offers(installed(), " ".join(query))
    if as_json:
        write_json([asdict(offer) for offer in found])
    elif found:
        write_rows(
            ("source", "type", "default model", "patterns", "does"),
            [(o.source, o.type, o.model, " ".join(o.patterns), " ".join(o.does)) for o in found],
        )
    else:
        note("nothing that is installed offers that; modelplug plugins lists what is installed")
    return 0 if found else 1
