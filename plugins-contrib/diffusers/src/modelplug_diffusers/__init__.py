"""The engine diffusers for modelplug: pictures from words, on CPU or GPU."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import Deployment, Memory, ModelType, Plan
from modelplug_local.options import one_of, read_options, whole
from modelplug_local.runners import runner_plan
from modelplug_local.threads import default_threads

__all__ = ["Diffusers", "Options", "plugin"]

RUNNER = Path(__file__).with_name("serve.py")


@frozen(kw_only=True)
class Options:
    """
    `steps` are those of a call that asks for none; None leaves them to the pipeline.

    A call may ask for images of up to `pixel_limit` pixels, `step_limit` steps, and
    `image_limit` of them.
    """

    device: str = field(default="auto", validator=one_of("auto", "cpu", "cuda"))
    dtype: str = field(default="auto", validator=one_of("auto", "float32", "float16", "bfloat16"))
    threads: int | None = field(default=None, validator=whole(1))
    steps: int | None = field(default=None, validator=whole(1))
    queue: int = field(default=8, validator=whole(0))
    pixel_limit: int = field(default=2048 * 2048, validator=whole(64))
    step_limit: int = field(default=200, validator=whole(1))
    image_limit: int = field(default=8, validator=whole(1))


@frozen(eq=False)
class Diffusers:
    """See README.md for the options and the fields of a call."""

    @hookimpl
    def deploy_local(self, deployment: Deployment) -> Plan | None:
        """A plan for a pipeline that makes images of text; None for others."""
        weights = deployment.weights
        if weights.format != "diffusers" or weights.type != ModelType.TEXT2IMAGE:
            return None
        options = read_options("diffusers", Options, deployment.options)
        return runner_plan(
            RUNNER,
            deployment,
            {
                "device": options.device,
                "dtype": options.dtype,
                "threads": options.threads or default_threads(),
                "steps": options.steps,
                "queue": options.queue,
                "pixel_limit": options.pixel_limit,
                "step_limit": options.step_limit,
                "image_limit": options.image_limit,
                "trust_remote_code": deployment.trust_remote_code,
            },
            # Only what is known before it is loaded: the weights as they are on disk.
            memory=Memory("gpu" if options.device == "cuda" else "cpu", {"weights": weights.size}),
            start_timeout=900.0,
        )


plugin = Diffusers()
