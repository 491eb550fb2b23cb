"""
What computes the transformer: torch, or a graph of it that ships with the weights, for ONNX
Runtime or OpenVINO. Which of those that are there is fastest is measured, as it depends on the
machine and on the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

GRAPHS = ("onnx/model.onnx", "model.onnx")
INTERMEDIATE = ("openvino/openvino_model.xml", "openvino_model.xml")
FILES = {"onnx": GRAPHS, "openvino": (*INTERMEDIATE, *GRAPHS)}
MODULES = {"onnx": "onnxruntime", "openvino": "openvino"}

OUTPUTS = ("last_hidden_state", "token_embeddings", "logits")

DRIFT = 1e-2
"""How far a graph's results may lie from torch's, in parts of the largest: rounding is 1e-6, half
precision 1e-3; int8 is 1e-1 and its vectors do not belong into one index with the others."""

_WORDS = "the quick brown fox jumps over the lazy dog and runs away from here"
PROBES = [_WORDS[: 8 + 8 * at] for at in range(8)]

Run = Callable[[Mapping[str, Any]], Any]


class Graph(torch.nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Stands where the transformer of torch was, and answers as it did."""

    def __init__(self, config: Any, output: str, inputs: list[str], run: Run) -> None:
        super().__init__()
        self.config = config
        self._output, self._inputs, self._run = output, inputs, run

    def forward(self, **features: Any) -> dict[str, Any]:
        """The tokens' vectors, or the logits, by the name that the transformer has for them."""
        given = {name: features[name].numpy() for name in self._inputs if name in features}
        for name in self._inputs:
            if name not in given:  # of one segment: some tokenizers leave its number out
                given[name] = np.zeros_like(given["input_ids"])
        return {self._output: torch.from_numpy(self._run(given))}


def use_fastest(encoder: Any, settings: Mapping[str, Any]) -> None:
    """
    Put the fastest back end, or the one asked for, into *encoder*.

    SystemExit tells why the one asked for cannot be used.
    """
    asked, folder = settings["backend"], Path(settings["path"])
    if asked == "torch" or (not asked and encoder.device.type != "cpu"):
        return
    if asked and (why := _missing(asked, encoder, folder)):
        raise _unusable(asked, why)
    names = [asked] if asked else [it for it in MODULES if not _missing(it, encoder, folder)]
    if not names:
        return
    transformer = encoder[0]
    torch_model = transformer.model
    expected = _results(encoder)
    spent = {} if asked else {"torch": _seconds(encoder)}
    models = {"torch": torch_model}
    for name in names:
        transformer.model = graph = _graph(name, encoder, torch_model.config, settings)
        drift = _drift(expected, _results(encoder))
        if drift > DRIFT:
            why = f"its graph gives other results than the weights ({drift:.2g} of the largest)"
            if asked:
                raise _unusable(name, why)
            print(f"modelplug: the back end {name} is not used: {why}", flush=True)
            continue
        spent[name], models[name] = _seconds(encoder), graph
    best = min(spent, key=lambda name: spent[name])
    transformer.model = models[best]  # torch's weights are let go of where another computes
    figures = ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in spent.items())
    print(f"modelplug: the back end is {best} ({figures})", flush=True)


def _unusable(name: str, why: str) -> SystemExit:
    return SystemExit(f"modelplug: the back end {name!r} cannot be used: {why}")


def _missing(name: str, encoder: Any, folder: Path) -> str:
    """Why the back end *name* cannot be used; empty where it can."""
    if find_spec(MODULES[name]) is None:
        return f"{MODULES[name]} is not installed here; pip install {MODULES[name]}"
    if _file(name, folder) is None:
        return f"the weights have no {FILES[name][0]}"
    return "" if reads_texts_only(encoder) else "the model does more than read texts"


def reads_texts_only(encoder: Any) -> bool:
    """Models that see have a method of their own for each sense, which a graph has not."""
    modalities = getattr(encoder[0], "modality_config", {})
    return [modality.get("method") for modality in modalities.values()] == ["forward"]


def _file(name: str, folder: Path) -> Path | None:
    return next((folder / file for file in FILES[name] if (folder / file).is_file()), None)


def _graph(name: str, encoder: Any, config: Any, settings: Mapping[str, Any]) -> Graph:
    file = _file(name, Path(settings["path"]))
    told = encoder[0].modality_config["text"]["method_output_name"]
    output = told if isinstance(told, str) else told[0]
    make = _onnx if name == "onnx" else _openvino
    inputs, run = make(str(file), settings["threads"])
    return Graph(config, output, inputs, run)


def _onnx(file: str, threads: int) -> tuple[list[str], Run]:
    import onnxruntime  # only where it is used: it need not be installed

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    output = _wanted([each.name for each in session.get_outputs()])

    def run(given: Mapping[str, Any]) -> Any:
        return session.run([output], dict(given))[0]

    return [each.name for each in session.get_inputs()], run


def _openvino(file: str, threads: int) -> tuple[list[str], Run]:
    import openvino  # only where it is used: it need not be installed

    # Its default is to compute in bfloat16 where the CPU can.
    properties = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(file, "CPU", properties)
    output = _wanted([each.get_any_name() for each in compiled.outputs])

    def run(given: Mapping[str, Any]) -> Any:
        # Its results are views of memory that the next call writes.
        return compiled(dict(given))[output].copy()

    return [each.get_any_name() for each in compiled.inputs], run


def _wanted(outputs: list[str]) -> str:
    return next((name for name in OUTPUTS if name in outputs), outputs[0])


def _results(encoder: Any, count: int = len(PROBES)) -> Any:
    probes = PROBES[:count]
    if hasattr(encoder, "encode"):
        return encoder.encode(probes, show_progress_bar=False)
    return encoder.predict([(probe, probe) for probe in probes], show_progress_bar=False)


def _drift(expected: Any, found: Any) -> float:
    if expected.shape != found.shape:
        return float("inf")
    return float(np.abs(expected - found).max() / np.abs(expected).max())


def _seconds(encoder: Any) -> float:
    """For one text and then for eight, the best of three."""
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        _results(encoder, 1)
        _results(encoder)
        spent.append(time.perf_counter() - began)
    return min(spent)
