"""`modelplug start`, `ps`, `stop` and `logs`: engines that go on beyond one program."""

from __future__ import annotations

import sys
import time
import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from modelplug_cli.output import note, waiting, write_json, write_rows

if TYPE_CHECKING:
    from modelplug.runtime import Kept


@click.command(short_help="Start a local model and keep it running.")
@click.argument("model")
@click.option("--type", "type_", metavar="TYPE", help="llm, vlm, embed, rerank, ...")
@click.option("--source", metavar="HUB", help="The hub to fetch from: modelscope, huggingface.")
@click.option("--engine", metavar="NAME", help="The engine; else the first that fits.")
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the engine, as deploy_method takes it; repeatable.",
)
@click.option("--idle-timeout", type=float, metavar="SECONDS", help="End it when it is unused.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def start(
    model: str,
    type_: str | None,
    source: str | None,
    engine: str | None,
    options: tuple[str, ...],
    idle_timeout: float | None,
    as_json: bool,
) -> None:
    """
    Start MODEL on an engine that goes on after this command, and print its address.

    Programs that ask for the same model, with the same options, use this engine instead of
    one of their own; other clients find its key with `modelplug ps --show-token`. `modelplug
    stop` ends it.
    """
    from modelplug.local.model import LocalModel
    from modelplug.types import ModelType

    local = LocalModel(model, ModelType.parse(type_) if type_ else None, source)
    given = dict(_option(text) for text in options)
    if idle_timeout is not None:
        given["idle_timeout"] = idle_timeout
    local.serve_with(engine, given)
    with waiting(f"starting {model}"):
        kept = local.keep()
    if as_json:
        write_json(_data(kept, show_token=False))
    else:
        note(f"{kept.name} is served by {kept.engine}; modelplug stop {kept.name} ends it")
        print(kept.url)


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        msg = f"--option takes NAME=VALUE, not {text!r}"
        raise click.UsageError(msg)
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:  # a word or a path, which TOML wants in quotes
        return name, value


@click.command(short_help="List the engines that are kept running.")
@click.option("--show-token", is_flag=True, help="The key of each, for other clients.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def ps(show_token: bool, as_json: bool) -> None:
    """List the engines that `modelplug start` keeps running, the oldest first."""
    kept = _kept()
    if as_json:
        write_json([_data(each, show_token=show_token) for each in kept])
        return
    if not kept:
        note("no engine is kept running; modelplug start MODEL keeps one")
        return
    write_rows(
        ("model", "engine", "status", "url", "pid", "for", "token"),
        [
            (
                each.name, each.engine, each.status, each.url, str(each.pid), _age(each.began),
                each.token.reveal() if show_token else "",
            )
            for each in kept
        ],
    )  # fmt: skip


@click.command(short_help="End engines that are kept running.")
@click.argument("names", metavar="[MODEL]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them.")
def stop(names: tuple[str, ...], every: bool) -> None:
    """End the engines that `modelplug start` keeps running for each MODEL."""
    from modelplug.plugins import installed

    if bool(names) == every:
        msg = "give MODEL, or --all"
        raise click.UsageError(msg)
    for each in _kept() if every else _named(names):
        installed().runtime().end(each)
        note(f"{each.name} has ended")


@click.command(short_help="Show the log of an engine that is kept running.")
@click.argument("model")
@click.option("-n", "--lines", default=50, show_default=True, help="How many of the last lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
def logs(model: str, lines: int, follow: bool) -> None:
    """Show the last lines of the log of the engine that is kept running for MODEL."""
    from modelplug_cli.output import for_terminal

    path = _named([model])[-1].log_path
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file.readlines()[-lines:] if lines > 0 else ():
            sys.stdout.write(for_terminal(line))
        while follow and path.exists():
            if line := file.readline():
                sys.stdout.write(for_terminal(line))
            else:
                sys.stdout.flush()
                time.sleep(_LOOK_EVERY)


_LOOK_EVERY = 0.2


def _kept() -> Sequence[Kept]:
    from modelplug.plugins import installed

    return installed().runtime().kept()


def _named(names: Sequence[str]) -> list[Kept]:
    """The kept engines of these models; ConfigError for one that has none."""
    from modelplug.errors import ConfigError, did_you_mean

    kept = _kept()
    for name in names:
        if name not in [each.name for each in kept]:
            there = [each.name for each in kept]
            near = did_you_mean(name, there) or f" (there are: {', '.join(there) or 'none'})"
            msg = f"no engine is kept running for {name!r}{near}"
            raise ConfigError(msg)
    return [each for each in kept if each.name in names]


def _data(kept: Kept, *, show_token: bool) -> dict[str, Any]:
    data = {
        "model": kept.name,
        "engine": kept.engine,
        "status": kept.status,
        "url": kept.url,
        "served_model": kept.model,
        "pid": kept.pid,
        "log": str(kept.log_path),
        "began": kept.began,
    }
    return data | ({"token": kept.token.reveal()} if show_token else {})


def _age(began: float) -> str:
    seconds = max(0, int(time.time() - began))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
