"""`modelplug ask`: one question."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelplug_cli.options import Wanted, model_options
from modelplug_cli.output import note, waiting, write_json

if TYPE_CHECKING:
    from modelplug.types import Completion


@click.command(short_help="Ask a model one question.")
@model_options
@click.argument("text", nargs=-1)
@click.option("--system", metavar="TEXT", help="What the model is told before the question.")
@click.option(
    "--file", "files", multiple=True, metavar="PATH", help="An image, path or URL; repeatable."
)
@click.option(
    "--schema",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with a JSON Schema; the answer is JSON that fits it.",
)
@click.option("--json", "as_json", is_flag=True, help="The whole result: usage, reasoning, ...")
@click.option("--usage", is_flag=True, help="Tokens and seconds, on stderr.")
def ask(
    wanted: Wanted,
    text: tuple[str, ...],
    system: str | None,
    files: tuple[str, ...],
    schema: Path | None,
    as_json: bool,
    usage: bool,
) -> None:
    """
    Ask MODEL one question: TEXT, or what stdin gives where there is no TEXT. A TEXT of "-"
    stands for stdin too: git diff | modelplug ask MODEL "Review this:" -

    The answer arrives piece by piece on a terminal, in one piece elsewhere.
    """
    from modelplug_cli.answer import Answer, open_chat, show_usage

    question = _question(text)
    options = _options(files, schema)
    with open_chat(wanted) as opened:
        opened.prompt(system)
        if sys.stdout.isatty() and schema is None and not as_json:
            answer = Answer()
            answer.receive(opened, question, **options)
            tokens, seconds = answer.usage, answer.seconds
        else:
            began = time.monotonic()
            with waiting(opened.model):
                completion: Completion = opened.respond(question, **options)
            tokens, seconds = completion.usage, time.monotonic() - began
            _write(completion, as_json, structured=schema is not None)
        if usage:
            show_usage(tokens, seconds)


def _question(text: tuple[str, ...]) -> str:
    words = text or ("-",)
    if words.count("-") > 1:
        msg = "stdin can be read once; give one '-'"
        raise click.UsageError(msg)
    question = _with_stdin(words) if "-" in words else " ".join(words)
    if not question.strip():
        msg = "the question is empty; give TEXT, or text on stdin"
        raise click.UsageError(msg)
    return question


def _with_stdin(words: tuple[str, ...]) -> str:
    if sys.stdin.isatty():
        note("(type the question; Ctrl-D ends it)")
    at = words.index("-")
    parts = (" ".join(words[:at]), _read_stdin().strip("\n"), " ".join(words[at + 1 :]))
    return "\n\n".join(part for part in parts if part)


def _read_stdin() -> str:
    from modelplug.errors import ConfigError

    try:
        return sys.stdin.read()
    except UnicodeDecodeError as exc:
        msg = f"stdin is not text in {exc.encoding}; give a file with --file"
        raise ConfigError(msg) from exc


def _options(files: tuple[str, ...], schema: Path | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if files:
        options["files"] = list(files)
    if schema is not None:
        options["schema"] = _read_schema(schema)
    return options


def _read_schema(path: Path) -> dict[str, Any]:
    import orjson

    try:
        schema = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as exc:
        msg = f"{str(path)!r} is not JSON: {exc}"
        raise click.UsageError(msg) from exc
    if not isinstance(schema, dict):
        msg = f"{str(path)!r} holds no JSON Schema, which is an object"
        raise click.UsageError(msg)
    return schema


def _write(completion: Completion, as_json: bool, *, structured: bool) -> None:
    if as_json:
        write_json(as_data(completion))
    elif structured:
        write_json(completion.parsed)
    else:
        print(completion.text)


def as_data(completion: Completion) -> dict[str, Any]:
    """The rich result as plain data; `usage.estimated` names the figures that were guessed."""
    from attrs import asdict

    data = asdict(completion)
    data["usage"]["estimated"] = sorted(completion.usage.estimated)
    return data
