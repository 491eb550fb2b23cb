"""Recordings at a URL, written down as tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from modelplug.errors import BadReply, TaskFailed
from modelplug.media import Remote
from modelplug.structure import parse_json, structure
from modelplug.types import Segment, TranscribeCall, Transcript
from modelplug.wire import Flow, Response
from modelplug_qwen.dashscope import DashScope, matches, seconds_of

_SILENCE = "SUCCESS_WITH_NO_VALID_FRAGMENT"
_TAGS = re.compile(r"<\|[^<>]*\|>|</?[A-Za-z_]+>")


@frozen
class _Part:
    transcription_url: str | None = None
    subtask_status: str = "SUCCEEDED"
    code: str | None = None
    message: str | None = None


@frozen
class _Output:
    results: list[_Part] | None = None
    result: _Part | None = None


@frozen
class _Ended:
    output: _Output


@frozen
class _Sentence:
    text: str
    begin_time: float
    end_time: float


@frozen
class _Channel:
    text: str
    sentences: list[_Sentence] | None = None


@frozen
class _Transcription:
    transcripts: list[_Channel]


class QwenRecordings(DashScope[TranscribeCall, Transcript]):
    """Submit, wait, and fetch the document with the text; a local file is uploaded first."""

    def flow(self, call: TranscribeCall) -> Flow[Transcript]:
        """The whole call. Silence is a text of nothing, though the service calls it a failure."""
        id = call.resume
        if not id:
            url = yield from self._address(call)
            payload = submission(call, url)
            request = self.native("/services/audio/asr/transcription", payload, task=True)
            id = yield from self.submitted(request)
        try:
            with self.task(id):
                transcript = yield from self._fetched(call, id)
        except TaskFailed as error:
            if error.code != _SILENCE:
                raise
            return Transcript("", model=call.model)
        return transcript

    def _address(self, call: TranscribeCall) -> Flow[str]:
        if isinstance(call.file, Remote):
            return call.file.url
        url = yield from self.uploaded(call.model, call.file)
        return url

    def _fetched(self, call: TranscribeCall, id: str) -> Flow[Transcript]:
        response = yield from self.ended(id, call.resume)
        with self.reading(response):
            document = yield from self.download(self._result_url(response), "application/json")
            raw = parse_json(document.data)
            transcript = read_document(raw, tags="sensevoice" in call.model.lower())
        duration = seconds_of(response.json().get("usage"), "duration")
        return evolve(transcript, duration=duration, model=call.model, raw=raw)

    def _result_url(self, response: Response) -> str:
        output = response.parse(_Ended).output
        part = output.results[0] if output.results else output.result
        if part is not None and part.subtask_status != "SUCCEEDED":
            told = {"code": part.code, "message": part.message}
            raise self.task_failed(response, told, "transcription of the file failed")
        if part is None or part.transcription_url is None:
            msg = "the task has no result: required field missing @ $.output.results"
            raise BadReply(msg)
        return part.transcription_url


def submission(call: TranscribeCall, url: str) -> dict[str, Any]:
    """The body that submits the recording at *url*."""
    given = dict(call.options)
    if "language" in given and not matches(call.model, ("*-filetrans*",)):
        given["language_hints"] = [given.pop("language")]
    # qwen3-asr-flash-filetrans takes one `file_url` (two clients, 2026-11); the SDK's own
    # default, qwen-audio-3.1-asr-flash-filetrans, a list of one, as all others do.
    single = matches(call.model, ("qwen3-asr*",))
    source: Mapping[str, Any] = {"file_url": url} if single else {"file_urls": [url]}
    payload = {"model": call.model, "input": source}
    return {**payload, "parameters": given} if given else payload


def read_document(raw: object, *, tags: bool) -> Transcript:
    """A text for each channel, times in milliseconds; with *tags* those of SenseVoice go out."""
    channels = structure(raw, _Transcription).transcripts

    def plain(text: str) -> str:
        return _TAGS.sub("", text).strip() if tags else text

    segments = [
        Segment(sentence.begin_time / 1000, sentence.end_time / 1000, plain(sentence.text))
        for channel in channels
        for sentence in channel.sentences or ()
    ]
    text = "\n".join(plain(channel.text) for channel in channels)
    return Transcript(text, tuple(segments))
