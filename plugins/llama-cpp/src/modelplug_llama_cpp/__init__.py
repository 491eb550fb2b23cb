"""The engine llama.cpp for modelplug: GGUF weights, on CPU or GPU."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from attrs import frozen

from modelplug.hookspecs import hookimpl
from modelplug.types import Deployment, ModelType, Plan
from modelplug_llama_cpp.options import LLAMA_CPP_PYTHON, XLLAMACPP, Options
from modelplug_llama_cpp.plans import llama_cpp_python_plan, xllamacpp_plan
from modelplug_local.options import read_options

__all__ = ["LlamaCpp", "plugin"]

TYPES = (ModelType.LLM, ModelType.VLM, ModelType.EMBED, ModelType.RERANK)


@frozen(eq=False)
class LlamaCpp:
    """Two runtimes behind one name; see README.md for when to take which."""

    @hookimpl
    def deploy_local(self, deployment: Deployment) -> Plan | None:
        """A plan for GGUF weights that chat, see, embed or rerank; None for others."""
        weights = deployment.weights
        if weights.format != "gguf" or weights.type not in TYPES:
            return None
        options = read_options("llama_cpp", Options, deployment.options)
        if runtime_of(options, deployment.python) == XLLAMACPP:
            return xllamacpp_plan(deployment, options)
        return llama_cpp_python_plan(deployment, options)


def runtime_of(options: Options, python: str = sys.executable) -> str:
    """The runtime asked for; else xllamacpp, unless only the other one is installed here."""
    if options.runtime:
        return options.runtime
    if (
        python == sys.executable
        and find_spec("xllamacpp") is None
        and find_spec("llama_cpp") is not None
    ):
        return LLAMA_CPP_PYTHON
    return XLLAMACPP


plugin = LlamaCpp()
