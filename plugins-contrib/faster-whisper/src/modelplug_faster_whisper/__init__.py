"""The engine faster-whisper for modelplug: Whisper models in CTranslate2's format."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from modelplug.errors import ConfigError
from modelplug.hookspecs import hookimpl
from modelplug.types import Deployment, Memory, ModelType, Plan
from modelplug_local.options import one_of, read_options, text, whole
from modelplug_local.runners import runner_plan
from modelplug_local.threads import default_threads

__all__ = ["FasterWhisper", "Options", "plugin"]

RUNNER = Path(__file__).with_name("serve.py")

SECOND = 16_000 * 4 + 100 * 80 * 4
"""Bytes that a second of sound takes while it is written down: samples and features."""


@frozen(kw_only=True)
class Options:
    """
    `compute_type` as CTranslate2 names it; `max_duration` in seconds of sound.

    `workers` recordings are written down at once, each with `threads` threads; `queue` wait.
    """

    device: str = field(default="auto", validator=one_of("auto", "cpu", "cuda"))
    device_index: int = field(default=0, validator=whole(0))
    compute_type: str = field(default="default", validator=text)
    threads: int | None = field(default=None, validator=whole(1))
    workers: int = field(default=1, validator=whole(1))
    queue: int = field(default=16, validator=whole(0))
    max_duration: int = field(default=7200, validator=whole(1))


@frozen(eq=False)
class FasterWhisper:
    """See README.md for the options and the fields of a call."""

    @hookimpl
    def deploy_local(self, deployment: Deployment) -> Plan | None:
        """A plan for Whisper weights in CTranslate2's format; None for others."""
        weights = deployment.weights
        if weights.format != "ctranslate2" or weights.type != ModelType.STT:
            return None
        options = read_options("faster_whisper", Options, deployment.options)
        if not (weights.path / "tokenizer.json").is_file():
            # faster-whisper would ask the hub for OpenAI's, which need not fit.
            msg = (
                f"the weights {str(weights.path)!r} have no tokenizer.json; copy it from the "
                f"model that they were converted from"
            )
            raise ConfigError(msg)
        return runner_plan(
            RUNNER,
            deployment,
            {
                "device": options.device,
                "device_index": options.device_index,
                "compute_type": options.compute_type,
                "threads": options.threads or default_threads(),
                "workers": options.workers,
                "queue": options.queue,
                "max_duration": options.max_duration,
            },
            memory=Memory(
                "gpu" if options.device == "cuda" else "cpu",
                {
                    "weights": weights.size,
                    "recordings of 10 minutes": options.workers * 600 * SECOND,
                },
            ),
        )


plugin = FasterWhisper()
