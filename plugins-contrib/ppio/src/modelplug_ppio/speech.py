"""Speech, both ways: JSON with sound as base64 or hex, on the media root."""

from __future__ import annotations

from typing import Any

from modelplug.errors import BadReply
from modelplug.media import Media, Remote, sniff
from modelplug.openai_wire import OpenAITranscribe
from modelplug.types import Produced, SpeakCall, TranscribeCall, Transcript
from modelplug.wire import Flow, Request, Response
from modelplug_ppio.wire import PPIOCodec

_VOICE = {
    "voice": "voice_id",
    "speed": "speed",
    "vol": "vol",
    "pitch": "pitch",
    "emotion": "emotion",
}
_AUDIO = {
    "response_format": "format",
    "sample_rate": "sample_rate",
    "bitrate": "bitrate",
    "channel": "channel",
}
_DEFAULT_VOICE = "male-qn-qingse"
_MIMES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "pcm": "audio/pcm"}


class PPIOTranscribe(PPIOCodec[TranscribeCall, Transcript], OpenAITranscribe):
    """POST /v3/glm-asr: the file as a URL or as base64, wav or mp3 of at most 30 seconds."""

    options = frozenset({"hotwords", "prompt"})

    def flow(self, call: TranscribeCall) -> Flow[Transcript]:
        """The whole call; the server fetches a URL itself."""
        response = yield from self.send(self.build_request(call))
        with self.reading(response):
            return self.parse_response(call, response)

    def build_request(self, call: TranscribeCall) -> Request:
        """The request for *call*."""
        file = call.file.url if isinstance(call.file, Remote) else call.file.base64()
        return self.media_request(call.model, {"file": file, **call.options})


class PPIOSpeak(PPIOCodec[SpeakCall, Produced]):
    """
    POST /v3/minimax-speech-...: MiniMax's wire, with its errors under HTTP 200.

    `async/minimax-speech-...` as the model is the same as a task, for long texts.
    """

    resumes = True
    options = frozenset({*_VOICE, *_AUDIO, "language_boost"})

    def build_request(self, call: SpeakCall) -> Request:
        """The request for *call*; the options are spread over two objects."""
        voice = {"voice_id": _DEFAULT_VOICE} | _renamed(call, _VOICE)
        payload: dict[str, Any] = {"text": call.text, "voice_setting": voice}
        if audio := _renamed(call, _AUDIO):
            payload["audio_setting"] = audio
        if not call.model.startswith("async/"):
            payload |= {"output_format": "hex", "stream": False}
        given = {name: v for name, v in call.options.items() if name not in {*_VOICE, *_AUDIO}}
        return self.media_request(call.model, payload | given)

    def is_error(self, response: Response) -> bool:
        """MiniMax tells its errors in base_resp, with status 200."""
        return super().is_error(response) or _base_resp(response).get("status_code", 0) != 0

    def error_details(self, response: Response) -> tuple[str, str | None, str | None]:
        """(message, code, type) from base_resp where there is one."""
        base = _base_resp(response)
        if not base:
            return super().error_details(response)
        return str(base.get("status_msg") or ""), str(base.get("status_code")), None

    def flow(self, call: SpeakCall) -> Flow[Produced]:
        """The sound, which a reply holds as hex, or as a URL to fetch."""
        response = yield from self.finished(self.build_request(call), call.resume)
        mime = _MIMES.get(str(call.options.get("response_format", "mp3")), "")
        with self.reading(response):
            raw = response.json()
            text = _audio_of(raw)
            if text.startswith(("http://", "https://")):
                media = yield from self.download(text, mime)
            else:
                media = _sound(text, mime)
        return Produced((media,), call.model, raw=raw)


def _renamed(call: SpeakCall, names: dict[str, str]) -> dict[str, Any]:
    return {theirs: call.options[ours] for ours, theirs in names.items() if ours in call.options}


def _base_resp(response: Response) -> dict[str, Any]:
    """`base_resp`, or {}; a reply without the word in it is not parsed for it."""
    if b'"base_resp"' not in response.body:
        return {}
    raw = response.json()
    base = raw.get("base_resp") if isinstance(raw, dict) else None
    return base if isinstance(base, dict) else {}


def _audio_of(raw: Any) -> str:
    """Hex or a URL, in either of the two shapes of a reply, or in a task's."""
    try:
        if "audios" in raw:
            sound = raw["audios"][0]["audio_url"]
        else:
            sound = (raw.get("data") or raw)["audio"]
    except (TypeError, KeyError, IndexError, AttributeError) as exc:
        msg = f"the reply holds no sound: {exc} @ $.data.audio"
        raise BadReply(msg) from exc
    if not isinstance(sound, str) or not sound:
        msg = f"the reply holds no sound but {sound!r} @ $.data.audio"
        raise BadReply(msg)
    return sound


def _sound(text: str, mime: str) -> Media:
    try:
        data = bytes.fromhex(text)
    except ValueError as exc:
        msg = f"the sound is no hex: {exc} @ $.data.audio"
        raise BadReply(msg) from exc
    seen = sniff(data)
    return Media(data, mime if mime and seen == "application/octet-stream" else seen)
