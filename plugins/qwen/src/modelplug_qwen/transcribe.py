"""Speech to text: short sound over the chat route; recordings are in a module of their own."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from modelplug.errors import Unsupported
from modelplug.media import Media, Remote
from modelplug.types import ChatCall, TranscribeCall, Transcript
from modelplug.wire import Flow
from modelplug_qwen.chat import QwenChat
from modelplug_qwen.dashscope import DashScope, matches, seconds_of
from modelplug_qwen.recordings import QwenRecordings

RECORDINGS = ("paraformer*", "sensevoice*", "fun-asr*", "*-filetrans*")
"""Models that take recordings at a URL, as tasks. What is no such pattern goes by chat."""

LIVE = ("*realtime*", "gummy*")
"""Models that listen on a WebSocket alone."""

ASK = "Write down what is said, word for word, and nothing else."
"""What models that chat about sound are asked; `prompt=` replaces it."""


class QwenTranscribe(DashScope[TranscribeCall, Transcript]):
    """
    By chat, with the sound in the request; or as a task, where a local file is uploaded first.

    What else a task takes is told by its model's page: give it in `extra_body`.
    """

    options = frozenset(
        "asr_options channel_id diarization_enabled enable_itn enable_words language "
        "language_hints prompt".split()
    )

    def flow(self, call: TranscribeCall) -> Flow[Transcript]:
        """The whole call."""
        if matches(call.model, LIVE):
            msg = (
                f"{call.model} listens on a WebSocket, which is not spoken here; "
                f"use qwen3-asr-flash, or fun-asr for long recordings"
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
