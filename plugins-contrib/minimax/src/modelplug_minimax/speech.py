"""Text to speech: sound as hex, in one piece or in the events of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplug.errors import BadReply
from modelplug.media import Media, sniff
from modelplug.types import Produced, SpeakCall
from modelplug.wire import Flow, Request, Response
from modelplug_minimax.wire import MiniMaxCodec, documents

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
_MIMES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "pcm": "audio/pcm"}
_LONG = 3000
_LAST = 2


class MiniMaxSpeak(MiniMaxCodec[SpeakCall, Produced]):
    """POST /t2a_v2."""

    path = "/t2a_v2"
    options = frozenset({*_VOICE, *_AUDIO, "language_boost", "output_format"})
    default_voice = "male-qn-qingse"

    def payload(self, call: SpeakCall) -> dict[str, Any]:
        """The request body as a mapping; the options are spread over two objects."""
        payload: dict[str, Any] = {
            "model": call.model,
            "text": call.text,
            "stream": _streams(call),
            "output_format": "hex",
            "voice_setting": {"voice_id": self.default_voice} | _renamed(call, _VOICE),
        }
        if audio := _renamed(call, _AUDIO):
            payload["audio_setting"] = audio
        if payload["stream"]:  # without this the last event has the whole sound again
            payload["stream_options"] = {"exclude_aggregated_audio": True}
        placed = {*_VOICE, *_AUDIO}
        return payload | {name: v for name, v in call.options.items() if name not in placed}

    def build_request(self, call: SpeakCall) -> Request:
        """The request for *call*."""
        return self.post(self.payload(call))

    def flow(self, call: SpeakCall) -> Flow[Produced]:
        """The sound, which a reply holds as hex, or at a URL that is fetched at once."""
        response = yield from self.send(self.build_request(call))
        with self.reading(response):
            pieces, raw = _pieces(response, streamed=_streams(call))
            mime = _mime(call, raw)
            if pieces[0].startswith(("http://", "https://")):
                sound = yield from self.download(pieces[0], mime)
            else:
                sound = _sound(pieces, mime)
        return Produced((sound,), call.model, raw=raw)


def _streams(call: SpeakCall) -> bool:
    # A text that is longer is to be streamed; neither WAV nor a URL can be (2026-11).
    whole = call.options.get("response_format") == "wav"
    return len(call.text) > _LONG and not whole and call.options.get("output_format") != "url"


def _renamed(call: SpeakCall, names: Mapping[str, str]) -> dict[str, Any]:
    return {theirs: call.options[ours] for ours, theirs in names.items() if ours in call.options}


def _pieces(response: Response, *, streamed: bool) -> tuple[list[str], Mapping[str, Any]]:
    """The sound in pieces, and the last document of the reply, which describes it."""
    pieces: list[str] = []
    raw: Any = {}
    ended = not streamed
    for raw in documents(response):
        try:
            data = raw.get("data") or {}
            last, audio = data.get("status") == _LAST, data.get("audio")
        except AttributeError as exc:
            msg = "the reply holds no sound @ $.data.audio"
            raise BadReply(msg) from exc
        ended = ended or last
        if audio and not (pieces and last):  # the last event may have all of it again
            pieces.append(str(audio))
    if not pieces:
        msg = "the reply holds no sound @ $.data.audio"
        raise BadReply(msg)
    if not ended:
        msg = "the stream of sound ended before the sound did @ $.data.status"
        raise BadReply(msg)
    return pieces, raw


def _mime(call: SpeakCall, raw: Mapping[str, Any]) -> str:
    told = raw.get("extra_info")
    form = told.get("audio_format") if isinstance(told, dict) else None
    return _MIMES.get(form or call.options.get("response_format") or "mp3", "")


def _sound(pieces: list[str], mime: str) -> Media:
    try:
        data = b"".join(map(bytes.fromhex, pieces))
    except ValueError as exc:
        msg = f"the sound is no hex: {exc} @ $.data.audio"
        raise BadReply(msg) from exc
    return Media(data, mime or sniff(data))
