"""What must be true of trained weights before anything serves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modelplug.errors import NotProven, TuningError
from modelplug.types import Check, ModelType
from modelplug_training.proof.tensors import Tensors


def weights_of(output: Path, finished: Mapping[str, Any]) -> Path:
    """The folder of the trained weights; NotProven if a file is missing: no base stands in."""
    folder = output / str(finished["weights"])
    needed = {
        "config.json": folder / "config.json",
        "safetensors": next(iter(sorted(folder.glob("*.safetensors"))), folder / "none"),
        "a tokenizer": next(iter(sorted(folder.glob("tokenizer*"))), folder / "none"),
    }
    missing = [name for name, path in needed.items() if not path.is_file()]
    if missing:
        msg = (
            f"the trainer says that it has finished and {str(folder)!r} lacks "
            f"{', '.join(missing)}; nothing is published, and the base is not served in its place"
        )
        raise NotProven(msg)
    return folder


def check_weights(base: Path, tuned: Path) -> list[Check]:
    """Every number is finite, no tensor is missing, and some differ from the base's."""
    old, new = Tensors.of(base), Tensors.of(tuned)
    broken, changed, compared, largest = [], 0, 0, 0.0
    for name in new:
        tensor = new[name]
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            broken.append(name)
        twin = name if name in old else _twin(name, old)
        if twin is not None and old.shape(twin) == new.shape(name):
            difference = _difference(old[twin], tensor)
            compared += 1
            changed += difference > 0
            largest = max(largest, difference)
    finite = f"{len(list(new))} tensors" if not broken else f"not in {', '.join(broken[:3])}"
    return [
        Check("all weights are numbers", not broken, finite),
        _differ(list(old), changed, compared, largest),
    ]


def _differ(old: list[str], changed: int, compared: int, largest: float) -> Check:
    name = "the weights differ from the base's"
    if not old:
        return Check(name, True, "the base has no safetensors to compare with")
    if not compared:
        return Check(name, False, "no tensor has the name and shape of one of the base's")
    told = f"{changed} of {compared} tensors, by up to {largest:.2g}"
    if not changed:
        told = f"none of {compared} tensors, as exactly as they are saved; raise lr, epochs or rows"
    return Check(name, changed > 0, told)


def _twin(name: str, old: Tensors) -> str | None:
    """The base's name of a tensor: models are saved with and without the name of their body."""
    bare = name.partition(".")[2]
    if bare in old:
        return bare
    return next((each for each in old if each.partition(".")[2] == name), None)


def _difference(old: Any, new: Any) -> float:
    # A base of 16 bits that was only cast to 32 is equal: what is compared is in 32.
    with np.errstate(invalid="ignore"):
        difference = np.abs(np.asarray(old, np.float32) - np.asarray(new, np.float32))
    return float(np.nanmax(difference, initial=0.0))


def check_pooling(folder: Path, finished: Mapping[str, Any]) -> list[Check]:
    """The folder of an embedder says itself how its vectors are made, as they were in training."""
    trained = (finished.get("pooling"), bool(finished.get("normalize")))
    name = "pooling and normalisation are recorded"
    try:
        recorded = recorded_pooling(folder)
    except FileNotFoundError:
        # Without modules.json sentence-transformers takes the mean, whatever was trained.
        return [Check(name, False, f"there is no modules.json, and {trained[0]} was trained")]
    told = f"{_pooled(*recorded)} recorded, {_pooled(*trained)} trained"
    return [Check(name, recorded == trained, told)]


def _pooled(pooling: str | None, normalize: bool) -> str:
    return f"{pooling or 'no pooling'}{' and normalised' if normalize else ''}"


def recorded_pooling(folder: Path) -> tuple[str, bool]:
    """Pooling, and whether vectors are normalised, as sentence-transformers reads *folder*."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    kinds = {module["type"].rpartition(".")[2]: module["path"] for module in modules}
    if "Pooling" not in kinds:
        return "", "Normalize" in kinds
    config = json.loads((folder / kinds["Pooling"] / "config.json").read_text(encoding="utf-8"))
    # sentence-transformers up to 5 has a flag for each kind, 6 has the name.
    pooling = config.get("pooling_mode") or next(
        (name for flag, name in _FLAGS.items() if config.get(flag)), ""
    )
    return _NAMES.get(pooling, pooling), "Normalize" in kinds


_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
}
_NAMES = {"lasttoken": "last"}


def demand(checks: list[Check], what: str) -> None:
    """TuningError with every check that failed."""
    faults = [f"{check.name}: {check.told}" for check in checks if not check.passed]
    if faults:
        msg = f"{what} cannot be served: {'; '.join(faults)}"
        raise NotProven(msg)


def check_trained(
    base: Path, folder: Path, type: ModelType, finished: Mapping[str, Any]
) -> list[Check]:
    """All that can be told from the files alone."""
    try:
        checks = check_weights(base, folder)
    except TuningError as exc:
        return [Check("the weights can be read", False, str(exc))]
    return [*checks, *(check_pooling(folder, finished) if type == ModelType.EMBED else [])]
