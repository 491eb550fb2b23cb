"""Speech, both ways."""

from __future__ import annotations

import unicodedata
from typing import Any

from attrs import evolve

from modelplug.errors import ConfigError
from modelplug.openai_wire import OpenAISpeak, OpenAITranscribe
from modelplug.types import SpeakCall, TranscribeCall, Transcript
from modelplug.wire import Response


class SiliconFlowTranscribe(OpenAITranscribe):
    """POST /audio/transcriptions; the file and the model are all that it reads."""

    options = frozenset()

    def parse_response(self, call: TranscribeCall, response: Response) -> Transcript:
        """The text; SenseVoice writes mood and noises as pictographs round it: only in `raw`."""
        transcript = super().parse_response(call, response)
        if "sensevoice" not in call.model.lower():
            return transcript
        return evolve(transcript, text=_plain(transcript.text))


def _plain(text: str) -> str:
    """*text* without pictographs at its ends; a VARIATION SELECTOR belongs to one."""
    around = {sign for sign in text if unicodedata.category(sign) == "So"}
    return text.strip("".join(around) + " \ufe0f")


class SiliconFlowSpeak(OpenAISpeak):
    """
    POST /audio/speech.

    A voice is `<model>:<name>`, an uploaded one `speech:...`; a bare name gets the model put
    before it. `references`, sound to be imitated with its text, stand in its place.
    """

    options = frozenset("gain references response_format sample_rate speed voice".split())
    default_voice = "alex"

    def payload(self, call: SpeakCall) -> dict[str, Any]:
        """The request body; unless told otherwise the server streams, a wav without a length."""
        payload = {**super().payload(call), "stream": False}
        if "references" in call.options:
            if "voice" in call.options:
                msg = "voice= and references= exclude each other; give one"
                raise ConfigError(msg)
            del payload["voice"]
        elif ":" not in str(payload["voice"]):
            payload["voice"] = f"{call.model}:{payload['voice']}"
        return payload
