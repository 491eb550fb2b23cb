"""Text to speech, over HTTP."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from modelplug.errors import BadReply, ConfigError, Unsupported
from modelplug.media import Media
from modelplug.types import Produced, SpeakCall
from modelplug.wire import Flow, Request
from modelplug_qwen.dashscope import DashScope, matches, usage_of

LIVE = ("cosyvoice-v1*", "cosyvoice-v2*", "sambert*")
"""Models that speak on a WebSocket alone."""

ELSEWHERE = ("*realtime*",)
"""Models that talk back and forth while one listens, on a WebSocket of another kind."""

SYNTHESIZER = ("cosyvoice*", "qwen-audio-*tts*")
"""Models of another route, each with voices of its own."""


@frozen
class _Audio:
    url: str


@frozen
class _Output:
    audio: _Audio


@frozen
class _Reply:
    output: _Output


class QwenSpeak(DashScope[SpeakCall, Produced]):
    """Qwen-TTS over multimodal-generation; CosyVoice from v3 on over SpeechSynthesizer."""

    options = frozenset("format language_type pitch rate sample_rate voice volume".split())

    def flow(self, call: SpeakCall) -> Flow[Produced]:
        """The sound, fetched at once: its URL lives a day."""
        if matches(call.model, LIVE):
            produced = yield from self._live(call)
            return produced
        response = yield from self.send(self.build_request(call))
        with self.reading(response):
            url = response.parse(_Reply).output.audio.url
            raw = response.json()
        sound = yield from self.download(url)
        return Produced((sound,), call.model, usage_of(raw.get("usage")), raw=raw)

    def build_request(self, call: SpeakCall) -> Request:
        """The request for *call*."""
        if matches(call.model, ELSEWHERE):
            msg = f"{call.model} is for conversations; use qwen3-tts-flash or cosyvoice-v3"
            raise Unsupported(msg)
        payload: dict[str, Any] = {"model": call.model, "input": {"text": call.text}}
        if matches(call.model, SYNTHESIZER):
            if "voice" not in call.options:
                msg = f"{call.model} has no voice that fits all its versions; pass voice="
                raise ConfigError(msg)
            payload["input"] |= call.options
            return self.native("/services/audio/tts/SpeechSynthesizer", payload)
        payload["input"] |= {"voice": "Cherry", **call.options}
        return self.native("/services/aigc/multimodal-generation/generation", payload)

    def _live(self, call: SpeakCall) -> Flow[Produced]:
        parameters: dict[str, Any] = {"format": "mp3", **call.options}
        told = {"text": call.text}
        payload = {
            "model": call.model,
            "task_group": "audio",
            "task": "tts",
            "function": "SpeechSynthesizer",
        }
        if matches(call.model, ("sambert*",)):  # the voice is in the model's name
            begin = {**payload, "parameters": parameters, "input": told}
            task = self.live(begin, (), "out")
        else:
            if "voice" not in parameters:
                msg = f"{call.model} has no voice that fits all its versions; pass voice="
                raise ConfigError(msg)
            parameters = {"text_type": "PlainText", **parameters}
            begin = {**payload, "parameters": parameters, "input": {}}
            task = self.live(begin, [{**payload, "input": told}], "duplex")
        heard = yield from self.converse(self.opening(task), task.begin)
        if not heard.sound:
            msg = f"{call.model} ended its task and said nothing"
            raise BadReply(msg, provider=self.endpoint.provider, request_id=heard.id)
        kind = str(parameters["format"])
        mime = {"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/ogg"}.get(kind, "")
        sound = Media(heard.sound, mime or f"audio/{kind}")
        return Produced((sound,), call.model, usage_of(heard.usage), raw={"usage": heard.usage})
