"""`modelplug embed`: vectors of texts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from modelplug_cli.options import Wanted, model_options
from modelplug_cli.output import write_json

if TYPE_CHECKING:
    from modelplug.models import Model
    from modelplug.types import Embeddings

AT_ONCE = 1024
"""Lines in memory at a time: a vector takes about 30 kB as Python floats."""


@click.command(short_help="Turn texts into vectors.")
@model_options
@click.argument("text", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One object: model, vectors and usage.")
def embed(wanted: Wanted, text: tuple[str, ...], as_json: bool) -> None:
    """
    Turn each TEXT, or each line of stdin where there is none or it is "-", into a vector: a
    JSON array on a line of its own, in order.
    """
    import modelplug
    from modelplug.errors import Unsupported

    texts = _lines() if text in ((), ("-",)) else iter(text)
    with modelplug.AutoModel(**wanted) as opened:
        if opened.type not in ("embed", "cross_modal_embed"):
            msg = f"{opened.model!r} is a model of type {opened.type} and gives no vectors"
            raise Unsupported(msg)
        if as_json:
            _write_object(opened.respond(list(texts)))
        else:
            _write_lines(opened, texts)


def _lines() -> Iterator[str]:
    from modelplug.errors import ConfigError

    try:
        for number, line in enumerate(sys.stdin, 1):
            text = line.rstrip("\r\n")
            if not text.strip():
                # Left out, every later vector would stand on another line than its text.
                msg = f"line {number} of stdin is empty, and an empty text has no vector"
                raise ConfigError(msg)
            yield text
    except UnicodeDecodeError as exc:
        msg = f"stdin is not text in {exc.encoding}"
        raise ConfigError(msg) from exc


def _write_lines(model: Model, texts: Iterator[str]) -> None:
    while some := list(islice(texts, AT_ONCE)):
        result: Embeddings = model.respond(some)
        for vector in result.vectors:
            write_json(vector, indent=False)
        sys.stdout.flush()


def _write_object(result: Embeddings) -> None:
    from attrs import asdict

    usage = asdict(result.usage)
    usage["estimated"] = sorted(result.usage.estimated)
    data = {"model": result.model, "vectors": result.vectors, "usage": usage}
    write_json(data, indent=False)
