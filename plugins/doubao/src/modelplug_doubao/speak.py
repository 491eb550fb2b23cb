"""Text to speech: a voice's sound in pieces, each a JSON object with base64 in it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

import orjson
from attrs import evolve

from modelplug.errors import BadReply, ConfigError
from modelplug.media import Media, as_wav
from modelplug.types import Produced, SpeakCall
from modelplug.wire import Request, Response
from modelplug_doubao.speech import UID, SpeechCodec, family

_END = 20000000
_MIMES = {"mp3": "audio/mpeg", "ogg_opus": "audio/ogg", "pcm": "audio/pcm"}
_VOICES = {"seed-tts-2.0": "zh_female_vv_uranus_bigtts"}
_AUDIO = {"response_format": "format", "sample_rate": "sample_rate", "speech_rate": "speech_rate"}
_decoder = json.JSONDecoder()


class SpeechSpeak(SpeechCodec[SpeakCall, Produced]):
    """
    POST /tts/unidirectional.

    A voice belongs to a resource, the model: `*_uranus_bigtts` to 2.0, `*_moon_bigtts` and
    `*_mars_bigtts` to 1.0, `S_...` to cloned ones. `response_format` is mp3, ogg_opus, pcm
    or wav, `speech_rate` is -50 to 100, `additions` what else the service knows.
    """

    options = frozenset("additions response_format sample_rate speech_rate voice".split())

    def build_request(self, call: SpeakCall) -> Request:
        """The request for *call*."""
        options = {"response_format": "mp3", "sample_rate": 24000, **call.options}
        voice = options.pop("voice", _VOICES.get(call.model))
        if voice is None:
            msg = f"{call.model} has no voice of its own; pass voice="
            raise ConfigError(msg)
        audio = {field: options.pop(name) for name, field in _AUDIO.items() if name in options}
        if audio["format"] == "wav":  # not on the wire: pcm is asked for, and dressed here
            audio["format"] = "pcm"
        if "additions" in options:
            options["additions"] = _as_text(options["additions"])
        said = {"text": call.text, "speaker": voice, "audio_params": audio, **options}
        return self.ask("/tts/unidirectional", {"user": {"uid": UID}, "req_params": said})

    def is_error(self, response: Response) -> bool:
        """Also a body that begins with an error; one that comes later is met while reading."""
        return super().is_error(response) or _failed(next(_objects(response.body), {}))

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """(message, code, type) from the headers, or from the first object of the body."""
        first: dict[str, Any] = next(_objects(response.body), {})
        if "x-api-status-code" in response.headers or not _failed(first):
            return super().error_details(response)
        code = str(first["code"])
        return str(first.get("message", "")), code, family(code, response)

    def parse_response(self, call: SpeakCall, response: Response) -> Produced:
        """The pieces as one sound."""
        pieces: list[bytes] = []
        last: dict[str, Any] = {}
        for last in _objects(response.body):
            if _failed(last):
                raise self.parse_error(evolve(response, body=orjson.dumps(last)))
            pieces.append(_sound(last.get("data")))
        if last.get("code") != _END:
            msg = "the reply holds no sound, or only a part of it: its last object is missing"
            raise BadReply(msg)
        data = b"".join(pieces)
        if not data:
            msg = "the reply holds no sound"
            raise BadReply(msg)
        format = call.options.get("response_format", "mp3")
        if format == "wav":
            sound = as_wav(data, call.options.get("sample_rate", 24000))
        else:
            sound = Media(data, _MIMES.get(format, "application/octet-stream"))
        return Produced((sound,), call.model, raw=last)


def _objects(body: bytes) -> Iterator[dict[str, Any]]:
    """The objects of *body*, of which several may stand on one line; up to what is none."""
    text, at = body.decode("utf-8", "replace"), 0
    while True:
        while text[at : at + 1].isspace():
            at += 1
        try:
            item, at = _decoder.raw_decode(text, at)
        except ValueError:
            return
        if not isinstance(item, dict):
            return
        yield item


def _failed(item: dict[str, Any]) -> bool:
    return isinstance(item.get("code"), int) and item["code"] not in (0, _END)


def _sound(text: object) -> bytes:
    try:
        return base64.b64decode(str(text or ""), validate=True)
    except (binascii.Error, ValueError) as exc:
        msg = f"a piece of the sound is no base64: {exc} @ $.data"
        raise BadReply(msg) from exc


def _as_text(additions: object) -> str:
    return additions if isinstance(additions, str) else orjson.dumps(additions).decode()
