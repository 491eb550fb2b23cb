"""
Serves one voice with sherpa-onnx, on /v1/audio/speech.

Run by path, in any interpreter that has sherpa-onnx, with modelplug-local's engine_server on
its path; it imports nothing else of modelplug.
"""

from __future__ import annotations

import io
import sys
import wave
from typing import Any

import numpy as np
import sherpa_onnx
from engine_server import Fields, Refused, Reply, Request, Service, run

FIELDS = ("model", "input", "voice", "speed", "response_format")
FORMATS = ("wav", "pcm")


def voice_of(settings: dict[str, Any]) -> Any:
    """The library's object for the files that the plugin found."""
    config = {
        "vits": sherpa_onnx.OfflineTtsVitsModelConfig,
        "matcha": sherpa_onnx.OfflineTtsMatchaModelConfig,
        "kokoro": sherpa_onnx.OfflineTtsKokoroModelConfig,
        "kitten": sherpa_onnx.OfflineTtsKittenModelConfig,
    }[settings["family"]](**settings["files"])
    model = sherpa_onnx.OfflineTtsModelConfig(
        **{settings["family"]: config}, num_threads=settings["threads"], provider="cpu"
    )
    whole = sherpa_onnx.OfflineTtsConfig(model=model, rule_fsts=",".join(settings["rules"]))
    if not whole.validate():
        sys.exit(1)  # it has said why
    return sherpa_onnx.OfflineTts(whole)


def speaker_of(fields: Fields, names: dict[str, int], count: int) -> int:
    """The number of the speaker that `voice` names; 0 where it names none."""
    voice = fields.text("voice", "", longest=200)
    if voice in names:
        return names[voice]
    # OpenAI's clients must name a voice; "alloy" is what modelplug's names by itself.
    if voice in ("", "default", "alloy"):
        return 0
    if voice.isascii() and voice.isdigit() and int(voice) < max(1, count):
        return int(voice)
    known = ", ".join([f"0 to {max(1, count) - 1}", *list(names)[:50]])
    raise Refused(400, f"there is no voice {voice!r}; this model has {known}")


def encode(samples: Any, rate: int, format_: str) -> Reply:
    """Samples from -1 to 1 as 16 bit, with a WAV head or without."""
    loud = np.clip(np.asarray(samples, np.float32), -1.0, 1.0)
    sound = (loud * 32767).astype("<i2").tobytes()
    if format_ == "pcm":
        return Reply(sound, f"audio/pcm; rate={rate}")
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, rate, len(sound) // 2, "NONE", "not compressed"))
        target.writeframes(sound)
    return Reply(file.getvalue(), "audio/wav")


def load(settings: dict[str, Any]) -> Service:
    """The voice, and its route."""
    voice = voice_of(settings)

    def speak(request: Request) -> Reply:
        fields = request.json()
        fields.only(*FIELDS)
        text = fields.text("input", longest=settings["text_limit"])
        speaker = speaker_of(fields, settings["speakers"], voice.num_speakers)
        speed = fields.number("speed", 1.0, least=0.25, most=4.0)
        format_ = fields.one_of("response_format", "wav", FORMATS)

        def go_on(_: Any, __: float) -> int:
            return 0 if request.is_gone() else 1

        sound = voice.generate(text, sid=speaker, speed=speed, callback=go_on)
        request.check_caller()
        if not len(sound.samples):
            raise Refused(400, "this voice has no letter of the text; give one in its language")
        return encode(sound.samples, sound.sample_rate, format_)

    return Service({"/v1/audio/speech": speak}, settings["model"], queue=settings["queue"])


if __name__ == "__main__":
    run(load)
