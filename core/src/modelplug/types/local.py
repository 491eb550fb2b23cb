"""Weights, and how an engine serves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from modelplug.types.endpoint import ModelType, Secret


@frozen
class Weights:
    """
    Weights on disk: a GGUF file or a folder of safetensors.

    `format` is `gguf` or `safetensors`; `context` the longest input in tokens, where known.
    """

    name: str
    path: Path
    format: str
    type: ModelType
    context: int | None = None


@frozen
class Deployment:
    """
    What an engine is asked to serve, at `deploy_local`.

    `options` are those of `deploy_method`, checked against the engine's manifest. The engine
    must listen on `host`:`port` alone and refuse a request without `token`.
    """

    weights: Weights
    options: Mapping[str, Any]
    host: str
    port: int
    token: Secret


@frozen
class Plan:
    """
    How to run an engine: data, so that it can be shown, tested and run anywhere.

    `argv` is an argument list and never meets a shell; whatever must stay private goes in
    `env`, which is added to the parent's environment and is not logged. `ready` is the path
    that answers 200 once the engine serves; `base` the path of its OpenAI routes.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(factory=dict, repr=lambda env: repr(sorted(env)))
    ready: str = "/health"
    base: str = "/v1"
    model: str = ""
    start_timeout: float = 300.0
