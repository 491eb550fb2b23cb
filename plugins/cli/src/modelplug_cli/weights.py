"""`modelplug pull`, `rm`, `bundle` and `unbundle`: weights on the disk."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelplug_cli.output import note, write_json, write_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

_FORMATS = ("gguf", "safetensors", "ctranslate2", "onnx", "diffusers")


@click.command(short_help="Fetch a model's weights.")
@click.argument("model")
@click.option("--source", metavar="HUB", help="modelscope or huggingface.")
@click.option("--format", "format_", type=click.Choice(_FORMATS), help="Instead of the engines'.")
@click.option("--type", "type_", metavar="TYPE", help="llm, vlm, embed, rerank, ...")
@click.option("--dry-run", is_flag=True, help="Only list the files, with their sizes in bytes.")
def pull(
    model: str, source: str | None, format_: str | None, type_: str | None, dry_run: bool
) -> None:
    """
    Fetch the weights of MODEL, and print where they are: a name of the catalogue, or org/name.
    NAME:QUANTIZATION takes another one of a GGUF repository, such as qwen2-1.5b:q8_0.

    Only the files that the installed engines need. Interrupted, it goes on the next time.
    """
    _check_local()
    from modelplug.types import ModelType, Weights
    from modelplug_local.weights import plan
    from modelplug_local.weights import pull as fetch

    formats = [format_] if format_ else []
    type = ModelType.parse(type_) if type_ else None
    if not dry_run:
        print(fetch(model, formats=formats, type=type, source=source).path)
        return
    planned = plan(model, formats=formats, type=type, source=source)
    if isinstance(planned, Weights):
        note(f"it is there: {planned.path}")
        return
    note(f"{planned.repository} on {planned.hub}, {planned.size} bytes in all")
    write_rows(("file", "bytes"), [(file.path, str(file.size)) for file in planned.files])


@click.command(short_help="Delete fetched weights.")
@click.argument("models", nargs=-1, required=True)
def rm(models: tuple[str, ...]) -> None:
    """Delete each of MODELS, org/name, from the cache, with what was begun of it."""
    _check_local()
    from modelplug_local.weights.progress import size
    from modelplug_local.weights.store import cache, remove

    root, _ = cache(os.environ)
    for model in models:
        note(f"{model}: {size(remove(root, model))} freed")


@click.command(short_help="Pack models, wheels and a configuration into one file.")
@click.argument("models", nargs=-1)
@click.option("-o", "--output", "out", required=True, type=click.Path(), help="The file to write.")
@click.option(
    "--wheels",
    multiple=True,
    metavar="WHAT",
    help="A folder of wheels, or a distribution, fetched with its dependencies; repeatable.",
)
@click.option("--config", type=click.Path(exists=True, dir_okay=False), help="A config map.")
@click.option("--source", metavar="HUB", help="modelscope or huggingface, for what is not here.")
def bundle(
    models: tuple[str, ...],
    out: str,
    wheels: tuple[str, ...],
    config: str | None,
    source: str | None,
) -> None:
    """
    Pack MODELS, fetched if need be, wheels and a config map into one file, for a machine
    without a network. `modelplug unbundle` unpacks it there.
    """
    _check_local()
    from modelplug_local.weights.bundle import pack
    from modelplug_local.weights.progress import shown, size

    folders = dict(_folder_of(model, source) for model in models)
    with tempfile.TemporaryDirectory() as kept, shown(out, None) as progress:
        contents = pack(
            Path(out),
            folders,
            wheels=[path for what in wheels for path in _wheels_of(what, Path(kept))],
            config=Path(config) if config else None,
            progress=progress,
        )
    note(f"{len(folders)} models and {len(contents.wheels)} wheels, {size(contents.size)}")
    print(out)


@click.command(short_help="Unpack what modelplug bundle has packed.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--wheels", default="wheels", type=click.Path(), help="The folder for wheels.")
@click.option("--config", default=".", type=click.Path(), help="The folder for the config map.")
@click.option("--list", "only_list", is_flag=True, help="Only list what is in it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with --list.")
def unbundle(file: str, wheels: str, config: str, only_list: bool, as_json: bool) -> None:
    """
    Put the models in FILE into the cache, and its wheels and config map into folders.

    Each byte is checked first: a file that was damaged, or that its list does not have, ends
    it and nothing is put anywhere.
    """
    _check_local()
    from modelplug_local.weights.bundle import read, unpack
    from modelplug_local.weights.progress import shown
    from modelplug_local.weights.store import cache

    if only_list:
        members = read(Path(file)).members
        if as_json:
            write_json(
                [{"name": n, "bytes": f.size, "sha256": f.sha256} for n, f in members.items()]
            )
        else:
            write_rows(("file", "bytes"), [(name, str(f.size)) for name, f in members.items()])
        return
    with shown(file, None) as progress:
        contents = unpack(
            Path(file), cache(os.environ)[0], wheels=Path(wheels), config=Path(config),
            progress=progress,
        )  # fmt: skip
    for manifest in contents.models:
        print(manifest.repository)
    if contents.wheels:
        note(f"install the wheels with: pip install --no-index --find-links {wheels} NAME")
    for each in contents.config:
        note(f"the configuration is {Path(config) / each.path}")


def _check_local() -> None:
    """PluginNotFound, with what to install, where local models are not."""
    from modelplug.plugins import installed

    installed().find("runtime", "local")


def _folder_of(model: str, source: str | None) -> tuple[str, Path]:
    """(the name that it is unpacked under, its folder)."""
    from modelplug.errors import ConfigError
    from modelplug_local.weights import pull as fetch
    from modelplug_local.weights.store import read_manifest

    weights = fetch(model, source=source)
    if weights.adapter is not None:
        msg = (
            f"{model!r} is the adapter {str(weights.adapter)!r} on {str(weights.path)!r}; "
            f"copy both by hand, with the folders that they are in"
        )
        raise ConfigError(msg)
    folder = weights.path if weights.path.is_dir() else weights.path.parent
    while (manifest := read_manifest(folder)) is None and folder.parent != folder:
        folder = folder.parent
    if manifest is None:
        msg = f"{model!r} was not fetched from a hub, so copy {str(weights.path)!r} by hand"
        raise ConfigError(msg)
    return manifest.repository, folder


def _wheels_of(what: str, kept: Path) -> Sequence[Path]:
    """The wheels in a folder, or those of a distribution and of all that it needs."""
    from modelplug.errors import ConfigError

    if Path(what).is_dir():
        return sorted(Path(what).glob("*.whl"))
    import subprocess

    before = set(kept.iterdir())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(kept), what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a list
    if done.returncode:
        msg = f"the wheels of {what!r} could not be had: {done.stderr.strip()[-500:]}"
        raise ConfigError(msg)
    return sorted(set(kept.iterdir()) - before)
