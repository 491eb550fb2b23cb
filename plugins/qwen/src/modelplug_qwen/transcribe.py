"""Speech to text: short sound over the chat route; recordings are in a module of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve

from modelplug.errors import Unsupported
from modelplug.media import Media, Remote
from modelplug.types import ChatCall, Segment, TranscribeCall, Transcript
from modelplug.wire import Flow
from modelplug_qwen.chat import QwenChat
from modelplug_qwen.dashscope import DashScope, matches, seconds_of
from modelplug_qwen.recordings import QwenRecordings

RECORDINGS = ("paraformer*", "sensevoice*", "fun-asr*", "*-filetrans*")
"""Models that take recordings at a URL, as tasks. What is no such pattern goes by chat."""

TRANSLATORS = ("gummy-realtime*",)
"""Models that listen on a WebSocket alone, and translate if asked to."""

LIVE = ("paraformer-realtime*", "fun-asr-realtime*", *TRANSLATORS)
"""Models that listen on a WebSocket alone."""

ELSEWHERE = ("*realtime*", "gummy*")
"""Models that listen on a WebSocket of another kind, or stop after the first sentence there."""

PIECE = 12_800
"""Bytes of one message of sound, as the vendor's SDK sends a file."""

ASK = "Write down what is said, word for word, and nothing else."
"""What models that chat about sound are asked; `prompt=` replaces it."""


class QwenTranscribe(DashScope[TranscribeCall, Transcript]):
    """
    By chat, with the sound in the request; or as a task, where a local file is uploaded first.

    What else a task takes is told by its model's page: give it in `extra_body`.
    """

    resumes = True
    options = frozenset(
        "asr_options channel_id diarization_enabled enable_itn enable_words language "
        "format language_hints prompt sample_rate source_language translation_enabled "
        "translation_target_languages".split()
    )

    def flow(self, call: TranscribeCall) -> Flow[Transcript]:
        """The whole call."""
        if matches(call.model, LIVE):
            transcript = yield from self._live(call)
            return transcript
        if matches(call.model, ELSEWHERE):
            msg = (
                f"{call.model} is for conversations; use qwen3-asr-flash, paraformer-realtime-v2, "
                f"or fun-asr for long recordings"
            )
            raise Unsupported(msg)
        if call.resume or matches(call.model, RECORDINGS):
            transcript = yield from QwenRecordings(self.endpoint).flow(call)
            return transcript
        completion = yield from QwenChat(self.endpoint).flow(chat_call(call))
        choices = completion.raw.get("choices") or [{}]
        return Transcript(
            completion.text,
            language=_language(choices[0].get("message", {}).get("annotations")),
            duration=seconds_of(completion.raw.get("usage"), "seconds"),
            model=completion.model or call.model,
            usage=completion.usage,
            raw=completion.raw,
        )

    def _live(self, call: TranscribeCall) -> Flow[Transcript]:
        """A whole recording, sent as fast as it is taken."""
        if call.resume:
            msg = f"{call.model} listens at once and has no tasks; leave resume= out"
            raise Unsupported(msg)
        media = yield from self.local_copy(call.file)
        options = dict(call.options)
        translates = matches(call.model, TRANSLATORS)
        if "language" in options:
            language = options.pop("language")
            options |= (
                {"source_language": language} if translates else {"language_hints": [language]}
            )
        if translates:  # as the vendor's SDK 2.0.2 says it (translation_recognizer.py, 2026-11)
            options = {"transcription_enabled": True, "translation_enabled": False} | options
        payload = {
            "model": call.model,
            "task_group": "audio",
            "task": "asr",
            "function": "recognition",
            "input": {},
            "parameters": {**sound_of(media), **options},
        }
        pieces = [media.data[at : at + PIECE] for at in range(0, len(media.data), PIECE)]
        task = self.live(payload, pieces, "duplex")
        heard = yield from self.converse(self.opening(task), task.begin)
        said = [s for s in map(_sentence, heard.outputs) if s is not None]
        return Transcript(
            joined(part.text for part in said),
            tuple(said),
            duration=seconds_of(heard.usage, "duration"),
            model=call.model,
            raw={"outputs": list(heard.outputs)},
        )


def joined(sentences: Iterable[str]) -> str:
    """One text; Chinese and Japanese have no space between sentences."""
    text = ""
    for sentence in sentences:
        text += (" " if text and text[-1].isascii() else "") + sentence
    return text


def sound_of(media: Media) -> dict[str, Any]:
    """`format` and `sample_rate`, as far as the file tells them."""
    kind = media.mime.partition("/")[2].removeprefix("x-")
    format_ = {"mpeg": "mp3", "ogg": "opus", "L16": "pcm", "basic": "pcm"}.get(kind, kind)
    rate = 16_000
    if media.data[:4] == b"RIFF" and len(media.data) >= 28:
        rate = int.from_bytes(media.data[24:28], "little")
    return {"format": format_, "sample_rate": rate}


def _sentence(output: Mapping[str, Any]) -> Segment | None:
    """A sentence that is finished; those before it are repeated while they grow."""
    told = output.get("sentence") or output.get("transcription")
    if not isinstance(told, dict) or not isinstance(told.get("end_time"), int | float):
        return None
    if told.get("sentence_end") is False:  # a translator tells the end of what it has so far
        return None
    begin = told.get("begin_time")
    start = begin / 1000 if isinstance(begin, int | float) else 0.0
    return Segment(start, told["end_time"] / 1000, str(told.get("text") or ""))


def chat_call(call: TranscribeCall) -> ChatCall:
    """The chat request that has *call*'s sound written down."""
    options = dict(call.options)
    prompt = options.pop("prompt", "")
    asked = dict(options.pop("asr_options", {}))
    asked |= {name: options.pop(name) for name in ("language", "enable_itn") if name in options}
    if asked:
        options["asr_options"] = asked
    sound = {"type": "input_audio", "input_audio": {"data": _data(call.file)}}
    messages: list[dict[str, Any]]
    if "asr" in call.model.lower():
        # Models made for it take a text of the user's as background, in the system's turn.
        messages = [{"role": "system", "content": prompt}] if prompt else []
        messages.append({"role": "user", "content": [sound]})
    else:
        said = {"type": "text", "text": prompt or ASK}
        messages = [{"role": "user", "content": [sound, said]}]
    return ChatCall(call.model, messages, options)


def _data(file: Media | Remote) -> str:
    if isinstance(file, Remote):
        return file.url
    # Python calls a wav audio/x-wav; the documented name is audio/wav.
    return evolve(file, mime=file.mime.replace("/x-", "/")).data_uri()


def _language(annotations: object) -> str:
    for note in annotations if isinstance(annotations, list) else ():
        if isinstance(note, dict) and isinstance(note.get("language"), str):
            return str(note["language"])
    return ""
