"""DashScope's WebSocket: the models that speak and listen there alone, beside DashScope's SDK."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dashscope
import pytest
from common import KEY, Case, VendorSuite
from dashscope.audio import asr, tts, tts_v2
from usual import SILENCE
from websockets.sync.server import ServerConnection, serve

from modelplug.testing import Expected, Recorded, Request

PATH = "/api-ws/v1/inference"
_OF_THE_SOCKET = ("origin", "sec-websocket-extensions", "sec-websocket-key", "upgrade")


class LiveServer:
    """
    A loopback server that begins each task, answers its text or its end, and keeps what it read.

    `requests` are the opening request and each message after it, as if it were one; `told` is
    what a task says, bytes or payloads of events.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.told: Sequence[bytes | dict[str, Any]] = ()
        self._server = serve(self._converse, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def origin(self) -> str:
        """Scheme and host, for HTTP."""
        return "http://{}:{}".format(*self._server.socket.getsockname())

    def close(self) -> None:
        """No more."""
        self._server.shutdown()
        self._thread.join()

    def _converse(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        headers = {
            name.lower(): value
            for name, value in socket.request.headers.raw_items()
            if name.lower() not in _OF_THE_SOCKET
        }
        self.requests.append(Request("GET", socket.request.path, "", headers, b"", 1))
        for message in socket:
            data = message.encode() if isinstance(message, str) else message
            kind = "TEXT" if isinstance(message, str) else "BINARY"
            body = data if kind == "TEXT" else json.dumps(data.hex()).encode()
            self.requests.append(Request(kind, "", "", {}, body, 1))
            if kind == "TEXT":
                self._answer(socket, json.loads(message)["header"])

    def _answer(self, socket: ServerConnection, header: dict[str, str]) -> None:
        def say(event: str, payload: dict[str, Any]) -> None:
            told = {"task_id": header["task_id"], "event": event, "attributes": {}}
            socket.send(json.dumps({"header": told, "payload": payload}))

        if header["action"] == "run-task":
            say("task-started", {})
        if header["action"] == "finish-task" or header["streaming"] == "out":
            for one in self.told:
                socket.send(one) if isinstance(one, bytes) else say("result-generated", one)
            # The SDK counts on the last sentence of a model that was told its text at once.
            end = {"sentence": {"words": []}} if header["streaming"] == "out" else {}
            say("task-finished", {"output": end, "usage": {"characters": 2}})


def _sentence(text: str, end: int | None) -> dict[str, Any]:
    told = {"begin_time": 0, "end_time": end, "text": text, "words": []}
    return {"output": {"sentence": told}, "usage": {"duration": 2}}


SOUND = (b"ID3", b"sound")


def _part(text: str, end: int, *, done: bool) -> dict[str, Any]:
    told = {"sentence_id": 0, "begin_time": 0, "end_time": end, "text": text, "words": []}
    return {"output": {"transcription": {**told, "sentence_end": done}}, "usage": {"duration": 2}}


HEARD = (_sentence("hel", None), _sentence("hello.", 900), _sentence("World", 1800))
MADE = Expected(type="tts", media=[{"mime": "audio/mpeg", "size": 8}])
SCRIPTS: dict[str, tuple[Expected, Sequence[bytes | dict[str, Any]]]] = {
    "spoken": (MADE, SOUND),
    "heard": (Expected(type="stt", value=["hello.", "World"]), HEARD),
    "translated": (
        Expected(type="stt", value=["hello."]),
        (_part("hel", 400, done=False), _part("hello.", 900, done=True)),
    ),
}


def cosyvoice(sdk: Any, model: str) -> dict[str, Any]:
    """Speech; the SDK sends a text as if the user were still writing."""
    form = tts_v2.AudioFormat.MP3_22050HZ_MONO_256KBPS
    sound = tts_v2.SpeechSynthesizer(model=model, voice="v", format=form).call("hi")
    return {"media": [{"mime": "audio/mpeg", "size": len(sound)}]}


def sambert(sdk: Any, model: str) -> dict[str, Any]:
    """Speech of a text that is sent at once."""
    result = tts.SpeechSynthesizer.call(model=model, text="hi", format="mp3", sample_rate=16000)
    return {"media": [{"mime": "audio/mpeg", "size": len(result.get_audio_data())}]}


def listen(sdk: Any, model: str) -> dict[str, Any]:
    """The sentences of a file."""
    ear = asr.Recognition(
        model=model,
        callback=asr.RecognitionCallback(),
        format="wav",
        sample_rate=8000,
        language_hints=["en"],
    )
    result = ear.call(str(SILENCE))
    return {"value": [sentence["text"] for sentence in result.get_sentence()]}


def translate(sdk: Any, model: str) -> dict[str, Any]:
    """The sentences of a file, from a model that could translate them as well."""
    ear = asr.TranslationRecognizerRealtime(
        model=model,
        callback=asr.TranslationRecognizerCallback(),
        format="wav",
        sample_rate=8000,
        source_language="en",
    )
    results = ear.call(str(SILENCE)).transcription_result_list
    return {"value": [result.text for result in results]}


def ours(name: str, **options: Any) -> Callable[[Any], Any]:
    """modelplug's call."""
    given: Any = SILENCE if name == "stt" else "hi"
    return lambda module: module(given, **options)


class TestDashScopeLive(VendorSuite):
    source = "qwen"
    package = "dashscope"
    base_path = ""
    replies = ()
    of_the_sdk = ("x-dashscope-sdk-client", "x-dashscope-sdk-session-id")
    cases = (
        Case(
            name="cosyvoice",
            reply="spoken",
            type="tts",
            model="cosyvoice-v2",
            theirs=cosyvoice,
            ours=ours("tts", voice="v", sample_rate=22050),
        ),
        Case(
            name="sambert",
            reply="spoken",
            type="tts",
            model="sambert-zhichu-v1",
            theirs=sambert,
            ours=ours("tts", sample_rate=16000),
        ),
        Case(
            name="gummy",
            reply="translated",
            type="stt",
            model="gummy-realtime-v1",
            theirs=translate,
            ours=ours("stt", language="en"),
        ),
        *(
            Case(
                name=model,
                reply="heard",
                type="stt",
                model=model,
                theirs=listen,
                ours=ours("stt", language="en"),
            )
            for model in ("paraformer-realtime-v2", "fun-asr-realtime")
        ),
    )
    explained = {
        **{
            ("cosyvoice", f"2: payload.parameters.{name}"): "the SDK says what is the default"
            for name in ("pitch", "rate", "seed", "type", "volume")
        },
        ("cosyvoice", "2: payload.parameters.enable_ssml"): (
            "the SDK has a text that is whole read as markup, modelplug as it is written"
        ),
    }

    @pytest.fixture
    def server(self) -> Iterator[Any]:
        """The loopback server of this wire."""
        server = LiveServer()
        yield server
        server.close()

    def _serve(self, case: Case, server: Any) -> Recorded:
        expected, server.told = SCRIPTS[case.reply]
        return Recorded(case.reply, (), expected)

    def read_by_server(self, name: str, value: object) -> tuple[str, object]:
        # Each task has a name of its own, of a form that is not looked at.
        return name, "id" if name == "header.task_id" else value

    def sdk(self, server: Any) -> Any:
        dashscope.api_key = KEY
        dashscope.base_websocket_api_url = server.origin.replace("http", "ws", 1) + PATH
        return dashscope
