"""The engine sherpa-onnx for modelplug: voices in ONNX files, spoken on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen

from modelplug.errors import ConfigError
from modelplug.hookspecs import hookimpl
from modelplug.types import Deployment, Memory, ModelType, Plan
from modelplug_local.options import read_options, text, whole
from modelplug_local.runners import runner_plan
from modelplug_local.threads import default_threads
from modelplug_sherpa_onnx.voices import find_voice

__all__ = ["Options", "SherpaOnnx", "plugin"]

RUNNER = Path(__file__).with_name("serve.py")


def _files(_: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        msg = f"{attribute.name} must be a list of files, not {value!r}"
        raise ConfigError(msg)
    for path in value:
        if not Path(path).is_file():
            msg = f"{attribute.name} names no file: {path!r}; check the path"
            raise ConfigError(msg)


@frozen(kw_only=True)
class Options:
    """`rules` rewrite numbers, dates and the like, in order; `text_limit` in characters."""

    vocoder: str = field(default="", validator=text)
    rules: Sequence[str] = field(default=(), validator=_files)
    threads: int | None = field(default=None, validator=whole(1))
    queue: int = field(default=16, validator=whole(0))
    text_limit: int = field(default=20_000, validator=whole(1))


@frozen(eq=False)
class SherpaOnnx:
    """See README.md for the voices and the options."""

    @hookimpl
    def deploy_local(self, deployment: Deployment) -> Plan | None:
        """A plan for a voice in ONNX; None for others."""
        weights = deployment.weights
        if weights.format != "onnx" or weights.type != ModelType.TTS:
            return None
        options = read_options("sherpa_onnx", Options, deployment.options)
        voice = find_voice(weights.path, options.vocoder)
        return runner_plan(
            RUNNER,
            deployment,
            {
                "family": voice.family,
                "files": dict(voice.files),
                "speakers": dict(voice.speakers),
                "rules": [str(Path(path).resolve()) for path in options.rules],
                "threads": options.threads or default_threads(),
                "queue": options.queue,
                "text_limit": options.text_limit,
            },
            memory=Memory("cpu", {"weights": weights.size}),
        )


plugin = SherpaOnnx()
