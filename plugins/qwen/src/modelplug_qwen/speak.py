"""Text to speech, over HTTP."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from modelplug.errors import ConfigError, Unsupported
from modelplug.types import Produced, SpeakCall
from modelplug.wire import Flow, Request
from modelplug_qwen.dashscope import DashScope, matches, usage_of

LIVE = ("cosyvoice-v1*", "cosyvoice-v2*", "sambert*", "*realtime*")
"""Models that speak on a WebSocket alone."""

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
        response = yield from self.send(self.build_request(call))
        with self.reading(response):
            url = response.parse(_Reply).output.audio.url
            raw = response.json()
        sound = yield from self.download(url)
        return Produced((sound,), call.model, usage_of(raw.get("usage")), raw=raw)

    def build_request(self, call: SpeakCall) -> Request:
        """The request for *call*."""
        if matches(call.model, LIVE):
            msg = (
                f"{call.model} speaks on a WebSocket, which is not spoken here; "
                f"use qwen3-tts-flash or cosyvoice-v3"
            )
            raise Unsupported(msg)
        if call.resume:
            msg = f"{call.model} speaks at once and has no tasks; leave resume= out"
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
