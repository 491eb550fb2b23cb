"""
Serves one Whisper model with faster-whisper, on /v1/audio/transcriptions.

Run by path, in any interpreter that has faster-whisper, with modelplug-local's engine_server
on its path; it imports nothing else of modelplug.
"""

from __future__ import annotations

import ctypes
import io
import math
import sys
from collections.abc import Iterable
from typing import Any

import av
import numpy as np
from engine_server import Fields, Refused, Reply, Request, Service, run
from faster_whisper import WhisperModel

RATE = 16_000
FORMATS = "aac,aiff,amr,asf,au,caf,flac,matroska,mov,mp3,mpeg,mpegts,ogg,wav"
"""Containers of sound. Without a list FFmpeg would also read playlists, and fetch what they
name: files of this machine, addresses of its network."""

# As CTranslate2 4.8 looks for it (2026-11).
CUBLAS = "libcublas.so.12"

TEXT_FORMATS = ("json", "verbose_json", "text", "srt", "vtt")
FIELDS = (
    *("file", "model", "language", "prompt", "response_format", "temperature"),
    *("timestamp_granularities[]", "task", "beam_size", "vad_filter", "hotwords"),
)


def decode(sound: bytes, longest: float) -> Any:
    """*sound*, a file of any kind that FFmpeg knows, as samples; Refused if it is none."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    chunks: list[Any] = []
    left = int(longest * RATE)
    try:
        with av.open(io.BytesIO(sound), options={"format_whitelist": FORMATS}) as container:
            if not container.streams.audio:
                raise Refused(400, "the file holds no sound")
            for frame in _frames(container):
                for part in resampler.resample(frame):
                    chunks.append(part.to_ndarray().reshape(-1))
                    left -= chunks[-1].size
                    if left < 0:
                        # Seen before it is all decoded: a small file can hold days of silence.
                        raise Refused(413, f"the recording is longer than {longest} s; cut it up")
    except av.error.FFmpegError as exc:
        raise Refused(400, "the file is no recording that can be read") from exc
    if not chunks:
        raise Refused(400, "the file holds no sound")
    return np.concatenate(chunks).astype(np.float32) / 32768.0


def _frames(container: Any) -> Iterable[Any]:
    """The frames of the first sound track, and None to flush the resampler."""
    for frame in container.decode(audio=0):
        frame.pts = None  # recorders write timestamps with holes, which it would refuse
        yield frame
    yield None


def options_of(fields: Fields, languages: list[str]) -> dict[str, Any]:
    """What `WhisperModel.transcribe` is told."""
    options: dict[str, Any] = {
        "task": fields.one_of("task", "transcribe", ("transcribe", "translate")),
        "beam_size": fields.whole("beam_size", 5, least=1, most=16),
        "vad_filter": fields.one_of("vad_filter", "false", ("true", "false")) == "true",
        "word_timestamps": "word" in _granularities(fields),
    }
    if fields.has("language"):
        options["language"] = fields.one_of("language", "", tuple(languages))
    if fields.has("prompt"):
        options["initial_prompt"] = fields.text("prompt", longest=10_000)
    if fields.has("hotwords"):
        options["hotwords"] = fields.text("hotwords", longest=10_000)
    # 0 means, as at OpenAI, that it rises by itself where the text makes no sense.
    if temperature := fields.number("temperature", 0.0, least=0.0, most=1.0):
        options["temperature"] = temperature
    return options


def _granularities(fields: Fields) -> list[str]:
    asked = fields.text("timestamp_granularities[]", "segment").split(",")
    if not set(asked) <= {"segment", "word"}:
        raise Refused(400, "timestamp_granularities must be of segment, word")
    return asked


def reply(format_: str, task: str, segments: list[Any], info: Any) -> Reply | dict[str, Any]:
    """The transcript in one of TEXT_FORMATS."""
    text = "".join(segment.text for segment in segments).strip()
    match format_:
        case "text":
            return Reply(f"{text}\n".encode(), "text/plain; charset=utf-8")
        case "srt":
            return Reply(srt(segments).encode(), "text/plain; charset=utf-8")
        case "vtt":
            return Reply(vtt(segments).encode(), "text/vtt; charset=utf-8")
    usage = {"type": "duration", "seconds": math.ceil(info.duration)}
    if format_ == "json":
        return {"text": text, "usage": usage}
    body: dict[str, Any] = {
        "task": task,
        "language": info.language,
        "duration": round(info.duration, 3),
        "text": text,
        "segments": [_segment(number, segment) for number, segment in enumerate(segments)],
        "usage": usage,
    }
    words = [word for segment in segments for word in segment.words or ()]
    if words:
        body["words"] = [
            {
                "word": w.word.strip(),
                "start": round(float(w.start), 3),
                "end": round(float(w.end), 3),
            }
            for w in words
        ]
    return body


def _segment(number: int, segment: Any) -> dict[str, Any]:
    return {
        "id": number,
        "seek": segment.seek,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }


def _seconds(time: float) -> float:
    return round(float(time), 3)  # the words' are numpy's, which JSON does not know


def srt(segments: Iterable[Any]) -> str:
    """SubRip subtitles."""
    return "\n".join(
        f"{number}\n{_clock(s.start, ',')} --> {_clock(s.end, ',')}\n{s.text.strip()}\n"
        for number, s in enumerate(segments, 1)
    )


def vtt(segments: Iterable[Any]) -> str:
    """WebVTT subtitles."""
    cues = (
        f"{_clock(s.start, '.')} --> {_clock(s.end, '.')}\n{s.text.strip()}\n" for s in segments
    )
    return "\n".join(["WEBVTT\n", *cues])


def _clock(seconds: float, point: str) -> str:
    whole, milli = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milli:03}"


def device_of(asked: str, library: str = CUBLAS) -> str:
    """
    *asked*; for `auto` the CPU, where *library* is missing: CTranslate2 takes any GPU that is
    there, and looks for what it needs to compute on it at the first call.
    """
    if asked == "auto":
        try:
            ctypes.CDLL(library)
        except OSError:
            print(f"{library} is not installed: no GPU is used", file=sys.stderr)
            return "cpu"
    return asked


def load(settings: dict[str, Any]) -> Service:
    """The model, and its route."""
    model = WhisperModel(
        settings["path"],
        device=device_of(settings["device"]),
        device_index=settings["device_index"],
        compute_type=settings["compute_type"],
        cpu_threads=settings["threads"],
        num_workers=settings["workers"],
        local_files_only=True,
    )

    def transcribe(request: Request) -> Reply | dict[str, Any]:
        fields = request.form()
        fields.only(*FIELDS)
        format_ = fields.one_of("response_format", "json", TEXT_FORMATS)
        options = options_of(fields, model.supported_languages)
        sound = decode(fields.file("file"), settings["max_duration"])
        found, info = model.transcribe(sound, **options)
        segments = []
        for segment in found:  # computed as they are asked for
            request.check_caller()
            segments.append(segment)
        return reply(format_, options["task"], segments, info)

    return Service(
        {"/v1/audio/transcriptions": transcribe},
        settings["model"],
        workers=settings["workers"],
        queue=settings["queue"],
        body_limit=200 * 2**20,
    )


if __name__ == "__main__":
    run(load)
