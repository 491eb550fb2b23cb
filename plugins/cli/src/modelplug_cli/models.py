"""`modelplug models`: what the installed plugins offer, searched by words."""

from __future__ import annotations

import click

from modelplug_cli.output import note, write_json, write_rows


@click.command(short_help="Search what the installed plugins offer.")
@click.argument("query", nargs=-1)
@click.option("--local", is_flag=True, help="List the weights on this disk instead.")
@click.option("--tuned", is_flag=True, help="List the models that were tuned here instead.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def models(
    ctx: click.Context, query: tuple[str, ...], local: bool, tuned: bool, as_json: bool
) -> int:
    """
    List what each installed provider offers, by type, and the models whose weights ship in a
    plugin. With QUERY, only those in which every word is found: source, title, type, model,
    pattern or capability, such as "rerank qwen" or "vlm tools".

    Read from the manifests; no plugin is imported. Exit code 1: nothing was found. With
    --tuned, what `modelplug tune list` lists.
    """
    from attrs import asdict

    from modelplug.plugins import installed
    from modelplug.search import offers

    if local and tuned:
        msg = "--local and --tuned are two lists; ask for one of them"
        raise click.UsageError(msg)
    if local:
        return _local(query, as_json)
    if tuned:
        tune: click.Group = installed().load("commands", "tune")
        answer: int = ctx.invoke(tune.commands["list"], query=query, as_json=as_json)
        return answer

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


def _local(query: tuple[str, ...], as_json: bool) -> int:
    from modelplug.plugins import installed

    installed().find("runtime", "local")  # says what to install where it is not
    from modelplug_local.weights.inventory import inventory
    from modelplug_local.weights.progress import size

    words = [word.lower() for word in query]
    found = [
        each
        for each in inventory()
        if all(w in f"{each.name} {each.type} {' '.join(each.formats)}".lower() for w in words)
    ]
    if as_json:
        write_json(
            [
                {
                    "name": each.name,
                    "path": str(each.path),
                    "bytes": each.size,
                    "formats": list(each.formats),
                    "type": each.type,
                    "place": each.place,
                    "state": each.state,
                }
                for each in found
            ]
        )
    elif found:
        write_rows(
            ("name", "type", "format", "size", "state", "path"),
            [
                (e.name, e.type, " ".join(e.formats), size(e.size), e.state, str(e.path))
                for e in found
            ],
        )
    else:
        note("there are no such weights on this disk; modelplug pull NAME fetches some")
    return 0 if found else 1
