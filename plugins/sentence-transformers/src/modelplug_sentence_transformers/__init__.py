"""The engine Sentence Transformers for modelplug: embedders, CLIP-style models and rerankers."""

from __future__ import annotations

from attrs import frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import Deployment, ModelType, Plan
from modelplug_local.options import read_options
from modelplug_sentence_transformers.plans import ENGINE, Options, plan

__all__ = ["SentenceTransformers", "plugin"]

TYPES = (ModelType.EMBED, ModelType.CROSS_MODAL_EMBED, ModelType.RERANK)


@frozen(eq=False)
class SentenceTransformers:
    """Runs the server of `runner/` in the interpreter that has sentence-transformers."""

    @hookimpl
    def deploy_local(self, deployment: Deployment) -> Plan | None:
        """A plan for safetensors weights that embed or rerank; None for others."""
        weights = deployment.weights
        if weights.format != "safetensors" or weights.type not in TYPES:
            return None
        return plan(deployment, read_options(ENGINE, Options, deployment.options))


plugin = SentenceTransformers()
