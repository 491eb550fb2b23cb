"""Speech, both ways: transcriptions (multipart) and spoken text (raw bytes)."""

from __future__ import annotations

from typing import Any, cast

from modelplug.errors import BadReply
from modelplug.media import Media, sniff
from modelplug.openai_wire.base import OpenAICodec, read_usage
from modelplug.types import Produced, Segment, SpeakCall, TranscribeCall, Transcript
from modelplug.wire import Flow, Request, Response


class OpenAITranscribe(OpenAICodec[TranscribeCall, Transcript]):
    """POST /audio/transcriptions."""

    path = "/audio/transcriptions"
    options = frozenset(
        "chunking_strategy include keywords language languages prompt response_format "
        "temperature timestamp_granularities".split()
    )

    def flow(self, call: TranscribeCall) -> Flow[Transcript]:
        """A file at a URL is fetched first: this wire takes bytes alone."""
        media = yield from self.local_copy(call.file)
        response = yield from self.send(self.upload(call, media))
        return self._signed(self.parse_response, call, response)

    def form(self, call: TranscribeCall) -> dict[str, Any]:
        """The form's fields; a list becomes repeated `name[]` fields."""
        return {"model": call.model, **call.options}

    def upload(self, call: TranscribeCall, media: Media) -> Request:
        """The request with the sound in it."""
        return self.multipart(self.form(call), [("file", media)])

    def parse_response(self, call: TranscribeCall, response: Response) -> Transcript:
        """JSON in its short or verbose form; `text`, `srt` and `vtt` come as they are."""
        if call.options.get("response_format") in ("text", "srt", "vtt"):
            return Transcript(response.body.decode("utf-8", "replace"), model=call.model)
        raw = response.json()
        if not isinstance(raw, dict) or not isinstance(raw.get("text"), str):
            msg = "the reply is no transcript: required field missing @ $.text"
            raise BadReply(msg)
        return Transcript(
            raw["text"],
            tuple(_segments(raw.get("segments"))),
            raw.get("language") or "",
            cast("float | None", raw.get("duration")),
            raw.get("model") or call.model,
            read_usage(raw.get("usage")),
            raw,
        )


def _segments(items: object) -> list[Segment]:
    if not isinstance(items, list):
        return []
    try:
        return [Segment(float(s["start"]), float(s["end"]), str(s["text"])) for s in items]
    except (TypeError, KeyError, ValueError) as exc:
        msg = f"a segment of the transcript cannot be read: {exc} @ $.segments"
        raise BadReply(msg) from exc


class OpenAISpeak(OpenAICodec[SpeakCall, Produced]):
    """POST /audio/speech."""

    path = "/audio/speech"
    options = frozenset("instructions response_format speed voice".split())
    default_voice = "alloy"

    def payload(self, call: SpeakCall) -> dict[str, Any]:
        """The request body as a mapping; a subclass changes it for its vendor."""
        voice = {} if "voice" in call.options else {"voice": self.default_voice}
        return {"model": call.model, "input": call.text, **voice, **call.options}

    def build_request(self, call: SpeakCall) -> Request:
        """The request for *call*."""
        return self.post(self.payload(call))

    def parse_response(self, call: SpeakCall, response: Response) -> Produced:
        """The body is the sound; JSON there is no sound whatever its status says."""
        told = response.headers.get("content-type", "").partition(";")[0].strip()
        if not response.body or told == "application/json":
            msg = "the reply holds no sound"
            raise BadReply(msg)
        mime = told if told.startswith("audio/") else sniff(response.body)
        return Produced((Media(response.body, mime),), call.model)
