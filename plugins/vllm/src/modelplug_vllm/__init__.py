"""The engine vLLM for modelplug: safetensors on NVIDIA GPUs, or on the CPU."""

from __future__ import annotations

import os

from attrs import frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import Deployment, Plan
from modelplug_local.engines import hardware
from modelplug_vllm.plans import RUNNERS, vllm_plan

__all__ = ["VLLM", "plugin"]


@frozen(eq=False)
class VLLM:
    """vLLM's own server, in whatever interpreter has it."""

    @hookimpl
    def deploy_local(self, deployment: Deployment) -> Plan | None:
        """A plan for safetensors that chat, see, embed or rerank; None for others."""
        weights = deployment.weights
        if weights.format != "safetensors" or weights.type not in RUNNERS:
            return None
        return vllm_plan(deployment, hardware.devices(), os.environ)


plugin = VLLM()
