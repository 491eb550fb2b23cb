"""Weights, and how an engine serves them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from modelplug.types.endpoint import ModelType, Secret

# As llama.cpp splits and names them; an engine is given the first, and reads the others itself.
_PART = re.compile(r"(.+)-\d{5}-of-(\d{5})\.gguf", re.IGNORECASE)


@frozen
class Weights:
    """
    Weights on disk: a file, or a folder.

    `format` is gguf, safetensors, ctranslate2, onnx or diffusers; `context` the longest input
    in tokens, where known; `adapter` a LoRA adapter that is served on top, as the engine's
    option `lora` takes it.
    """

    name: str
    path: Path
    format: str
    type: ModelType
    context: int | None = None
    adapter: Path | None = None

    @property
    def files(self) -> Sequence[Path]:
        """The file at `path`, with the other parts of a split GGUF; or all of the folder."""
        if not self.path.is_file():
            return sorted(file for file in self.path.rglob("*") if file.is_file())
        split = _PART.fullmatch(self.path.name)
        if split is None:
            return [self.path]
        names = (f"{split[1]}-{part + 1:05}-of-{split[2]}.gguf" for part in range(int(split[2])))
        return [part for name in names if (part := self.path.with_name(name)).is_file()]

    @property
    def size(self) -> int:
        """Bytes on disk of all `files`."""
        return sum(file.stat().st_size for file in self.files)


@frozen
class Deployment:
    """
    What an engine is asked to serve, at `deploy_local`.

    `options` are those of `deploy_method`, checked against the engine's manifest. The engine
    must listen on `host`:`port` alone and refuse a request without `token`. `python` is the
    interpreter that has the engine's packages: put it first in `argv`. Code that comes with
    the weights may run only with `trust_remote_code`.
    """

    weights: Weights
    options: Mapping[str, Any]
    host: str
    port: int
    token: Secret
    python: str = sys.executable
    trust_remote_code: bool = False


@frozen
class Memory:
    """Bytes that an engine will take on `device`, part by part: cpu, gpu, or any of both."""

    device: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(self.parts.values())


@frozen
class Plan:
    """
    How to run an engine: data, so that it can be shown, tested and run anywhere.

    `argv` is an argument list and never meets a shell; whatever must stay private goes in
    `env`, which is added to the parent's environment and is not logged. `ready` is the path
    that answers 200 once the engine serves; `base` the path of its OpenAI routes.
    `start_timeout` is in seconds. `memory` is compared with what is free before the start.
    `lacks` are the engine's capabilities that it does not have with these weights.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(factory=dict, repr=lambda env: repr(sorted(env)))
    ready: str = "/health"
    base: str = "/v1"
    model: str = ""
    start_timeout: float = 300.0
    memory: Memory | None = None
    lacks: frozenset[str] = frozenset()
