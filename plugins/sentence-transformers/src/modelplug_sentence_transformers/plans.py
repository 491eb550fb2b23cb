"""From a deployment to a plan: the server's settings, its environment, the memory it will take."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, field, frozen

from modelplug.types import Deployment, Memory, Plan
from modelplug_local.engines.hardware import devices
from modelplug_local.options import one_of, text, whole
from modelplug_local.runners import SERVER_FOLDER, runner_plan
from modelplug_local.threads import default_threads

ENGINE = "sentence_transformers"
RUNNER = Path(__file__).with_name("runner") / "serve.py"

START_TIMEOUT = 600.0
"""Importing torch from a cold disk takes most of a minute, and large weights minutes more."""

LIBRARIES = 420 * 2**20
"""What torch and transformers take before any weights: 410 MiB were measured (2026-11)."""

_BITS = {"float32": 32, "float16": 16, "bfloat16": 16, "F32": 32, "F16": 16, "BF16": 16}


@frozen(kw_only=True)
class Options:
    """
    None and empty text leave the choice to the server, as README.md says it is made.

    `batch` and `queue` count inputs, `context` tokens of one input.
    """

    backend: str = field(default="", validator=one_of("", "torch", "onnx", "openvino"))
    device: str = field(default="", validator=text)
    dtype: str = field(default="", validator=one_of("", "float32", "float16", "bfloat16"))
    threads: int | None = field(default=None, validator=whole(1))
    batch: int | None = field(default=None, validator=whole(1))
    queue: int = field(default=4096, validator=whole(1))
    context: int | None = field(default=None, validator=whole(1))
    truncate: bool = field(default=False, validator=one_of(False, True))
    normalize: bool = field(default=False, validator=one_of(False, True))


def plan(deployment: Deployment, options: Options) -> Plan:
    """The server of `runner/`, in the deployment's interpreter."""
    threads = options.threads or default_threads()
    settings = {
        **asdict(options),
        "type": str(deployment.weights.type),
        "threads": threads,
        "trust_remote_code": deployment.trust_remote_code,
    }
    return runner_plan(
        RUNNER,
        deployment,
        settings,
        env={
            # The tokenizer's threads beside the model's are more than there are cores, and
            # waiting threads that spin take the time of those that work.
            "RAYON_NUM_THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "passive",
            "PYTHONPATH": os.pathsep.join((str(SERVER_FOLDER), str(RUNNER.parent))),
        },
        memory=_memory(deployment, options),
        start_timeout=START_TIMEOUT,
    )


def _memory(deployment: Deployment, options: Options) -> Memory:
    """The weights in the type that they are computed in, and the libraries."""
    device = options.device or ("cuda" if _has_cuda() else "cpu")
    on_gpu = device.startswith("cuda")
    # As runner/embed_server/models.py has it: a CPU computes float32 unless told otherwise.
    bits = _BITS[options.dtype] if options.dtype else (0 if on_gpu else 32)
    weights = weights_bytes(deployment.weights.path, bits)
    # What one batch takes between the layers; the model does not tell it from outside.
    parts = {"weights": weights, "batches": weights // 4}
    return Memory("gpu", parts) if on_gpu else Memory("cpu", {**parts, "libraries": LIBRARIES})


def _has_cuda() -> bool:
    return any(device.kind == "cuda" for device in devices())


def weights_bytes(folder: Path, bits: int = 0) -> int:
    """Of all safetensors in *folder*, their floats *bits* wide, or as wide as they are for 0."""
    total = 0
    for path in folder.rglob("*.safetensors"):
        size = path.stat().st_size
        head = _head(path)
        widths = {_BITS.get(str(tensor.get("dtype")), 32) for tensor in head}
        # Their floats are of one width, but for a few, which are small.
        total += size * bits // max(widths) if bits and widths else size
    return total


def _head(path: Path) -> list[Mapping[str, Any]]:
    """The tensors that the head of a safetensors file lists; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            # A damaged file has any number here; the heads of the largest have a few MB.
            head = json.loads(file.read(min(size, 2**26)))
    except (OSError, ValueError):  # the engine says it better, when it reads the weights
        return []
    tensors = head.values() if isinstance(head, dict) else ()
    return [tensor for tensor in tensors if isinstance(tensor, dict) and "dtype" in tensor]
