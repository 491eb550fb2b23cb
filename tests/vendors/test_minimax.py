"""Speech and images of MiniMax, beside the vendor's own client: its server for agents."""

from __future__ import annotations

import importlib
import os
from typing import Any
from unittest import mock

from common import KEY, ROOT, Case, VendorSuite
from minimax_mcp.client import MinimaxAPIClient

from modelplug.testing import FaultServer

VOICE = {"speed": 1.5, "vol": 2, "pitch": -1, "emotion": "neutral"}
AUDIO = {"sample_rate": 32000, "bitrate": 128000, "channel": 1}


def speak(sdk: Any, model: str) -> dict[str, Any]:
    """Speech, of which the client tells the address."""
    told = sdk.text_to_audio(
        "hello", model=model, voice_id="v", format="mp3", language_boost="auto", **VOICE, **AUDIO
    )
    assert told.text.startswith("Success. Audio URL: http")
    return {"media": [{"mime": "audio/mpeg", "size": 16}]}


def draw(sdk: Any, model: str) -> dict[str, Any]:
    """An image, of which the client tells the address."""
    told = sdk.text_to_image(model, "a red kite", aspect_ratio="4:3", n=1, prompt_optimizer=False)
    assert told.text.startswith("Success. Image URLs: ['http")
    return {"media": [{"mime": "image/png", "size": 73}]}


class TestMiniMaxAgent(VendorSuite):
    source = "minimax"
    package = "minimax-mcp"
    replies = (ROOT / "plugins-contrib/minimax/tests/replies",)
    of_the_sdk = ("mm-api-source",)
    cases = (
        Case(
            name="tts",
            reply="tts-url.json",
            type="tts",
            model="speech-2.8-turbo",
            theirs=speak,
            ours=lambda m: m(
                "hello",
                voice="v",
                response_format="mp3",
                language_boost="auto",
                output_format="url",
                **VOICE,
                **AUDIO,
            ),
        ),
        Case(
            name="text2image",
            reply="text2image-url.json",
            type="text2image",
            model="image-01",
            theirs=draw,
            ours=lambda m: m(
                "a red kite",
                aspect_ratio="4:3",
                n=1,
                prompt_optimizer=False,
                response_format="url",
            ),
        ),
    )
    explained = {
        ("tts", "stream"): "modelplug says what is the default",
        ("text2image", "response_format"): "modelplug says what is the default",
    }

    def sdk(self, server: FaultServer) -> Any:
        # The module reads the environment when it is imported.
        told = {"MINIMAX_API_KEY": KEY, "MINIMAX_API_HOST": server.origin}
        with mock.patch.dict(os.environ, told):
            agent = importlib.import_module("minimax_mcp.server")
        agent.api_client = MinimaxAPIClient(KEY, server.origin)
        return agent
