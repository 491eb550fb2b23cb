"""Speech both ways; the models that hear and speak are asked as in a chat."""

from __future__ import annotations

import re

from attrs import evolve

from modelplug.media import Media, as_wav
from modelplug.types import Produced, SpeakCall, TranscribeCall, Transcript
from modelplug.wire import Flow, Request, Response
from modelplug_gemini.contents import inline
from modelplug_gemini.images import produced
from modelplug_gemini.turn import Turn
from modelplug_gemini.wire import GENERATION, GeminiCodec

_RATE = re.compile(r"rate=(\d+)")


class GeminiTranscribe(GeminiCodec[TranscribeCall, Transcript]):
    """Sound to text, by any model that takes sound."""

    options = GENERATION | {"prompt"}

    def prepare(self, call: TranscribeCall) -> Flow[TranscribeCall]:
        """Fetch a file at a URL: the server fetches none."""
        media = yield from self.local_copy(call.file)
        return evolve(call, file=media)

    def build_request(self, call: TranscribeCall) -> Request:
        """The request for *call*; `prompt` says what to do with the sound."""
        options = dict(call.options)
        files = [inline(file) for file in (call.file,) if isinstance(file, Media)]
        parts = [{"text": options.pop("prompt", "Transcribe.")}, *files]
        return self.generate([{"role": "user", "parts": parts}], options)

    def parse_response(self, call: TranscribeCall, response: Response) -> Transcript:
        """The text of the answer."""
        said = Turn().whole(response.json())
        model = said.model or call.model
        return Transcript(said.text, model=model, usage=said.usage, raw=said.raw)


class GeminiSpeak(GeminiCodec[SpeakCall, Produced]):
    """Text to sound. The server sends bare samples, which become a WAV file here."""

    options = GENERATION | {"instructions", "speech_config", "voice"}
    default_voice = "Kore"

    def build_request(self, call: SpeakCall) -> Request:
        """
        The request for *call*. `instructions` stand before the text; `speech_config`, as the
        server takes it, is for several speakers.
        """
        options = dict(call.options)
        voice = {"voiceName": options.pop("voice", self.default_voice)}
        one = {"voiceConfig": {"prebuiltVoiceConfig": voice}}
        config = {
            "responseModalities": ["AUDIO"],
            "speechConfig": options.pop("speech_config", one),
        }
        how = options.pop("instructions", "")
        text = f"{how}: {call.text}" if how else call.text
        return self.generate([{"role": "user", "parts": [{"text": text}]}], options, config)

    def parse_response(self, call: SpeakCall, response: Response) -> Produced:
        """The sound, as WAV where samples came."""
        found = produced(response.json(), call.model, "sound")
        return evolve(found, media=(_joined(found.media),), notes=())


def _joined(pieces: tuple[Media, ...]) -> Media:
    """*pieces* as one file; 16-bit mono samples get the head that players need."""
    data, mime = b"".join(piece.data for piece in pieces), pieces[0].mime
    kind = mime.partition(";")[0].strip().lower()
    if kind not in ("audio/l16", "audio/pcm"):
        return Media(data, kind)
    rate = _RATE.search(mime)
    return as_wav(data, int(rate[1]) if rate else 24000)
