"""Zhipu's speech, both ways."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from attrs import evolve

from modelplug.errors import BadReply
from modelplug.media import Media
from modelplug.openai_wire import OpenAISpeak, OpenAITranscribe
from modelplug.sse import SSEDecoder
from modelplug.structure import parse_json
from modelplug.types import Produced, SpeakCall
from modelplug.wire import Response

PCM = "audio/pcm"
"""16-bit mono at 24 kHz without a header."""


class GLMTranscribe(OpenAITranscribe):
    """POST /audio/transcriptions: wav or mp3 of at most 30 seconds."""

    options = frozenset("hotwords prompt request_id user_id".split())


class GLMSpeak(OpenAISpeak):
    """POST /audio/speech."""

    options = frozenset(
        "encode_format response_format speed voice volume watermark_enabled".split()
    )
    default_voice = "tongtong"

    def payload(self, call: SpeakCall) -> dict[str, Any]:
        """As OpenAI's, but for wav: the vendor's default is PCM without a header."""
        return {"response_format": "wav", **super().payload(call)}

    def parse_response(self, call: SpeakCall, response: Response) -> Produced:
        """The body is the sound; chunks of a stream, which extra_body may ask for, are joined."""
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            sound = b"".join(self._pieces(call, response.body))
            if not sound:
                msg = "the stream holds no sound"
                raise BadReply(msg)
            return Produced((Media(sound, PCM),), call.model)
        produced = super().parse_response(call, response)
        if call.options.get("response_format") != "pcm":
            return produced
        return evolve(produced, media=tuple(evolve(each, mime=PCM) for each in produced.media))

    def _pieces(self, call: SpeakCall, body: bytes) -> Iterator[bytes]:
        decode = bytes.fromhex if call.options.get("encode_format") == "hex" else _base64
        decoder = SSEDecoder()
        for data, _ in [*decoder.feed(body), *decoder.finish()]:
            if data == b"[DONE]":
                return
            chunk = parse_json(data)
            if isinstance(chunk, dict) and chunk.get("error"):
                raise self.parse_error(Response(200, body=data))
            try:
                # The last chunk has a finish reason and no delta.
                for choice in chunk["choices"]:
                    yield decode((choice.get("delta") or {}).get("content") or "")
            except (AttributeError, TypeError, KeyError, ValueError) as exc:
                msg = f"a chunk of the sound cannot be read: {exc} @ $.choices"
                raise BadReply(msg) from exc


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
