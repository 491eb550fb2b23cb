"""
Weights for tests and for trying things out, made here in a second: a voice that hums letters.

They are in the format of real VITS models and run through all of sherpa-onnx, but hold no
voice: each letter is a tone of 0.1 s, a space is silence, speaker 1 is twice as loud as 0.
"""

from __future__ import annotations

import math
from pathlib import Path

LETTERS = "_ abcdefghijklmnopqrstuvwxyz'.,!?"
RATE = 16_000
LETTER = RATE // 10
"""Samples of one letter at speed 1."""

SLOWEST = 4


def make_weights(folder: str | Path) -> Path:
    """Write them into *folder*, 0.9 MB, and answer its path; needs sherpa-onnx, onnx and numpy."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    time = np.arange(LETTER * SLOWEST) / RATE
    waves = [
        0.3 * np.sin(2 * math.pi * (200 + 20 * number) * time) if letter not in " _" else 0 * time
        for number, letter in enumerate(LETTERS)
    ]
    constants = {
        "waves": np.stack(waves).astype(np.float32),
        "letter": np.array(LETTER, np.float32),
        "start": np.array([0]),
        "axis": np.array([2]),
        "flat": np.array([1, 1, -1]),
        "half": np.array(0.5, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["waves", "x"], ["long"]),
        helper.make_node("Mul", ["length_scale", "letter"], ["length"]),
        helper.make_node("Cast", ["length"], ["end"], to=TensorProto.INT64),
        helper.make_node("Slice", ["long", "start", "end", "axis"], ["short"]),
        helper.make_node("Reshape", ["short", "flat"], ["sound"]),
        helper.make_node("Cast", ["sid"], ["speaker"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["speaker", "half"], ["more"]),
        helper.make_node("Add", ["more", "half"], ["loudness"]),
        helper.make_node("Mul", ["sound", "loudness"], ["y"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.INT64, ["N", "L"]),
        helper.make_tensor_value_info("x_length", TensorProto.INT64, ["N"]),
        helper.make_tensor_value_info("noise_scale", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("length_scale", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("noise_scale_w", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("sid", TensorProto.INT64, [1]),
    ]
    graph = helper.make_graph(
        nodes,
        "vits",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1, "T"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    # As old as what sherpa-onnx's own runtime still reads, whatever onnx writes by default.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(
        model,
        {
            "model_type": "vits",
            "comment": "mms",
            "language": "English",
            "frontend": "characters",
            "sample_rate": str(RATE),
            "n_speakers": "2",
            "add_blank": "0",
            "use_eos_bos": "0",
            "punctuation": "",
        },
    )
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    tokens = "".join(f"{letter} {number}\n" for number, letter in enumerate(LETTERS))
    (folder / "tokens.txt").write_text(tokens, encoding="utf-8")
    return folder.resolve()
