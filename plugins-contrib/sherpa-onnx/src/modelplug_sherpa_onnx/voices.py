"""What a folder of a voice holds: told by the metadata inside its .onnx, by no name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from modelplug.errors import ConfigError
from modelplug_local.weights.onnx import read_metadata

FAMILIES = {
    "vits": "vits",
    "melo-vits": "vits",
    "matcha-tts": "matcha",
    "kokoro": "kokoro",
    "kitten-tts": "kitten",
}
"""`model_type` as sherpa-onnx's export scripts write it, to its name for the family."""


@frozen
class Voice:
    """
    `files` are the arguments of the family's configuration in sherpa-onnx, all paths.

    `speakers` are names of speakers to their numbers, where the files name them.
    """

    family: str
    files: Mapping[str, str]
    speakers: Mapping[str, int]


def find_voice(path: Path, vocoder: str = "") -> Voice:
    """The voice at *path*, a folder or its .onnx; ConfigError where it is none."""
    folder = path if path.is_dir() else path.parent
    models = sorted(folder.glob("*.onnx"), key=lambda file: (len(file.name), file.name))
    heads = {file: read_metadata(file) for file in ([path] if path.is_file() else models)}
    for model, head in heads.items():
        if family := FAMILIES.get(head.get("model_type", "")):
            return Voice(
                family,
                _files(family, model, models, vocoder),
                _speakers(model, head),
            )
    kinds = sorted({head.get("model_type", "none") for head in heads.values()})
    msg = (
        f"{str(path)!r} holds no voice in sherpa-onnx's form (model_type in its metadata: "
        f"{', '.join(kinds) or 'no .onnx file'}; known: {', '.join(FAMILIES)}); take one that was "
        f"exported for sherpa-onnx"
    )
    raise ConfigError(msg)


def _files(family: str, model: Path, models: list[Path], vocoder: str) -> dict[str, str]:
    folder = model.parent
    tokens = folder / "tokens.txt"
    if not tokens.is_file():
        msg = f"the voice {str(model)!r} has no tokens.txt beside it; fetch it again"
        raise ConfigError(msg)
    files = {"tokens": str(tokens)}
    if lexicons := sorted(str(file) for file in folder.glob("lexicon*.txt")):
        files["lexicon"] = ",".join(lexicons)
    if (folder / "espeak-ng-data").is_dir():  # sherpa-onnx before 2.0 makes phonemes with it
        files["data_dir"] = str(folder / "espeak-ng-data")
    if family == "matcha":
        return {**files, "acoustic_model": str(model), "vocoder": _vocoder(model, models, vocoder)}
    if family in ("kokoro", "kitten"):
        files["voices"] = str(folder / "voices.bin")
    return {**files, "model": str(model)}


def _vocoder(model: Path, models: list[Path], given: str) -> str:
    """What makes sound of a Matcha model's spectra: a file of its own."""
    others = [str(file) for file in models if file != model]
    if not given and len(others) != 1:
        msg = (
            f"{str(model)!r} makes spectra, and needs a vocoder to make them sound; put one .onnx "
            f"beside it, or pass vocoder="
        )
        raise ConfigError(msg)
    if given and not Path(given).is_file():
        msg = f"sherpa_onnx: vocoder names no file: {given!r}; check the path"
        raise ConfigError(msg)
    return str(Path(given).resolve()) if given else others[0]


def _speakers(model: Path, head: Mapping[str, str]) -> dict[str, int]:
    """`0->af_alloy,1->...` in the metadata; Piper's are in a file named after the model."""
    named = re.findall(r"(\d+)->([^,]+)", head.get("id2speaker", ""))
    if named:
        return {name: int(number) for number, name in named}
    beside = model.with_name(f"{model.name}.json")
    if not beside.is_file():
        return {}
    try:
        told = json.loads(beside.read_text(encoding="utf-8")).get("speaker_id_map") or {}
        return {str(name): int(number) for name, number in told.items()}
    except (ValueError, AttributeError, TypeError) as exc:
        msg = f"{str(beside)!r} cannot be read: {exc}; fetch it again"
        raise ConfigError(msg) from exc
