"""Speech to text: at once, or as a job for long recordings."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from modelplug.errors import BadReply, ConfigError, Unsupported
from modelplug.media import Remote
from modelplug.types import Segment, TranscribeCall, Transcript
from modelplug.wire import Flow, Request, Response
from modelplug_doubao.speech import UID, SpeechCodec

_WAITING = ("20000001", "20000002")
_SILENCE = "20000003"


class SpeechTranscribe(SpeechCodec[TranscribeCall, Transcript]):
    """
    POST /auc/bigmodel/recognize/flash; resources that end in `.auc` take jobs instead.

    Options go into `request`, but for `format` of the sound, which jobs want to know.
    """

    resumes = True
    options = frozenset("enable_itn enable_punc format".split())

    def flow(self, call: TranscribeCall) -> Flow[Transcript]:
        """The whole call."""
        if ".sauc" in call.model:
            msg = f"{call.model} transcribes live over a websocket, which modelplug does not do"
            raise Unsupported(msg)
        if call.model.endswith(".auc"):
            job = yield from self._job(call)
            return job
        if call.resume:
            msg = f"{call.model} answers at once and has no jobs to resume"
            raise Unsupported(msg)
        response = yield from self.send(self.build_request(call))
        return self._signed(self.parse_response, call, response)

    def build_request(self, call: TranscribeCall) -> Request:
        """The request with the sound, or its URL, in it."""
        return self.ask("/auc/bigmodel/recognize/flash", self._payload(call))

    def _payload(self, call: TranscribeCall) -> dict[str, Any]:
        options = dict(call.options)
        if isinstance(call.file, Remote):
            audio = {"url": call.file.url}
        else:
            audio = {"data": call.file.base64()}
        if "format" in options:
            audio["format"] = options.pop("format")
        return {
            "user": {"uid": UID},
            "audio": audio,
            "request": {"model_name": "bigmodel", **options},
        }

    def _job(self, call: TranscribeCall) -> Flow[Transcript]:
        id = call.resume or self._new_id()
        if not call.resume:
            yield from self.send(self.ask("/auc/bigmodel/submit", self._job_payload(call), id))
        asking = self.ask("/auc/bigmodel/query", {}, id)

        def result(response: Response) -> Transcript | None:
            if response.headers.get("x-api-status-code") in _WAITING:
                return None
            return self._signed(self.parse_response, call, response)

        transcript = yield from self.poll(asking, result, task=id, at_once=bool(call.resume))
        return transcript

    def _job_payload(self, call: TranscribeCall) -> dict[str, Any]:
        if not isinstance(call.file, Remote):
            msg = f"{call.model} takes a URL alone; volc.bigasr.auc_turbo takes a file"
            raise ConfigError(msg)
        payload = self._payload(call)
        ending = PurePosixPath(urlsplit(call.file.url).path).suffix.removeprefix(".")
        if ending:
            payload["audio"].setdefault("format", ending.lower())
        return payload

    def parse_response(self, call: TranscribeCall, response: Response) -> Transcript:
        """The text; sound without speech has none."""
        if response.headers.get("x-api-status-code") == _SILENCE:
            return Transcript("", model=call.model)
        raw = response.json()
        result = raw.get("result") if isinstance(raw, dict) else None
        if not isinstance(result, dict) or not isinstance(result.get("text"), str):
            msg = "the reply is no transcript: required field missing @ $.result.text"
            raise BadReply(msg)
        try:
            length = (raw.get("audio_info") or {}).get("duration")
            segments = tuple(map(_segment, result.get("utterances") or ()))
            duration = None if length is None else length / 1000
        except (AttributeError, TypeError, KeyError) as exc:
            msg = f"an utterance of the transcript cannot be read: {exc} @ $.result"
            raise BadReply(msg) from exc
        return Transcript(result["text"], segments, "", duration, call.model, raw=raw)


def _segment(said: dict[str, Any]) -> Segment:
    return Segment(said["start_time"] / 1000, said["end_time"] / 1000, said["text"])
