"""Speech and pictures: engines in environments of their own, asked by a program without them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from shared import Start

import modelplug as mp
from modelplug_diffusers import testing as pictures
from modelplug_faster_whisper import testing as tones
from modelplug_local.environments.inventory import installed
from modelplug_sherpa_onnx import testing as voices

WRITE = "import runpy, sys; runpy.run_path(sys.argv[1])['make_weights'](sys.argv[2])"


def python_of(engine: str) -> str:
    """The interpreter of its environment."""
    environment = installed("engine", engine)
    assert environment is not None
    return environment.python


def make(engine: str, module_file: str | None, folder: Path) -> str:
    """Small weights, written with the packages of the environment."""
    assert module_file is not None
    subprocess.run([python_of(engine), "-c", WRITE, module_file, str(folder)], check=True)  # noqa: S603
    return str(folder)


def test_faster_whisper_writes_down_what_it_hears(
    install: Callable[[str], None], start: Start, tmp_path: Path
) -> None:
    install("faster_whisper")
    weights = make("faster_whisper", tones.__file__, tmp_path / "tones")

    whisper = start(weights, mp.deploy.faster_whisper)

    assert "low tone" == whisper(tones.tone(300))
    assert "high tone" == whisper(tones.tone(4000))
    assert None is find_spec("faster_whisper")


def test_diffusers_draws_the_same_picture_of_the_same_seed(
    install: Callable[[str], None], start: Start, tmp_path: Path
) -> None:
    install("diffusers")
    weights = make("diffusers", pictures.__file__, tmp_path / "noise")

    painter = start(weights, mp.deploy.diffusers)

    picture = painter("a red kite", size="64x32", steps=2, seed=7)
    assert "image/png" == picture.mime
    assert picture == painter("a red kite", size="64x32", steps=2, seed=7)
    assert None is find_spec("diffusers")


def test_sherpa_onnx_speaks(install: Callable[[str], None], start: Start, tmp_path: Path) -> None:
    install("sherpa_onnx")
    weights = voices.make_weights(tmp_path / "hum")  # with the package onnx

    voice = start(str(weights), mp.deploy.sherpa_onnx)

    assert ("audio/wav", b"RIFF") == (voice("hello").mime, voice("hello").data[:4])
    assert None is find_spec("sherpa_onnx")
