"""What a folder of a voice tells, for all families: without their weights, which are large."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from modelplug.errors import ConfigError, NoModel, UnknownOption
from modelplug.types import Deployment, ModelType, Plan, Secret, Weights
from modelplug_local.weights.onnx import read_metadata
from modelplug_sherpa_onnx import plugin
from modelplug_sherpa_onnx.voices import find_voice


def write_onnx(path: Path, **metadata: str) -> Path:
    """A model that adds nothing to its input, with *metadata*."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder with model.onnx of a family, tokens.txt and empty files of these names."""

    def make(model_type: str, *names: str, **metadata: str) -> Path:
        write_onnx(tmp_path / "model.onnx", model_type=model_type, **metadata)
        for name in ("tokens.txt", *names):
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    return make


def test_metadata_is_as_onnx_reads_it(tmp_path: Path) -> None:
    metadata = {"model_type": "vits", "comment": "你好" * 200, "empty": ""}
    path = write_onnx(tmp_path / "m.onnx", **metadata)

    assert metadata == read_metadata(path)


@pytest.mark.parametrize("content", [b"\xff" * 100, b"PK\x03\x04 a zip", b"\x72\xff\xff\xff\x0f"])
def test_a_file_that_is_no_onnx_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)

    with pytest.raises(NoModel, match="is damaged, incomplete or no ONNX file"):
        read_metadata(tmp_path / "m.onnx")


def test_a_file_that_was_cut_off_says_so(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", model_type="vits")
    whole = path.read_bytes()

    told = set()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            told.add(read_metadata(path).get("model_type", ""))
        except NoModel:
            told.add("damaged")
    # Between two fields nothing tells that more should come.
    assert {"", "damaged"} == told


def names(files: Any) -> dict[str, str]:
    """The files of a voice without their folder."""
    return {key: ",".join(Path(p).name for p in paths.split(",")) for key, paths in files.items()}


@pytest.mark.parametrize(
    ("model_type", "there", "family", "files"),
    [
        ("vits", ["lexicon.txt"], "vits", {"lexicon": "lexicon.txt", "model": "model.onnx"}),
        ("melo-vits", [], "vits", {"model": "model.onnx"}),
        (
            "kokoro",
            ["voices.bin", "lexicon-us-en.txt", "lexicon-zh.txt"],
            "kokoro",
            {
                "lexicon": "lexicon-us-en.txt,lexicon-zh.txt",
                "model": "model.onnx",
                "voices": "voices.bin",
            },
        ),
        ("kitten-tts", ["voices.bin"], "kitten", {"model": "model.onnx", "voices": "voices.bin"}),
    ],
)
def test_a_familys_files_are_found(
    folder: Callable[..., Path], model_type: str, there: list[str], family: str, files: Any
) -> None:
    voice = find_voice(folder(model_type, *there))

    assert family == voice.family
    assert {"tokens": "tokens.txt", **files} == names(voice.files)


def test_matcha_takes_the_other_model_for_its_vocoder(folder: Callable[..., Path]) -> None:
    found = folder("matcha-tts")
    with pytest.raises(ConfigError, match="put one .onnx beside it, or pass vocoder="):
        find_voice(found)

    write_onnx(found / "vocos.onnx")

    wanted = {"tokens": "tokens.txt", "acoustic_model": "model.onnx", "vocoder": "vocos.onnx"}
    assert wanted == names(find_voice(found).files)


def test_speakers_have_the_names_of_the_metadata_or_of_pipers_file(
    folder: Callable[..., Path],
) -> None:
    kokoro = folder("kokoro", "voices.bin", id2speaker="0->af_alloy,1->zf_001")
    assert {"af_alloy": 0, "zf_001": 1} == find_voice(kokoro).speakers

    piper = folder("vits")
    told = json.dumps({"speaker_id_map": {"amy": 3}})
    (piper / "model.onnx.json").write_text(told, encoding="utf-8")
    assert {"amy": 3} == find_voice(piper).speakers


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda folder: None, "no .onnx file"),
        (lambda folder: write_onnx(folder / "m.onnx"), "model_type in its metadata: none"),
        (lambda folder: write_onnx(folder / "m.onnx", model_type="zipformer"), "zipformer"),
        (lambda folder: write_onnx(folder / "m.onnx", model_type="vits"), "has no tokens.txt"),
    ],
)
def test_a_folder_that_is_no_voice_says_why(tmp_path: Path, prepare: Any, told: str) -> None:
    prepare(tmp_path)

    with pytest.raises(ConfigError, match=told):
        find_voice(tmp_path)


def plan(path: Path, format: str = "onnx", type: str = "tts", **options: Any) -> Plan | None:
    """The plan for weights that are never run."""
    weights = Weights("v", path, format, ModelType(type))
    return plugin.deploy_local(
        Deployment(weights, options, "127.0.0.1", 20001, Secret("canary"), "/opt/env/python")
    )


def test_the_plan_runs_the_runner_in_the_interpreter_that_has_the_engine(
    folder: Callable[..., Path],
) -> None:
    made = plan(folder("vits", "lexicon.txt"), threads=2)

    assert made is not None
    python, runner, settings = made.argv
    told = json.loads(settings)
    assert ("/opt/env/python", "serve.py") == (python, Path(runner).name)
    assert (20001, "127.0.0.1", 2, "vits") == tuple(
        told[key] for key in ("port", "host", "threads", "family")
    )
    assert "canary" not in repr(made)
    assert "canary" == made.env["MODELPLUG_ENGINE_TOKEN"]


@pytest.mark.parametrize(("format_", "type_"), [("gguf", "tts"), ("onnx", "embed")])
def test_other_weights_are_for_other_engines(tmp_path: Path, format_: str, type_: str) -> None:
    assert plan(tmp_path, format_, type_) is None


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownOption, match=r"sherpa_onnx has no option 'thread'.*threads"):
        plan(tmp_path, thread=1)
    with pytest.raises(ConfigError, match="sherpa_onnx: threads must be a whole number"):
        plan(tmp_path, threads=0)
    with pytest.raises(ConfigError, match="rules names no file: 'nowhere.fst'"):
        plan(tmp_path, rules=["nowhere.fst"])
