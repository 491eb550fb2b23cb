"""`modelplug tune`: train from a recipe, and look after trainings."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click


class _Tune(click.Group):
    """`tune RECIPE.yaml` is `tune run RECIPE.yaml`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Tune, short_help="Train a model, and look after trainings.")
def tune() -> None:
    """
    Train, prove, publish. `modelplug tune RECIPE.yaml` does what the file says.

    A recipe has base and trainset, and may have evalset, name, trainer, method, settings,
    options, engine, engine_options, type, source, serve, python.
    """


@tune.command()
@click.argument("recipe", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--unproven", is_flag=True, help="Publish even if serving differs from training.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def run(recipe: Path, unproven: bool, as_json: bool) -> None:
    """Train as RECIPE says. Called again after it was killed, it goes on."""
    from modelplug_training.recipe import read

    _update(read(recipe), unproven=unproven, as_json=as_json)


@tune.command()
@click.argument("id")
@click.option("--unproven", is_flag=True, help="Publish even if serving differs from training.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def resume(id: str, unproven: bool, as_json: bool) -> None:
    """Go on with a training that was interrupted, stopped or failed."""
    from modelplug_training.recipe import module_of
    from modelplug_training.runs.folders import named

    _update(module_of(named(id).recipe["asked"]), unproven=unproven, as_json=as_json)


def _update(module: Any, *, unproven: bool, as_json: bool) -> None:
    with module:
        tuned = module.update(unproven=unproven).tuned
    if as_json:
        click.echo(json.dumps(_told(tuned), indent=2))
        return
    base, after = tuned.metrics["base"], tuned.metrics["tuned"]
    rows = [(name, f"{base[name]:.3f}", f"{after[name]:.3f}") for name in base]
    _table(("metric", "base", "tuned"), rows)
    for remark in tuned.manifest["not_measured"]:
        click.echo(remark, err=True)
    click.echo(f"tuned/{tuned.name}@{tuned.version} is published at {tuned.path}", err=True)


@tune.command()
@click.argument("id", required=False)
def status(id: str | None) -> None:
    """Tell how far trainings are: that of ID, or all that are not published yet."""
    from modelplug_training.runs import folders

    for folder in [folders.named(id)] if id else folders.every():
        history = folder.history
        loss = f"loss {history.losses[-1].loss:.4g}" if history.losses else ""
        step = f"step {history.step}/{history.total}" if history.total else ""
        click.echo("\t".join([folder.id, folder.status, step, loss]))
        if id:
            _show(folder)


def _show(folder: Any) -> None:
    from modelplug_training.runs.curve import text_curve

    history = folder.history
    for line in text_curve(history.losses, 72, 6):
        click.echo(line)
    if history.failed is not None:
        click.echo(f"{history.failed['text']}; {history.failed.get('mend') or 'see its log'}")
    click.echo(f"log: {folder.log}")


@tune.command()
@click.argument("id")
def stop(id: str) -> None:
    """End a training after the step that is running; what it has learnt is kept and published."""
    from modelplug.errors import ConfigError
    from modelplug_training.runs.folders import named

    folder = named(id)
    if not folder.is_held:
        msg = f"{folder.id} is not running, it is {folder.status}; nothing is to be stopped"
        raise ConfigError(msg)
    folder.stop.touch()
    click.echo(f"{folder.id} ends after this step", err=True)


@tune.command("list")
@click.argument("query", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="As JSON, each with its manifest.")
def list_(query: tuple[str, ...], as_json: bool) -> int:
    """
    List the tuned models that are published; a * marks the current version. With QUERY, only
    those in which every word is found: name, version, base, trainer or type.

    Exit code 1: there is none.
    """
    from modelplug_training import tuner

    words = [word.lower() for word in query]
    found = [each for each in tuner.published() if all(word in _about(each) for word in words)]
    if as_json:
        told = [{**_told(each), "manifest": each.manifest} for each in found]
        click.echo(json.dumps(told, indent=2))
    elif found:
        _table(("model", "version", "base", "trainer", "measured", "", "path"), [*map(_row, found)])
    else:
        click.echo("there is no such tuned model here; modelplug tune makes one", err=True)
    return 0 if found else 1


def _about(tuned: Any) -> str:
    trainer = tuned.manifest["trainer"]["name"]
    about = (f"tuned/{tuned.name}@{tuned.version}", tuned.base, trainer, str(tuned.type))
    return " ".join(about).lower()


def _row(tuned: Any) -> tuple[str, ...]:
    return (
        f"tuned/{tuned.name}",
        f"{tuned.version}{'*' if tuned.current else ''}",
        tuned.base,
        tuned.manifest["trainer"]["name"],
        _figure(tuned),
        "" if tuned.manifest["proven"] else "unproven",
        str(tuned.path),
    )


def _figure(tuned: Any) -> str:
    name = next(iter(tuned.metrics["tuned"]))
    return f"{name} {tuned.metrics['base'][name]:.3f} → {tuned.metrics['tuned'][name]:.3f}"


def _told(tuned: Any) -> dict[str, Any]:
    return {
        "name": f"tuned/{tuned.name}",
        "version": tuned.version,
        "current": tuned.current,
        "path": str(tuned.path),
        "base": tuned.base,
        "metrics": tuned.metrics,
        "proven": tuned.manifest["proven"],
    }


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned on a terminal; elsewhere tab-separated, without the headings."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    lines = [headings, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    for line in lines:
        click.echo("  ".join(cell.ljust(wide) for cell, wide in zip(line, widths, strict=True)))
