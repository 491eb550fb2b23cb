"""sherpa-onnx, really run: text in, sound out."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import OpenAI

import modelplug as mp
from modelplug.errors import InvalidRequest
from modelplug_sherpa_onnx.testing import LETTER, LETTERS, RATE


@pytest.fixture(scope="module")
def voice(weights: Path) -> Iterator[Any]:
    """One started engine for the module; texts of at most 200 characters."""
    module = mp.TrainableModule(str(weights), type="tts")
    with module.deploy_method(mp.deploy.sherpa_onnx, text_limit=200) as model:
        yield model.start()


def samples_of(sound: mp.Media) -> Any:
    """A WAV file's samples from -1 to 1; it is 16 bit, mono, at RATE."""
    with wave.open(io.BytesIO(sound.data)) as file:
        assert (1, 2, RATE) == file.getparams()[:3]
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def loudest(samples: Any) -> float:
    """The frequency that is loudest, in Hz."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples))


def test_each_letter_is_heard_in_turn(voice: Any) -> None:
    sound = voice("ab z")
    samples = samples_of(sound)

    heard = [samples[n * LETTER : (n + 1) * LETTER] for n in range(4)]
    tones = [200 + 20 * LETTERS.index(letter) for letter in "abz"]
    assert "audio/wav" == sound.mime
    assert 4 * LETTER == len(samples)
    assert tones == [loudest(heard[0]), loudest(heard[1]), loudest(heard[3])]
    assert 0 == np.abs(heard[2]).max()


def test_the_rich_result_and_the_awaited_one_hold_the_same_sound(voice: Any) -> None:
    assert voice.respond("hello").media == (asyncio.run(voice.acall("hello")),)


@pytest.mark.parametrize(("speed", "length"), [(0.5, 2.0), (1, 1.0), (2, 0.5)])
def test_speed_changes_the_length(voice: Any, speed: float, length: float) -> None:
    assert int(5 * LETTER * length) == len(samples_of(voice("hello", speed=speed)))


@pytest.mark.parametrize(
    ("options", "peak"), [({}, 0.15), ({"voice": "0"}, 0.15), ({"voice": "1"}, 0.3)]
)
def test_a_voice_is_a_speaker_of_the_model(
    voice: Any, options: dict[str, Any], peak: float
) -> None:
    assert peak == pytest.approx(np.abs(samples_of(voice("hello", **options))).max(), abs=0.001)


def test_pcm_is_the_sound_without_a_head(voice: Any) -> None:
    sound = voice("hello", response_format="pcm")

    assert "audio/pcm" == sound.mime
    assert voice("hello").data.endswith(sound.data)


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("你好", {}, "has no letter of the text"),
        ("a" * 201, {}, "input has 201 characters and may have 200"),
        ("hello", {"voice": "2"}, "there is no voice '2'; this model has 0 to 1"),
        ("hello", {"voice": "-1"}, "there is no voice '-1'"),
        ("hello", {"speed": 9}, "speed must be a number from 0.25 to 4.0"),
        ("hello", {"response_format": "mp3"}, "response_format must be one of wav, pcm"),
        ("hello", {"instructions": "gently"}, "unknown field 'instructions'"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    voice: Any, text: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        voice(text, **options)


def test_openais_own_client_is_served(voice: Any, tmp_path: Path) -> None:
    client = OpenAI(base_url=voice.url, api_key=voice.api_key.reveal(), max_retries=0)
    path = tmp_path / "hello.wav"

    with client.audio.speech.with_streaming_response.create(
        model="any", voice="1", input="hello", response_format="wav"
    ) as response:
        response.stream_to_file(path)

    assert voice("hello", voice="1").data == path.read_bytes()


def test_a_file_of_the_folder_names_the_voice_as_well(weights: Path) -> None:
    model = mp.TrainableModule(str(weights / "model.onnx"), type="tts")

    with model.deploy_method(mp.deploy.sherpa_onnx):
        assert 5 * LETTER == len(samples_of(model("hello")))
