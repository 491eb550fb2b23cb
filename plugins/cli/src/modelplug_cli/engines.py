"""`modelplug engines`: what could run what here, and why not."""

from __future__ import annotations

import click

from modelplug_cli.output import note, write_json, write_rows


@click.command(short_help="Tell which engine could run what here.")
@click.option("--format", "format_", metavar="FORMAT", help="Of weights: gguf, safetensors, ...")
@click.option("--type", "type_", metavar="TYPE", help="llm, vlm, embed, rerank, ...")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def engines(format_: str | None, type_: str | None, as_json: bool) -> int:
    """
    List the engines in the order in which they are tried: what each takes and serves, and
    whether it could run here, else why not; those that are not installed at the end. What this
    machine has to compute on is told on stderr.

    Nothing is started. Exit code 1: none of them could run.
    """
    from attrs import asdict

    from modelplug.local.engines import installable, survey
    from modelplug.plugins import installed
    from modelplug.types import ModelType

    plugins, type = installed(), ModelType.parse(type_) if type_ else None
    devices = plugins.runtime().devices()
    fits = survey(plugins, format=format_, type=type)
    others = installable(plugins, format=format_, type=type)
    if as_json:
        write_json({
            "devices": [asdict(device) for device in devices],
            "engines": [asdict(fit) for fit in (*fits, *others)],
        })  # fmt: skip
    else:
        for device in devices:
            figures = f"{_gib(device.free)} of {_gib(device.total)} GiB free"
            note(f"{device.kind}: {device.name}, {figures}")
        write_rows(
            ("engine", "fits", "why"),
            [(fit.engine, "yes" if fit.fits else "no", fit.why) for fit in (*fits, *others)],
        )
    return 0 if any(fit.fits for fit in fits) else 1


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f}"
